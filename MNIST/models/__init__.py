"""The networks of this folder, the default first; the only place that lists them."""

from specdnn.structures import Networks

ARCHITECTURES = Networks(__name__, "LeNet_300_100", "LeNet_5", "Linear")
