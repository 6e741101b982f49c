#!/usr/bin/env bash
# The run path without an operating system: built for Cortex-M, it needs nothing but a few C functions, and on emulated
# boards its answers are the bits of a session on this machine. Builds stay in build/ and are reused.
#
#   embedded.sh                                 every board, on the models of the native tests
#   embedded.sh build CPU                       builds for one core; what follows needs that
#   embedded.sh answers CPU PROGRAM SAMPLES     what its board prints for a program (onebit compile -o m.obp)
#   embedded.sh firmware CPU ELF                what its board prints when it runs another firmware
#   embedded.sh size CPU                        bytes of flash of the run path and the firmware around it
# Exit code 77: a tool is missing (the line on stderr says which).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. native/tests/platforms/build.sh

declare -A machines=([cortex-m0]=lm3s6965evb [cortex-m3]=lm3s6965evb [cortex-m4]=mps2-an386 [cortex-m7]=mps2-an500)
allowed='memcpy|memset|memcmp|memmove|nearbyintf|__aeabi_[dfilu][a-z0-9]+|__gnu_thumb1_case_[a-z]+'
needs "on emulated Cortex-M boards" cmake arm-none-eabi-g++ qemu-system-arm

build() {  # cpu
  mkdir -p build
  (
    flock 9
    cmake -S native/embedded -B "build/embedded-$1" "${generator[@]}" -DONEBIT_CPU="$1" \
      -DCMAKE_TOOLCHAIN_FILE="$PWD/native/cmake/arm-none-eabi.cmake" -DCMAKE_COMPILE_WARNING_AS_ERROR=ON >/dev/null
    cmake --build "build/embedded-$1" >&2
  ) 9>"build/embedded-$1.lock"
}

firmware() {  # cpu, elf, further options of QEMU
  # An instruction is a nanosecond, so that what a firmware counts is the same each time.
  timeout 300 qemu-system-arm -M "${machines[$1]}" -icount shift=0 -display none -monitor none -serial none \
    -chardev stdio,id=out,signal=off -semihosting-config enable=on,target=native,chardev=out -kernel "${@:2}" </dev/null
}

answers() {  # cpu, program, samples
  firmware "$1" "build/embedded-$1/qemu/answers.elf" -device "loader,file=$2,addr=0x20000,force-raw=on" \
    -device "loader,file=$3,addr=0x30000,force-raw=on"
}

# What the archive takes from outside itself.
symbols() {  # cpu
  arm-none-eabi-nm -g "build/embedded-$1/libonebit_embedded.a" |
    awk 'NF == 2 && $1 == "U" { used[$2] } NF == 3 { made[$3] } END { for (name in used) if (!(name in made)) print name }'
}

case ${1:-} in
  build | answers | firmware)
    "$@"
    exit
    ;;
  size)
    arm-none-eabi-size -A "build/embedded-$2/qemu/answers.elf" |
      awk '$1 ~ /^\.(text|ARM.exidx|data)$/ { sum += $2 } END { print sum }'
    exit
    ;;
  "") ;;
  *) fail "see its first lines" ;;
esac

here embedded_cases
cases=build/embedded-cases
mkdir -p "$cases"
build/native/embedded_cases "$cases"
for cpu in cortex-m0 cortex-m3 cortex-m4 cortex-m7; do
  build "$cpu"
  others=$(symbols "$cpu" | grep -vxE "$allowed" || true)
  [ -z "$others" ] || fail "$cpu: the run path needs $others"
  for case in example strips; do
    answers "$cpu" "$cases/$case.obp" "$cases/$case.samples" >"$cases/$case.$cpu" || fail "$cpu: $case: $(tail -1 "$cases/$case.$cpu")"
    grep -v '^#' "$cases/$case.$cpu" | cmp - "$cases/$case.expected" || fail "$cpu answers otherwise than this machine: $case"
  done
  if answers "$cpu" "$cases/strips.damaged" "$cases/strips.samples" >"$cases/damaged.$cpu"; then fail "$cpu ran a damaged program"; fi
  grep -q "the program was refused" "$cases/damaged.$cpu" || fail "$cpu: $(cat "$cases/damaged.$cpu")"
  echo "$cpu (${machines[$cpu]}): $(wc -l <"$cases/example.expected") + $(wc -l <"$cases/strips.expected") samples, the same bits as here"
done
