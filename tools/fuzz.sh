#!/usr/bin/env bash
# tools/fuzz.sh [SECONDS] [LIBFUZZER FLAGS…]: feeds the decoders with hostile bytes by libFuzzer, with
# AddressSanitizer and UBSan, for a minute unless told otherwise. Needs clang (Debian: clang-16, libclang-rt-16-dev). An
# input that breaks something is left as crash-…; put it into tests/fuzz/corpus once it is mended.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-60}
shift || true
compiler=$(command -v clang++ clang++-16 clang++-14 | head -n 1)
if [[ -z $compiler ]]; then
  echo "fuzz.sh: no clang++; apt-get install clang-16 libclang-rt-16-dev" >&2
  exit 2
fi
cmake -S . -B build/fuzz -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER="$compiler" \
  -DGRAPEVINE_LIBFUZZER=ON > /dev/null
cmake --build build/fuzz --target decoders_fuzz
mkdir -p build/fuzz/found
exec build/fuzz/bin/decoders_fuzz -max_total_time="$seconds" "$@" build/fuzz/found tests/fuzz/corpus
