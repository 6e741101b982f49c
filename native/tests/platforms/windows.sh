#!/usr/bin/env bash
# The native tests on Windows: cross-built with MinGW-w64, run under Wine. Builds stay in build/ and are reused.
# Exit code 77: a tool is missing (the line on stderr says which).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. native/tests/platforms/build.sh

PATH="$PATH:/usr/lib/wine"  # where Debian puts it
needs "on Windows" cmake x86_64-w64-mingw32-g++-posix wine64
folder=build/native-windows
WINEPREFIX=$(mktemp -d)  # outside this folder: it links to the root of the file system
export WINEPREFIX WINEDEBUG=-all
trap 'wineserver64 -k || true; rm -rf "$WINEPREFIX"' EXIT

cmake -S native -B "$folder" "${generator[@]}" -DCMAKE_TOOLCHAIN_FILE="$PWD/native/cmake/windows.cmake" \
  -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
cmake --build "$folder" -j "$jobs"
# A register that a function spills to the stack, aligned to 16 bytes there, must not need more.
aligned='vmov(aps|apd|dqa|dqa32|dqa64)\b.*[yz]mm'
if x86_64-w64-mingw32-objdump -d "$folder/libonebit.a" | grep -E "$aligned"; then
  echo "these moves need more than the stack of Windows gives" >&2
  exit 1
fi
wine64 wineboot -i >/dev/null 2>&1 || { echo "not run on Windows: wine64 does not start here" >&2; exit 77; }
ctest --test-dir "$folder" --output-on-failure -j "$jobs"
