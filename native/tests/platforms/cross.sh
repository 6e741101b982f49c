#!/usr/bin/env bash
# The engine on other processors: built by Debian's cross compilers, run under qemu-user.
# - the native tests on a CPU that has everything, those of the kernels also on one that lacks instructions;
# - the same checksums as on this machine (native/tests/support/fingerprint.cpp), also for a network that was trained on
#   the digits, where the Python package is installed;
# - the machine code: the inner loop of the binary convolution, and no fused multiply-add anywhere.
# An emulated test takes an eighth of the random cases that it takes on this machine (DIVISOR=1: all).
# Builds stay in build/ and are reused. Exit code 77: a tool is missing (the lines on stderr say which).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. native/tests/platforms/build.sh

export ONEBIT_TEST_DIVISOR=${DIVISOR:-8}
models=()

no_fused() {  # folder, prefix of the tools
  local found
  found=$("$2-objdump" -d --no-show-raw-insn "$1/libonebit.a" |
    grep -cE '\s(v?fn?m(add|sub|la|ls|a|s)(\.[a-z0-9.]+)?|fml[as]|fcmla)\s' || true)
  [ "$found" -eq 0 ] || fail "$1: $found fused multiply-adds"
}

cross() {  # name, prefix of the tools, QEMU's name, CPUs
  local name=$1 tools=$2 qemu=$3 folder=build/cross-$1 start=$SECONDS cpu
  local emulator=("qemu-$qemu" -L "/usr/$tools") label=.
  for tool in "$tools-g++" "$tools-objdump" "qemu-$qemu"; do
    command -v "$tool" >/dev/null || { echo "not run for $name: no $tool" >&2; missing=1; return; }
  done
  echo "cross-built tests: $name"
  cmake -S native -B "$folder" "${generator[@]}" -DCMAKE_TOOLCHAIN_FILE="$PWD/native/cmake/$name.cmake" \
    -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
  cmake --build "$folder" -j "$jobs"
  for cpu in "${@:4}"; do
    QEMU_CPU=$cpu "${emulator[@]}" "$folder/kernels_registry_test" | paste -sd ' ' | sed "s/^/$name, $cpu: /"
    QEMU_CPU=$cpu ctest --test-dir "$folder" -L "$label" --output-on-failure -j "$jobs" >"$folder/$cpu.log" ||
      { cat "$folder/$cpu.log"; fail "$name, $cpu"; }
    QEMU_CPU=$cpu "${emulator[@]}" "$folder/fingerprint" "${models[@]}" 2>/dev/null | diff build/cross/here.txt - ||
      fail "$name, $cpu: other bits than here"
    label=kernels
  done
  no_fused "$folder" "$tools"
  summary+=("$name: passed on ${*:4}; same bits as here, $((SECONDS - start)) s")
}

mkdir -p build/cross
needs "on other processors" cmake
here fingerprint
if python3 -c 'import onebit.deploy' 2>/dev/null; then
  [ -e build/cross/digits.f32 ] || python3 native/tests/platforms/cross_models.py build/cross
  models=(build/cross/digits.obn build/cross/digits.f32 build/cross/digits_int8.obn build/cross/digits.f32)
else
  echo "no network is compared: python3 has no onebit.deploy" >&2
fi
build/native/fingerprint "${models[@]}" 2>/dev/null | tee build/cross/here.txt

missing=
summary=()
cross aarch64 aarch64-linux-gnu aarch64 max cortex-a53
cross armv7 arm-linux-gnueabihf arm max cortex-a15,neon=off
cross riscv64 riscv64-linux-gnu riscv64 rv64
if [ -e build/cross-aarch64/libonebit.a ]; then
  aarch64-linux-gnu-objdump -dC --no-show-raw-insn build/cross-aarch64/libonebit.a |
    python3 native/tests/platforms/inner_loop.py eor cnt add 4.2
fi
if [ -e build/cross-armv7/libonebit.a ]; then
  arm-linux-gnueabihf-objdump -dC --no-show-raw-insn build/cross-armv7/libonebit.a |
    python3 native/tests/platforms/inner_loop.py veor vcnt.8 vadd.i8 5.2
fi
printf '%s\n' "${summary[@]}" "random cases divided by $ONEBIT_TEST_DIVISOR"
[ -z "$missing" ] || exit 77
