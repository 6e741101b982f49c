#!/usr/bin/env bash
# The native tests under sanitizers, with an eighth of their random cases (DIVISOR=1: all).
#
#   native/tests/platforms/sanitized.sh address   all of them, for addresses and undefined behaviour
#   native/tests/platforms/sanitized.sh thread    those with threads
# Exit code 77: the sanitizer does not work here (the line on stderr says so).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. native/tests/platforms/build.sh

export ONEBIT_TEST_DIVISOR=${DIVISOR:-8}
case ${1:-} in
  address) sanitizers=address,undefined target=all tests=() ;;
  thread) sanitizers=thread target=threads_tests tests=(-L threads) ;;
  *) fail "see its first lines" ;;
esac
needs "under the $1 sanitizer" cmake
folder=build/native-$1
mkdir -p "$folder"
# The runtime of a sanitizer may be missing, or at odds with the system's address space.
echo '#include <thread>
      int main() { std::thread([] {}).join(); }' | c++ -x c++ "-fsanitize=$sanitizers" - -o "$folder/probe" 2>/dev/null &&
  "$folder/probe" 2>/dev/null ||
  { echo "not run under the $1 sanitizer: it does not work here" >&2; exit 77; }
cmake -S native -B "$folder" "${generator[@]}" -DCMAKE_BUILD_TYPE=Sanitized "-DCMAKE_CXX_FLAGS=-O1 -g1 -Werror" \
  "-DONEBIT_SANITIZE=$sanitizers" >/dev/null
cmake --build "$folder" -j "$jobs" --target "$target"
ctest --test-dir "$folder" --output-on-failure -j "$jobs" "${tests[@]}"
