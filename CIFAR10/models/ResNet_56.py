"""ResNet-56 (He et al. 2015, section 4.2)."""

from .resnet import ResNet


class ResNet_56(ResNet):
    """Three stages of nine blocks."""

    def __init__(self):
        super().__init__(blocks=9)
