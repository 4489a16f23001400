#!/usr/bin/env bash
# Runs the tests that need an NVIDIA GPU and writes their figures to bench/results/.
#
#   tests/gpu/run.sh [part of a test's name ...]
#
# GPU_TEST_CHECKPOINTS: where the full-size random checkpoints are made and kept (8 GB). GPU_TEST_RESULTS: another
# folder for the figures.
set -euo pipefail
cd "$(dirname "$0")/../.."
export GPU_TEST_COMMIT="${GPU_TEST_COMMIT:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}"
names=$(IFS='|'; echo "${*:-}")
# Warnings of packages on a GPU host are not ours to mend: they are shown, not raised. The time limit of the test
# plugin is left to whoever runs this.
exec "${PYTHON:-python3}" -m pytest tests/gpu -m gpu -W default -p no:cacheprovider -o timeout=0 --durations=0 -k "${names//|/ or }"
