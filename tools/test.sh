#!/usr/bin/env bash
# tools/test.sh [PRESET] [CTEST ARGUMENTS...]: installs what is missing, builds, and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true

tools/build.sh "$preset"
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
ctest --preset "$preset" -j "$(nproc)" "$@" | tee "$report" || status=$?
# Once more: behind its summary ctest lists the tests that were skipped.
grep -a 'tests passed, ' "$report" | tail -n 1 || true
exit "$status"
