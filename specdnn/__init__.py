"""SpecDNN: from a trained network, the small network that does just the part somebody needs."""

__version__ = "0.1.0"
