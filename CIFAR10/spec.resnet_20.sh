#!/usr/bin/env bash
# Prune and retrain ResNet-20 for each of the ten classes of CIFAR-10, then write the report.
#   PARENT=FILE  a trained network to start from, such as the published resnet20-12fca82f.th; without one it is trained
#   RATE=0.25    share of its weights that a class may keep
#   SAVED=DIR    where everything is written: saved_models/ beside this script, unless given
# Up to four classes at once; --jobs says otherwise. Each takes a processor core, and two gigabytes of memory, six while it is cut.
# Options given here go to every call of main.py last, so they win: ./spec.resnet_20.sh --data-dir ../../data
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../.venv/bin/python # what `make run` installed, unless another environment is active
if [[ -n ${VIRTUAL_ENV:-} || ! -x $python ]]; then python=python3; fi
cores=$(nproc 2>/dev/null || getconf _NPROCESSORS_ONLN)
jobs=$((cores < 4 ? cores : 4))
saved=${SAVED:-$here/saved_models}
training=(--optimizer SGD --lr 0.1 --momentum 0.9 --weight-decay 5e-4 --epochs 100 --loss ce)
# Nothing is trained before the long retraining: what a cut removes is made up for by regression.
recipe=(--warmup-epochs 0 --rounds 1 --brief-epochs 0 --compensate regress --candidates shape)
recipe+=(--rest 3 --retrain-epochs 15 --retrain-lr 0.01 --threshold balanced)
sweep=(--rate "${RATE:-0.25}" --threads 1 --jobs "$jobs" "${recipe[@]}")

"$python" "$here/how_long.py" "$jobs" ${PARENT:+--trained}
if [[ -z ${PARENT:-} ]]; then
    PARENT=$saved/ResNet_20.best_origin.pth.tar
    "$python" "$here/main.py" --arch ResNet_20 "${training[@]}" --save-dir "$saved" "$@"
fi
exec "$python" "$here/main.py" --sweep --pretrained "$PARENT" "${sweep[@]}" --save-dir "$saved" "$@"
