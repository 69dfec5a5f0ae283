"""Prints, as JSON, what this machine makes of floats. Uses nothing of specdnn, so that no change of it shows here.

Another processor, or other versions of torch, numpy or the C library, may round a sum otherwise; then a result that
was recorded elsewhere says nothing. Every hash is of a small fixed computation with the kernels that a sweep uses.
"""

import hashlib
import json
import math

import numpy as np
import torch
from torch import nn

IMAGES, BATCH, EPOCHS = 1257, 128, 2  # those of `digits`: the last batch is a smaller one
DENSE = ((784, 300, 100, 10), (310, 90, 40, 1), (88, 7, 4, 1))  # pixels, ip1, ip2, outputs: whole, cut, compact
CONVOLUTIONAL = ((20, 50, 500, 10), (17, 43, 139, 1), (3, 8, 7, 1))  # conv1, conv2, ip1, outputs


def dense(pixels, ip1, ip2, outputs):
    """A network and the shape of its images."""
    hidden = (nn.Linear(pixels, ip1), nn.ReLU(), nn.Linear(ip1, ip2), nn.ReLU())
    return nn.Sequential(*hidden, nn.Linear(ip2, outputs)), (pixels,)


def convolutional(conv1, conv2, ip1, outputs):
    maps = (nn.Conv2d(1, conv1, 5), nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(conv1, conv2, 5), nn.MaxPool2d(2), nn.ReLU())
    hidden = (nn.Flatten(), nn.Linear(16 * conv2, ip1), nn.ReLU())
    return nn.Sequential(*maps, *hidden, nn.Linear(ip1, outputs)), (1, 28, 28)


def trained(network, shape) -> bytes:
    """Weights and outputs after two epochs of random images, as `training.train` goes about it."""
    network.to(memory_format=torch.channels_last)
    images, wanted = torch.rand(IMAGES, *shape), torch.rand(IMAGES, network[-1].out_features).round()
    batches = torch.arange(IMAGES).split(BATCH) * EPOCHS
    optimizer = torch.optim.AdamW(network.parameters(), 0.003, weight_decay=1e-4, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.003, total_steps=len(batches))
    for batch in batches:
        optimizer.zero_grad()
        loss = nn.functional.binary_cross_entropy_with_logits(network(images[batch]), wanted[batch])
        weights = (found for found in network.parameters() if found.ndim > 1)
        norms = (weight.transpose(0, 1).flatten(1).norm(dim=1).sum() for weight in weights)
        (loss + 1e-3 * sum(norms)).backward()
        optimizer.step()
        schedule.step()
    with torch.no_grad():
        outputs = network(images)
    return b"".join(found.detach().contiguous().numpy().tobytes() for found in (*network.parameters(), outputs))


def of_torch() -> bytes:
    """All networks, whole and cut, and the scaling of small images."""
    torch.manual_seed(1)
    small = nn.functional.interpolate(torch.rand(9, 1, 8, 8), size=(28, 28), mode="bilinear")
    networks = [dense(*widths) for widths in DENSE] + [convolutional(*widths) for widths in CONVOLUTIONAL]
    return small.numpy().tobytes() + b"".join(trained(*one) for one in networks)


def of_numpy() -> bytes:
    """Means, products, powers and logarithms of doubles; no product so large that its threads would count."""
    values = np.random.default_rng(1).random((800, 500))
    product = values[0, :9] @ values[:9]
    found = (values.mean(axis=0), values.sum(), product, values**0.5, np.log(values), np.exp(values))
    return b"".join(np.ascontiguousarray(one).tobytes() for one in found)


def of_the_c_library() -> bytes:
    """The functions that the oslom programs call."""
    places = [k / 37 for k in range(1, 4000)]
    functions = (math.log, math.lgamma, math.erfc, lambda x: math.exp(-x), lambda x: x**-1.7)
    found = [function(x) for function in functions for x in places]
    return np.array(found).tobytes()


def main() -> None:
    torch.set_num_threads(1)
    torch.set_deterministic_debug_mode("warn")
    parts = {"torch's": of_torch, "numpy's": of_numpy, "the C library's": of_the_c_library}
    found = {f"{name} floats": hashlib.sha256(part()).hexdigest() for name, part in parts.items()}
    found["instructions"] = torch.backends.cpu.get_cpu_capability()
    print(json.dumps({"torch": torch.__version__, **found}))


if __name__ == "__main__":
    main()
