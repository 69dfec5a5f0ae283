"""Say how long `spec.resnet_20.sh` will take here, from a few timed steps of ResNet-20.

python how_long.py JOBS [--trained]      # so many classes at once; without the training of ResNet-20 itself
"""

import math
import sys
import time

import torch
from models.ResNet_20 import ResNet_20

BATCH, BATCHES, STEPS = 128, 352, 3  # images of a step, steps of an epoch, steps that are timed
# What one class takes, in steps of the whole network on one thread: 15 epochs of two fifths of the images, in which a
# step of the compact network takes 0.56 of one of the whole, and as long as 300 steps before them.
PER_CLASS = round(15 * 0.4 * BATCHES * 0.56) + 300
PARENT = 100 * BATCHES  # on two threads


def seconds_of_a_step(device: torch.device, threads: int) -> float:
    torch.set_num_threads(threads)
    network = ResNet_20().to(device)
    images = torch.randn(BATCH, 3, 32, 32, device=device)

    def step() -> float:
        return network(images).square().mean().backward() or float(next(network.parameters()).grad.sum())

    step()  # the first one allocates
    start = time.perf_counter()
    for _ in range(STEPS):
        step()
    return (time.perf_counter() - start) / STEPS


def words(seconds: float) -> str:
    return f"{seconds / 3600:.1f} hours" if seconds > 5400 else f"{max(1, round(seconds / 60))} minutes"


def main(jobs: int, trained: bool) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    parent = "" if trained else words(PARENT * seconds_of_a_step(device, 2))
    told = f"ResNet-20 is trained first (no PARENT=FILE), about {parent}; " if parent else ""
    classes = words(math.ceil(10 / jobs) * PER_CLASS * seconds_of_a_step(device, 1))
    where = "this GPU" if device.type == "cuda" else "this processor"
    print(f"{told}ten classes take about {classes} on {where}, {jobs} at once", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), "--trained" in sys.argv[2:])
