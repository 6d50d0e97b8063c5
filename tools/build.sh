#!/usr/bin/env bash
# tools/build.sh [PRESET] [TARGET...]: installs what is missing and builds. PRESET: release (default), dev, asan, tsan.
# Binaries land in build/PRESET/bin/.
set -euo pipefail
cd "$(dirname "$0")/.."

preset=${1:-release}
shift || true
targets=()
(($# == 0)) || targets=(--target "$@")

tools/install_packages.sh
cmake --preset "$preset" > /dev/null
cmake --build --preset "$preset" "${targets[@]}"
