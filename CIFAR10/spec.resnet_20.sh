#!/usr/bin/env bash
# Prune and retrain ResNet-20 for each of the ten classes of CIFAR-10, then write the report.
#   PARENT=FILE  a trained network to start from, such as the published resnet20-12fca82f.th; without one it is trained
#   RATE=0.1     share of its weights that a class may keep
#   SAVED=DIR    where everything is written: saved_models/ beside this script, unless given
# Options given here go to every call of main.py last, so they win: ./spec.resnet_20.sh --data-dir ../../data
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=$here/../.venv/bin/python # what `make run` installed, unless another environment is active
if [[ -n ${VIRTUAL_ENV:-} || ! -x $python ]]; then python=python3; fi
saved=${SAVED:-$here/saved_models}
training=(--optimizer SGD --lr 0.1 --momentum 0.9 --weight-decay 5e-4 --epochs 100 --loss ce)

echo "Ten networks are pruned and retrained, about 40 epochs each: minutes apiece on a GPU, hours on a processor."
if [[ -z ${PARENT:-} ]]; then
    echo "There is no PARENT=FILE, so ResNet-20 is trained first, 100 epochs: minutes on a GPU, many hours on a processor."
    PARENT=$saved/ResNet_20.best_origin.pth.tar
    "$python" "$here/main.py" --arch ResNet_20 "${training[@]}" --save-dir "$saved" "$@"
fi
for class in {0..9}; do
    pruned=$saved/ResNet_20.specialize.$class.OSLOM.pth.tar
    "$python" "$here/main.py" --prune --specialize "$class" --rate "${RATE:-0.1}" --pretrained "$PARENT" --save-dir "$saved" "$@"
    "$python" "$here/main.py" --retrain --pretrained "$pruned" --save-dir "$saved" "$@"
done
exec "$python" "$here/main.py" --report --arch ResNet_20 --save-dir "$saved" "$@"
