"""Training on a GPU, in a process of its own: the tests' own stays on the processor. Skips where there is no GPU."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TRAININGS = [arch + how for arch in ("LeNet_300_100", "LeNet_5") for how in ("", ", augmented", ", bfloat16")]


@pytest.fixture(scope="module")
def found():
    seen = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    child = [sys.executable, Path(__file__).with_name("on_cuda.py")]
    asked = subprocess.run(child, env=seen, capture_output=True, text=True, check=True)
    told = json.loads(asked.stdout)
    if told is None:
        pytest.skip("needs a GPU that torch can use")
    return told


@pytest.mark.parametrize("arch", TRAININGS)
def test_a_replayed_graph_is_the_plain_step(found, arch):
    assert found[arch]["is_plain"], found[arch]


@pytest.mark.parametrize("arch", TRAININGS)
def test_the_same_seed_gives_the_same_weights(found, arch):
    assert found[arch]["repeats"], found[arch]


@pytest.mark.parametrize("arch", TRAININGS)
def test_a_broken_training_goes_on_to_the_same_weights(found, arch):
    assert found[arch]["goes_on"], found[arch]
