#!/usr/bin/env bash
# libFuzzer on the readers, the plan and the learner, FUZZ_SECONDS=10 each. What it once found is in native/fuzz/corpus,
# which the native tests replay also where there is no clang.
# Exit code 77: a tool is missing (the line on stderr says which).
set -euo pipefail
cd "$(dirname "$0")/../../.."
. native/tests/platforms/build.sh

needs "under libFuzzer" cmake clang++
echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
  clang++ -x c++ -fsanitize=fuzzer,address,undefined - -o /dev/null 2>/dev/null ||
  { echo "not run under libFuzzer: clang++ has no fuzzer runtime" >&2; exit 77; }
folder=build/native-fuzz
cmake -S native -B "$folder" "${generator[@]}" -DCMAKE_C_COMPILER=clang -DCMAKE_CXX_COMPILER=clang++ \
  -DONEBIT_FUZZ=ON -DONEBIT_TESTS=OFF -DCMAKE_CXX_FLAGS=-Werror -DONEBIT_SANITIZE=address,undefined,fuzzer-no-link >/dev/null
cmake --build "$folder" -j "$jobs"
for name in model plan teachable learner; do
  mkdir -p "$folder/$name"
  "$folder/${name}_fuzzer" "$folder/$name" "native/fuzz/corpus/$name" -artifact_prefix="$folder/" \
    -max_total_time="${FUZZ_SECONDS:-10}" -print_final_stats=1 2>&1 | grep -v ' \(NEW\|REDUCE\) '
done
