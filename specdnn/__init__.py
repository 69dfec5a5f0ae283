"""SpecDNN: from a trained network, the small network that does just the part somebody needs.

small = specdnn.extract(model, data, classes=[3], max_params=20_000)
small.save("three.pth.tar")
network = specdnn.load("three.pth.tar")
"""

__version__ = "0.1.0"
DOOR = ("extract", "compose", "load", "Specialised")


def __getattr__(name: str) -> object:
    """What loads torch comes in when it is asked for."""
    if name in DOOR:
        from specdnn import extraction

        return getattr(extraction, name)
    if name == "SpecDNNError":
        from specdnn.structures import SpecDNNError

        return SpecDNNError
    raise AttributeError(f"module 'specdnn' has no attribute {name!r}")
