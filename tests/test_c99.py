"""A network as one C99 header: what it computes is what torch computes, to 1e-5, for all that a file may hold."""

import ctypes
import math
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from c99_cases import SENTENCES, cases
from drawn_networks import Drawn
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_networks import Borrowing, Everything, LeNet_5, LeNet_300_100, Tied
from torch import nn
from zoo_networks import PaddedResNet20, half, randomised

from specdnn.network import c99, c99_memory, c99_moves, c99_program
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import SpecDNNError

COMPILER = shutil.which("gcc") or shutil.which("cc")
STRICT = ("-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror")
NEAR = 1e-5
DIGITS = (1, 28, 28)

needs_a_compiler = pytest.mark.skipif(not COMPILER, reason="needs gcc or cc on the PATH, which is not there")


def compiled(folder: Path, headers: dict[str, str], *flags: str):
    """name -> function (image, outputs) -> row of numbers, of headers that are compiled together."""
    lines = []
    for name, text in headers.items():
        (folder / f"{name}.h").write_text(text)
        call = f"void call_{name}(const float *image, float *probabilities)"
        lines += [f'#include "{name}.h"', f"{call};", f"{call} {{ {name}_predict(image, probabilities); }}"]
    (folder / "all.c").write_text("\n".join(lines) + "\n")
    built(folder, *flags, "-shared", "-fPIC", "all.c", "-o", "all.so", "-lm")
    library = ctypes.CDLL(str(folder / "all.so"))
    return {name: run_by(getattr(library, f"call_{name}")) for name in headers}


def built(folder: Path, *arguments: str, compiler: str = COMPILER) -> None:
    done = subprocess.run([compiler, *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run_by(function):
    def run(image: torch.Tensor, outputs: int) -> torch.Tensor:
        image, found = image.contiguous(), torch.full((outputs + 1,), 12345.0)
        function(ctypes.c_void_p(image.data_ptr()), ctypes.c_void_p(found.data_ptr()))
        assert found[-1] == 12345.0  # it writes what is its own
        return found[None, :-1]

    return run


def assert_alike(found, expected, what=""):
    assert torch.equal(found.isnan(), expected.isnan()), what
    assert torch.allclose(found, expected, rtol=NEAR, atol=NEAR, equal_nan=True), (what, found, expected)


@torch.no_grad()
def assert_the_header_does_as_torch(folder, network, shape, images=2, flags=(*STRICT, "-O1")):
    network = network.float().eval()
    predict = compiled(folder, {"net": c99.header(network, shape, "net")}, *flags)["net"]
    for _ in range(images):
        image = torch.randn(1, *shape)
        expected = network(image.clone())
        assert_alike(predict(image, expected.shape[1]), expected)


# ------------------------------------------------------------------------------------------ every operation


class Many(nn.Module):
    """Several operations, each on a part of one image of one dimension; their results side by side."""

    def __init__(self, shapes, functions):
        super().__init__()
        self.shapes, self.functions = shapes, functions
        self.inner = nn.ModuleList(f for f in functions if isinstance(f, nn.Module))

    def forward(self, image):
        sizes = [math.prod(shape) for shape in self.shapes]
        parts = image.split(sizes, 1)
        rows = [row(f(x.reshape(1, *s).clone())) for x, s, f in zip(parts, self.shapes, self.functions, strict=True)]
        self.widths = [one.shape[1] for one in rows]
        return torch.cat(rows, 1)


def row(found) -> torch.Tensor:
    found = found if isinstance(found, (tuple, list)) else [found]
    return torch.cat([x.float().reshape(1, -1) for x in found], 1)


ALL = cases()
CHUNKS = 8


@needs_a_compiler
@pytest.mark.parametrize("chunk", range(CHUNKS))
@torch.no_grad()
def test_every_operation_that_a_file_may_hold_is_computed_as_torch_does(chunk, tmp_path):
    torch.manual_seed(chunk)
    names = [name for name in list(ALL)[chunk::CHUNKS] for _ in ALL[name]]
    own = [one for name in list(ALL)[chunk::CHUNKS] for one in ALL[name]]
    network = Many(*zip(*own, strict=True)).eval()
    size = sum(math.prod(shape) for shape, _ in own)
    predict = compiled(tmp_path, {"net": c99.header(network, (size,), "net")}, *STRICT, "-O1")["net"]
    image = torch.randn(1, size)
    expected = network(image)
    found = predict(image, expected.shape[1])
    for name, one, other in zip(names, found.split(network.widths, 1), expected.split(network.widths, 1), strict=True):
        assert_alike(one, other, name)


@pytest.mark.parametrize("name", SENTENCES)
def test_what_has_no_words_in_c_is_told_by_a_sentence(name):
    call, said = SENTENCES[name]
    with pytest.raises(SpecDNNError) as error:
        c99.header(Many([(4, 6, 6)], [call]), (144,), "net")
    text = str(error.value)
    assert "cannot be written in C" in text and said in text and "\n" not in text
