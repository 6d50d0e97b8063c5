#!/usr/bin/env bash
# tools/test.sh [PRESET] [CTEST ARGUMENTS...]: installs what is missing, builds, and runs all tests.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true

tools/build.sh "$preset"
ctest --preset "$preset" -j "$(nproc)" "$@"
