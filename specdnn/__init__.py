"""SpecDNN: from a trained network, the small network that does just the part somebody needs."""

import os

__version__ = "0.1.0"

# Read once, when torch loads its OpenMP runtime (libgomp): threads wait a little by spinning and then sleep. With the
# runtime's own, long spin the short operations of a small network take several times as long as soon as anything else
# runs on the machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
# Likewise read once: without it matrix products on CUDA may differ from run to run.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
