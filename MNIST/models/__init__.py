"""The networks of this folder, the default first; the only place that lists them."""

from models.LeNet_5 import LeNet_5
from models.LeNet_300_100 import LeNet_300_100
from models.Linear import Linear

ARCHITECTURES = {"LeNet_300_100": LeNet_300_100, "LeNet_5": LeNet_5, "Linear": Linear}
