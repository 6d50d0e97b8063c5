#!/usr/bin/env bash
# tools/bench.sh NAME: builds and runs the benchmark tests/benchmark/NAME_benchmark.cc. Lines that begin with BENCH are its
# results: BENCH <metric> <value> <unit>.
set -euo pipefail
cd "$(dirname "$0")/.."

names=$(cd tests/benchmark && ls ./*_benchmark.cc | sed 's#^\./##; s#_benchmark\.cc$##' | paste -sd ' ')
name=${1:-}
if [[ ! -f tests/benchmark/${name}_benchmark.cc ]]; then
  echo "bench.sh: no benchmark '$name'; there are: $names" >&2
  exit 2
fi
shift
tools/build.sh release "${name}_benchmark" grapevined > /dev/null
exec "build/release/bin/${name}_benchmark" "$@"
