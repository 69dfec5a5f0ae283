"""ResNet-20 (He et al. 2015, section 4.2)."""

from .resnet import ResNet


class ResNet_20(ResNet):
    """Three stages of three blocks."""

    def __init__(self):
        super().__init__(blocks=3)
