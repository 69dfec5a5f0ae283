"""Say how long `spec.resnet_20.sh` will take here, from a few timed steps of ResNet-20.

python how_long.py [--trained]      # without the training of ResNet-20 itself
"""

import sys
import time

import torch
from models.ResNet_20 import ResNet_20

BATCH, BATCHES, STEPS = 128, 352, 3  # images of a step, steps of an epoch, steps that are timed
# What one class takes, in steps of the whole network: on two threads of a processor 6 epochs of a compact network take
# about as long as 4 of the whole one, and what comes before them as 2.
PER_CLASS = 6 * BATCHES
PARENT = 100 * BATCHES


def seconds_of_a_step(device: torch.device) -> float:
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


def main(trained: bool) -> None:
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.set_num_threads(min(2, torch.get_num_threads()))
    step = seconds_of_a_step(device)
    told = "" if trained else f"ResNet-20 is trained first (no PARENT=FILE), about {words(PARENT * step)}; "
    where = "this GPU" if device.type == "cuda" else "two threads of this processor"
    print(f"{told}ten classes take about {words(10 * PER_CLASS * step)} on {where}", flush=True)


if __name__ == "__main__":
    main("--trained" in sys.argv[1:])
