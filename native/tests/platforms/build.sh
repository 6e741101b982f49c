# What the scripts of this folder share; they are run from the root of the repository. Builds stay in build/ and are reused.
generator=()
command -v ninja >/dev/null && generator=(-G Ninja)
jobs=$(getconf _NPROCESSORS_ONLN)

fail() {
  echo "$0: $*" >&2
  exit 1
}

needs() {  # what is not run without them, then tools; 77 says "not run" to the Makefile
  for tool in "${@:2}"; do
    command -v "$tool" >/dev/null || { echo "not run $1: no $tool" >&2; exit 77; }
  done
}

here() {  # a target of the build for this machine, which is that of the Python extension where there is one
  [ -e build/native/CMakeCache.txt ] || cmake -S native -B build/native "${generator[@]}" >/dev/null
  cmake --build build/native -j "$jobs" --target "$1"
}
