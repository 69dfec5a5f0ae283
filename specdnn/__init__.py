"""SpecDNN: from a trained network, the small network that does just the part somebody needs."""

import os

__version__ = "0.1.0"

# Read once, when torch loads its OpenMP runtime (libgomp): threads wait a little by spinning and then sleep. With the
# runtime's own, long spin the short operations of a small network take several times as long as soon as anything else
# runs on the machine.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
