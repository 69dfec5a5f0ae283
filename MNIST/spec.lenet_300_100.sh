#!/usr/bin/env bash
# Train LeNet-300-100, then prune and retrain it for each of the ten digits, then write the report.
# Up to four classes at once, one processor core and about a gigabyte of memory each; --jobs says otherwise.
# Options given here go to main.py last, so they win: ./spec.lenet_300_100.sh --data-dir ../../shared/data
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../.venv/bin/python # what `make run` installed, unless another environment is active
if [[ -n ${VIRTUAL_ENV:-} || ! -x $python ]]; then python=python3; fi
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)

exec "$python" "$here/main.py" --sweep --arch LeNet_300_100 --rate 0.00265 --threads 1 --jobs "$((cores < 4 ? cores : 4))" "$@"
