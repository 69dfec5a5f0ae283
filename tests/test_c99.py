"""A network as one C99 header: what it computes is what torch computes, to 1e-5, for all that a file may hold."""

import ctypes
import itertools
import math
import operator
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from c99_cases import CALLS, MODULES, NONE, SENTENCES, cases, known
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
    predict = compiled(tmp_path, {"net": c99.header(network, (size,), "net")}, *STRICT)["net"]
    image = torch.randn(1, size)
    expected = network(image)
    found = predict(image, expected.shape[1])
    for name, one, other in zip(names, found.split(network.widths, 1), expected.split(network.widths, 1), strict=True):
        assert_alike(one, other, name)


@needs_a_compiler
def test_numbers_that_no_vector_has_are_the_nearest_that_one_has(tmp_path):
    table = nn.Embedding(3, 2)
    network = Many([(1,)], [lambda x: table(x.long())])
    predict = compiled(tmp_path, {"net": c99.header(network, (1,), "net")}, *STRICT)["net"]
    for number, row in ((-4.0, 0), (0.0, 0), (1.9, 1), (2.0, 2), (9e9, 2)):
        assert torch.equal(predict(torch.tensor([number]), 2)[0], table.weight[row])


def test_the_tables_of_calls_name_nothing_that_no_file_may_hold():
    words = {name.rpartition(".")[2] for name in ALL}
    assert set(CALLS) | set(MODULES) <= words and set(NONE) <= set(SENTENCES)


@pytest.mark.parametrize("name", SENTENCES)
def test_what_has_no_words_in_c_is_told_by_a_sentence(name):
    call, said = SENTENCES[name]
    with pytest.raises(SpecDNNError) as error:
        c99.header(Many([(4, 6, 6)], [call]), (144,), "net")
    text = str(error.value)
    assert "cannot be written in C" in text and said in text and "\n" not in text


# ------------------------------------------------------------------------------------------ whole networks


class Block(nn.Module):
    """A transformer's block on the places of a map, a transposed convolution and a map that is resized."""

    def __init__(self):
        super().__init__()
        self.patches, self.up = nn.Conv2d(1, 12, 7, 7), nn.ConvTranspose2d(12, 6, 4, 2, 1)
        self.block = nn.TransformerEncoderLayer(12, 3, 24, batch_first=True, activation="gelu")
        self.last = nn.Linear(6 * 16, 5)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        maps = self.up(self.block(tokens).transpose(1, 2).unflatten(2, (4, 4)))
        return self.last(nn.functional.interpolate(maps, size=(4, 4), mode="bilinear").flatten(1))


class OneStream(nn.Module):
    """Blocks whose inputs are added to their outputs."""

    def __init__(self, blocks=12):
        super().__init__()
        self.blocks = nn.ModuleList(nn.Conv2d(1 if k == 0 else 4, 4, 3, padding=1) for k in range(blocks))
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        for block in self.blocks:
            x = x + torch.relu(block(x))
        return self.last(x.mean((2, 3)))


NETWORKS = [LeNet_300_100, LeNet_5, Everything, Tied, Borrowing, Block, OneStream]


@needs_a_compiler
@pytest.mark.parametrize("kind", NETWORKS)
def test_a_network_is_computed_as_torch_does(kind, tmp_path):
    torch.manual_seed(0)
    assert_the_header_does_as_torch(tmp_path, kind(), DIGITS)


@needs_a_compiler
@pytest.mark.parametrize("kind", [LeNet_300_100, LeNet_5, Everything])
def test_so_is_what_a_cut_leaves(kind, tmp_path):
    torch.manual_seed(0)
    parent = CompactNetwork.parent(kind(), torch.randn(DIGITS))
    compact = cut(parent, half(parent.kept, parent.wiring.layers, np.random.default_rng(0)))
    assert_the_header_does_as_torch(tmp_path, compact.network, DIGITS)


@needs_a_compiler
def test_so_is_a_residual_network_of_twenty_layers_under_the_sanitizers(tmp_path):
    torch.manual_seed(0)
    network, image = randomised(PaddedResNet20().eval()), torch.randn(1, 3, 32, 32)
    (tmp_path / "net.h").write_text(c99.header(network, image.shape[1:], "net"))
    with torch.no_grad():
        expected = network(image)
    assert_alike(by_a_program(tmp_path, image, expected.shape[1]), expected)


def by_a_program(folder: Path, image: torch.Tensor, outputs: int) -> torch.Tensor:
    """What a program gives that reads an image and writes numbers, watched for every wrong place and number."""
    numbers = f"static float image[{image.numel()}], probabilities[{outputs}];"
    (folder / "main.c").write_text(f"""
#include <stdio.h>
#include "net.h"
{numbers}
int main(void)
{{
    if (fread(image, sizeof image, 1, stdin) != 1) return 1;
    net_predict(image, probabilities);
    return fwrite(probabilities, sizeof probabilities, 1, stdout) != 1;
}}
""")
    watched = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-g")
    try:
        built(folder, *STRICT, "-O1", *watched, "main.c", "-o", "main", "-lm")
    except AssertionError as error:
        if "cannot find" in str(error):
            pytest.skip("needs the sanitizers' libraries of the compiler, which are not there")
        raise
    done = subprocess.run([folder / "main"], input=image.numpy().tobytes(), capture_output=True)
    assert done.returncode == 0, done.stderr.decode()
    return torch.frombuffer(bytearray(done.stdout), dtype=torch.float32)[None]


@needs_a_compiler
@settings(max_examples=8)
@given(st.data())
def test_networks_drawn_at_random_and_cut_at_random_are_computed_as_torch_does(data):
    pick = lambda options: data.draw(st.sampled_from(list(options)))  # noqa: E731
    torch.manual_seed(0)
    network = Drawn(pick)
    parent = CompactNetwork.parent(network, torch.randn(2, 4, 4))
    seed = data.draw(st.integers(0, 1000))
    compact = cut(parent, half(parent.kept, parent.wiring.layers, np.random.default_rng(seed)))
    with tempfile.TemporaryDirectory() as folder:
        assert_the_header_does_as_torch(Path(folder), compact.network, (2, 4, 4), images=1, flags=(*STRICT, "-O1"))


# ------------------------------------------------------------------------------------------ the header


class Small(nn.Module):
    """A few of the pixels, three small layers, a probability: about 650 weights."""

    def __init__(self):
        super().__init__()
        self.register_buffer("pixels", torch.randperm(784)[:100])
        self.layers = nn.Sequential(
            *(nn.Linear(100, 6), nn.ReLU(), nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 1), nn.Sigmoid())
        )

    def forward(self, images):
        return self.layers(images.flatten(1).index_select(1, self.pixels))


@pytest.fixture(scope="module")
def small() -> str:
    torch.manual_seed(0)
    return c99.header(Small().eval(), DIGITS, "three")


@needs_a_compiler
def test_the_object_code_of_a_small_network_is_small(small, tmp_path):
    (tmp_path / "three.h").write_text(small)
    (tmp_path / "one.c").write_text(
        '#include "three.h"\nvoid ask(const float *i, float *p);\n'
        "void ask(const float *i, float *p) { three_predict(i, p); }\n"
    )
    built(tmp_path, *STRICT, "-Os", "-c", "one.c")
    assert (tmp_path / "one.o").stat().st_size <= 6 * 1024


@needs_a_compiler
def test_a_header_is_included_twice_uncalled_and_beside_another(small, tmp_path):
    (tmp_path / "three.h").write_text(small)
    (tmp_path / "four.h").write_text(small.replace("three", "four").replace("THREE", "FOUR"))
    (tmp_path / "one.c").write_text('#include "three.h"\n#include "three.h"\n#include "four.h"\n')
    (tmp_path / "two.c").write_text('#include "three.h"\nint main(void) { return 0; }\n')
    built(tmp_path, *STRICT, "one.c", "two.c", "-o", "program", "-lm")


class Needless(nn.Module):
    """Puts numbers beside the image and takes them away again, and computes what nobody reads."""

    def forward(self, image):
        beside = torch.cat((image.flatten(1), known(1, 5)), 1)
        needless = torch.cat((beside % 0.3, torch.relu(beside @ known(789, 789))), 1)
        return torch.cat((needless, beside[:, :780] * 2), 1)[:, 1578:]


@needs_a_compiler
def test_what_nobody_reads_is_not_written(tmp_path):
    assert_the_header_does_as_torch(tmp_path, Needless(), DIGITS)
    text = (tmp_path / "net.h").read_text()
    assert (
        "net_remainder" not in text and "net_w" not in text and "tables: 0 bytes" in text and "accumulates: 0" in text
    )


@pytest.mark.skipif(not shutil.which("g++"), reason="needs g++ on the PATH, which is not there")
def test_a_header_is_c_plus_plus_as_well(small, tmp_path):
    (tmp_path / "three.h").write_text(small)
    (tmp_path / "one.cpp").write_text('#include "three.h"\nint main() { return 0; }\n')
    built(tmp_path, "-std=c++11", *STRICT[1:], "one.cpp", "-o", "program", compiler="g++")


@needs_a_compiler
def test_the_workspace_may_lie_on_the_stack(tmp_path):
    torch.manual_seed(0)
    assert_the_header_does_as_torch(tmp_path, OneStream(3), (1, 8, 8), flags=(*STRICT, "-DNET_STORAGE="))


def test_the_same_network_gives_the_same_text(small):
    torch.manual_seed(0)
    assert c99.header(Small().eval(), DIGITS, "three") == small


def test_the_head_says_what_goes_in_and_out_and_what_it_takes(small):
    head = small[: small.index("*/")]
    workspace = int(re.search(r"workspace\[(\d+)\]", small).group(1))
    weights = sum(int(n) for n in re.findall(r"static const float \w+\[(\d+)\]", small))
    assert "image: 784 numbers, 1 x 28 x 28" in head and "probabilities: 1 number," in head
    assert f"Workspace: {4 * workspace} bytes" in head and f"Weights and tables: {4 * weights + 2 * 100} bytes" in head
    assert f"Multiply-accumulates: {100 * 6 + 6 * 5 + 5}." in head


def test_memory_is_known_at_once_and_no_file_but_the_standards_is_named(small):
    assert not re.search(r"malloc|calloc|alloca|free\(", small)
    assert set(re.findall(r"#include (\S+)", small)) == {"<math.h>", "<stdint.h>"}


@pytest.mark.parametrize("name", ["", "3", "a-b", "int", "größe", "a b", "a;", "x\n", "class"])
def test_a_name_that_is_none_in_c_is_refused(name):
    with pytest.raises(SpecDNNError, match="is no name in C"):
        c99.header(nn.Flatten(), DIGITS, name)


def test_what_gives_no_row_of_numbers_is_refused():
    with pytest.raises(SpecDNNError, match="one row of numbers"):
        c99.header(nn.Identity(), DIGITS, "net")


def test_a_network_that_fails_is_told_by_a_sentence():
    with pytest.raises(SpecDNNError, match="Linear cannot be written in C: .*[^.]$"):
        c99.header(nn.Linear(3, 2), DIGITS, "net")


# ------------------------------------------------------------------------------------------ its parts


@given(st.lists(st.floats(width=32), min_size=1, max_size=20))
def test_numbers_come_back_bit_for_bit(numbers):
    numbers = np.array(numbers, np.float32)
    for text, number in zip(c99_program.literals(numbers), numbers, strict=True):
        special = {"INFINITY": np.inf, "-INFINITY": -np.inf, "NAN": np.nan}
        again = special[text] if text in special else text.removesuffix("f")
        assert text in special or re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", text) and {".", "e"} & set(text)
        assert np.float32(again).tobytes() == number.tobytes() or np.isnan(number)


@settings(max_examples=40)
@given(st.data())
def test_copies_write_every_element_once_where_it_belongs(data):
    """Against torch: movements one after the other, of parts of two sources."""
    found = torch.arange(24).view(2, 3, 1, 4) + 80 * data.draw(st.integers(0, 1))
    for _ in range(data.draw(st.integers(1, 3))):
        found = data.draw(st.sampled_from(MOVES))(found)
    owners = (found >= 100).long()
    written = torch.full((found.numel(),), -1)
    for owner, copy in c99_moves.copies(found, owners):
        for place, address in turns(copy):
            assert int(owners.flatten()[place]) == owner and written[place] == -1
            written[place] = address
    assert torch.equal(written.view(found.shape), found)
    if c99_moves.strides(found):
        first, steps = c99_moves.strides(found)
        again = [first + sum(map(operator.mul, steps, at)) for at in itertools.product(*map(range, found.shape))]
        assert again == found.flatten().tolist()


MOVES = (
    lambda x: x.transpose(0, -1),
    lambda x: x.flip(0),
    lambda x: x.flatten(),
    lambda x: x.roll(3),
    lambda x: x.reshape(-1, x.shape[-1]),
    lambda x: torch.cat((x, x), -1),
    lambda x: x[..., ::2],
    lambda x: x.repeat_interleave(2, 0),
    lambda x: x.reshape(-1)[torch.randperm(x.numel(), generator=torch.Generator().manual_seed(0))],
    lambda x: x.unsqueeze(0).expand(3, *x.shape),
    lambda x: nn.functional.pad(x, (1, 2), value=7),
)


def turns(copy):
    """(place, address) of each turn of the loops."""
    counts = [range(axis.count) for axis in copy.axes]
    for indices in itertools.product(*counts):
        to, of = copy.to, copy.of
        for index, axis in zip(indices, copy.axes, strict=True):
            to += int(axis.to[index]) if torch.is_tensor(axis.to) else axis.to * index
            of += int(axis.of[index]) if torch.is_tensor(axis.of) else axis.of * index
        yield to, of


LIVES = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 12), st.integers(0, 6), st.booleans()), max_size=12)


@given(LIVES)
def test_buffers_that_live_at_the_same_time_share_no_memory(drawn):
    lives = {f"b{k}": c99_memory.Life(size, born, born + more) for k, (size, born, more, _) in enumerate(drawn)}
    heirs = {name: ("b" + str(k + 1),) for k, (name, one) in enumerate(zip(lives, drawn, strict=True)) if one[3]}
    for name, names in heirs.items():
        lives[name].heirs = names
    places, size = c99_memory.planned(lives)
    assert places.keys() == lives.keys()
    for one, other in itertools.combinations(lives, 2):
        a, b = lives[one], lives[other]
        inherits = (other in a.heirs and a.dies == b.born) or (one in b.heirs and b.dies == a.born)
        meet = a.born <= b.dies and b.born <= a.dies
        if meet and not (inherits and a.size == b.size and places[one] == places[other]):
            assert places[one] + a.size <= places[other] or places[other] + b.size <= places[one], (one, other)
    assert size == max((places[name] + life.size for name, life in lives.items()), default=0)


def test_a_workspace_is_no_larger_than_what_lives_at_once():
    """A stream of maps of 64 numbers: the sum, what is added to it, and nothing else."""
    text = c99.header(OneStream().eval(), (1, 4, 4), "net")
    assert int(re.search(r"workspace\[(\d+)\]", text).group(1)) <= 2 * 64 + 8
