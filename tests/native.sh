#!/usr/bin/env bash
# The native tests, twice: as released with warnings as errors, and a quarter of their random cases under the address and
# undefined-behaviour sanitizers; those with threads under the thread sanitizer too. Where clang is there, the readers and
# the plan are also fuzzed for a few seconds (longer: FUZZ_SECONDS=600 tests/native.sh); where the tools for Cortex-M or
# Windows are there, the run path is also run on emulated boards, and all of it under Wine. Builds stay in build/ and are
# reused.
set -euo pipefail
cd "$(dirname "$0")/.."

generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
jobs=$(getconf _NPROCESSORS_ONLN)
summary=()

check() {  # name, the tests (none: all), then options of cmake
  local name=$1 tests=$2 folder=build/native-$1 start=$SECONDS targets=() chosen=()
  shift 2
  echo "native tests: $name"
  if [ -n "$tests" ]; then
    targets=(--target $tests)
    chosen=(-R "^(${tests// /|})\$")
  fi
  cmake -S native -B "$folder" "${generator[@]}" "$@" >/dev/null
  cmake --build "$folder" -j "$jobs" "${targets[@]}"
  ctest --test-dir "$folder" --output-on-failure -j "$jobs" "${chosen[@]}"
  summary+=("$name: $(ctest --test-dir "$folder" -N "${chosen[@]}" | sed -n 's/^Total Tests: //p') tests passed, $((SECONDS - start)) s")
}

check plain '' -DCMAKE_CXX_FLAGS=-Werror -DCMAKE_C_FLAGS=-Werror
ONEBIT_TEST_DIVISOR=4 check sanitized '' -DCMAKE_BUILD_TYPE=Sanitized "-DCMAKE_CXX_FLAGS=-O1 -g1 -Werror" -DONEBIT_SANITIZE=address,undefined

can_watch_threads() {  # its runtime may be missing, or at odds with the system's address space
  mkdir -p build/native-threads &&
    echo '#include <thread>
          int main() { std::thread([] {}).join(); }' |
    c++ -x c++ -fsanitize=thread - -o build/native-threads/probe 2>/dev/null && build/native-threads/probe 2>/dev/null
}

if can_watch_threads; then
  ONEBIT_TEST_DIVISOR=4 check threads "choice_test graph_test plan_test concurrency_test training_products_test" -DCMAKE_BUILD_TYPE=Sanitized "-DCMAKE_CXX_FLAGS=-O1 -g1 -Werror" \
    -DONEBIT_SANITIZE=thread
else
  summary+=("threads: not run, the thread sanitizer does not work here")
fi

can_fuzz() {  # clang++ may be there without its runtime libraries
  command -v clang++ >/dev/null &&
    echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++ -x c++ -fsanitize=fuzzer,address,undefined - -o /dev/null 2>/dev/null
}

if can_fuzz; then
  cmake -S native -B build/native-fuzz "${generator[@]}" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
    -DONEBIT_FUZZ=ON -DONEBIT_TESTS=OFF -DCMAKE_CXX_FLAGS=-Werror -DONEBIT_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
  cmake --build build/native-fuzz -j "$jobs"
  for name in model plan teachable learner; do
    mkdir -p "build/native-fuzz/$name"
    "build/native-fuzz/${name}_fuzzer" "build/native-fuzz/$name" "native/fuzz/corpus/$name" -artifact_prefix=build/native-fuzz/ \
      -max_total_time="${FUZZ_SECONDS:-10}" -print_final_stats=1 2>&1 | grep -v ' \(NEW\|REDUCE\) '
  done
  summary+=("fuzzed: the reader, the plan, teachable models and learners, ${FUZZ_SECONDS:-10} s each")
else
  summary+=("not fuzzed with libFuzzer: no clang++ with its fuzzer runtime (mutation_test, plan_test and the corpora ran in its place)")
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

status=0
tests/cross.sh || status=$?
case $status in
  0) summary+=("aarch64, armv7, riscv64: passed under QEMU with the same bits as here") ;;
  77) summary+=("aarch64, armv7, riscv64: not all run, for want of a tool named above") ;;
  *) exit 1 ;;
esac
printf '%s\n' "${summary[@]}"
