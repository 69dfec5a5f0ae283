"""Train, prune and retrain the networks of this folder; `python main.py --help` tells all.

The published usage, from this folder:
    python main.py --arch LeNet_5
    python main.py --prune --specialize 0 --algo OSLOM --pretrained saved_models/LeNet_5.best_origin.pth.tar
    python main.py --retrain --specialize 0 --pretrained saved_models/LeNet_5.specialize.0.OSLOM.pth.tar
"""

import sys
from pathlib import Path

import dataset
from models import ARCHITECTURES

from specdnn.cli import main

if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent, ARCHITECTURES, dataset))
