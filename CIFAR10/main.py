"""Train, prune and retrain the networks of this folder; `python main.py --help` tells all.

From this folder, the published ResNet-20 and what is left of it for one class:
    python main.py --evaluate --pretrained resnet20-12fca82f.th
    python main.py --prune --specialize 3 --pretrained resnet20-12fca82f.th --save-dir saved_models
    python main.py --retrain --specialize 3 --pretrained saved_models/ResNet_20.specialize.3.OSLOM.pth.tar
"""

import sys
from pathlib import Path

import dataset
from models import ARCHITECTURES

from specdnn.cli import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent, ARCHITECTURES, dataset))
