#!/usr/bin/env bash
# Train LeNet-300-100, then prune and retrain it for each of the ten digits, then write the report.
# Options given here go to main.py last, so they win: ./spec.lenet_300_100.sh --data-dir ../../shared/data
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../.venv/bin/python # what `make run` installed, unless another environment is active
if [[ -n ${VIRTUAL_ENV:-} || ! -x $python ]]; then python=python3; fi

exec "$python" "$here/main.py" --sweep --arch LeNet_300_100 --rate 0.00265 "$@"
