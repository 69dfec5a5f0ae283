"""VGG-11 with batch norm (Simonyan and Zisserman 2015, configuration A), for 32x32 images: one Linear at its end."""

from torch import nn

CHANNELS = (64,), (128,), (256, 256), (512, 512), (512, 512)  # of the convolutions before every pooling


class VGG_11_BN(nn.Module):
    """Eight convolutions and a Linear on 32x32 images."""

    def __init__(self):
        super().__init__()
        layers, inputs = [], 3
        for block in CHANNELS:
            for outputs in block:
                layers += [nn.Conv2d(inputs, outputs, kernel_size=3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
                inputs = outputs
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(512, 10)

    def forward(self, images):
        """Images (n, 3, 32, 32), normalised, to logits (n, 10)."""
        return self.classifier(self.features(images).flatten(1))
