"""The networks of this folder, the default first; the only place that lists them."""

from specdnn.structures import Networks

ARCHITECTURES = Networks(__name__, "ResNet_20", "ResNet_56", "VGG_11_BN")
