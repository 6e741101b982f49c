#!/usr/bin/env bash
# The native tests, twice: as released with warnings as errors, and under the address and undefined-behaviour sanitizers.
# Where clang is there, the reader is also fuzzed for a few seconds; where the tools for Cortex-M or Windows are there, the
# run path is also run on emulated boards, and all of it under Wine. Builds stay in build/ and are reused.
set -euo pipefail
cd "$(dirname "$0")/.."

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
jobs=$(getconf _NPROCESSORS_ONLN)
summary=()

check() {  # name, then options of cmake
  local name=$1 folder=build/native-$1 start=$SECONDS
  shift
  echo "native tests: $name"
  cmake -S native -B "$folder" "${generator[@]}" "$@" >/dev/null
  cmake --build "$folder" -j "$jobs"
  ctest --test-dir "$folder" --output-on-failure -j "$jobs"
  summary+=("$name: $(ctest --test-dir "$folder" -N | sed -n 's/^Total Tests: //p') tests passed, $((SECONDS - start)) s")
}

check plain -DCMAKE_CXX_FLAGS=-Werror -DCMAKE_C_FLAGS=-Werror
check sanitized -DCMAKE_BUILD_TYPE=Sanitized "-DCMAKE_CXX_FLAGS=-O1 -g1 -Werror" -DONEBIT_SANITIZE=address,undefined

can_fuzz() {  # clang++ may be there without its runtime libraries
  command -v clang++ >/dev/null &&
    echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++ -x c++ -fsanitize=fuzzer,address,undefined - -o /dev/null 2>/dev/null
}

if can_fuzz; then
  cmake -S native -B build/native-fuzz "${generator[@]}" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
    -DONEBIT_FUZZ=ON -DONEBIT_TESTS=OFF -DCMAKE_CXX_FLAGS=-Werror -DONEBIT_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
  cmake --build build/native-fuzz -j "$jobs"
  build/native-fuzz/model_fuzzer -max_total_time=10 -print_final_stats=1
  summary+=("fuzzed: model_fuzzer for 10 s")
else
  summary+=("not fuzzed with libFuzzer: no clang++ with its fuzzer runtime (mutation_test ran in its place)")
fi

status=0
tests/embedded.sh || status=$?
case $status in
  0) summary+=("embedded: the same bits on emulated Cortex-M boards") ;;
  77) summary+=("embedded: not run, for want of a tool named above") ;;
  *) exit 1 ;;
esac

status=0
tests/windows.sh || status=$?
case $status in
  0) summary+=("Windows: passed under Wine") ;;
  77) summary+=("Windows: not run, for want of a tool named above") ;;
  *) exit 1 ;;
esac
printf '%s\n' "${summary[@]}"
