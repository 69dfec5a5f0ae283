"""The folder CIFAR10/: both layouts of its images, their splits and augmentation, its networks."""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import MNIST_DATA
from torchvision import datasets as torchvision_datasets
from torchvision.transforms import functional

from specdnn import cli
from specdnn.network import evaluation, netfile
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import SpecDNNError

CPU = torch.device("cpu")
BATCHES = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PARAMETERS = {"ResNet_20": 269_722, "ResNet_56": 853_018, "VGG_11_BN": 9_231_114}
PUBLISHED = {"ResNet_20": "resnet20-12fca82f.th", "ResNet_56": "resnet56-4bfd9763.th"}


@pytest.fixture
def load(cifar_folder):
    """The data set of a folder."""
    return lambda place: cifar_folder.dataset.load("CIFAR10", place, CPU)


def drawn(batch: int, count: int = 10):
    """(images (n, 3, 32, 32), labels (n,)) uint8 of a batch, every class as often."""
    generator = np.random.default_rng(batch)
    return generator.integers(0, 256, (count, 3, 32, 32), np.uint8), np.arange(count, dtype=np.uint8) % 10


def records(images: np.ndarray, labels: np.ndarray) -> bytes:
    """The authors' binary layout, in a dull loop."""
    return b"".join(bytes([label]) + image.tobytes() for image, label in zip(images, labels, strict=True))


@pytest.fixture
def binary(tmp_path):
    """A folder with sixty images in the authors' binary layout."""
    (tmp_path / "cifar-10-batches-bin").mkdir()
    for number, name in enumerate(BATCHES):
        (tmp_path / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records(*drawn(number)))
    return tmp_path


@pytest.fixture
def pickled(tmp_path, monkeypatch):
    """A folder with the same images as torchvision lays them out, which is told the checksums of these files."""
    place, sums = tmp_path / "pickled" / "cifar-10-batches-py", {}
    place.mkdir(parents=True)
    for number, name in enumerate(BATCHES):
        images, labels = drawn(number)
        (place / name).write_bytes(pickle.dumps({"data": images.reshape(-1, 3072), "labels": labels.tolist()}, 2))
    (place / "batches.meta").write_bytes(pickle.dumps({"label_names": NAMES}, 2))
    for path in place.iterdir():
        sums[path.name] = hashlib.md5(path.read_bytes()).hexdigest()
    own = torchvision_datasets.CIFAR10
    monkeypatch.setattr(own, "train_list", [[name, sums[name]] for name in BATCHES[:5]])
    monkeypatch.setattr(own, "test_list", [["test_batch", sums["test_batch"]]])
    monkeypatch.setattr(own, "meta", {**own.meta, "md5": sums["batches.meta"]})
    return tmp_path / "pickled"


def without_network(monkeypatch):
    def broken(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(torchvision_datasets.CIFAR10, "download", broken)


def refused(load, place) -> str:
    with pytest.raises(SpecDNNError) as told:
        load(place)
    assert "\n" not in str(told.value)
    return str(told.value)


# ------------------------------------------------------------------------------------------ splits


def test_every_image_is_in_one_split_with_its_label_normalised_channel_by_channel(load, binary):
    data = load(binary)
    assert data.name == "CIFAR10" and list(data.class_names) == NAMES
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [40, 10, 10]
    known = {}
    for number in range(6):
        for image, label in zip(*drawn(number), strict=True):
            known[image.tobytes()] = (int(label), number)
    for name in ("train", "validation", "test"):
        split = data.split(name)
        assert split.images.dtype == torch.float32 and split.images.shape[1:] == (3, 32, 32)
        for image, label in zip(split.images.double(), split.labels.tolist(), strict=True):
            raw = torch.stack([image[0] * 0.229 + 0.485, image[1] * 0.224 + 0.456, image[2] * 0.225 + 0.406])
            own, batch = known.pop((raw * 255).round().to(torch.uint8).numpy().tobytes())
            assert own == label and (batch == 5) == (name == "test")
    assert known == {}


def test_the_held_out_images_are_stratified_and_do_not_move(load, binary):
    one, other = load(binary), load(binary)
    assert torch.bincount(one.validation.labels).tolist() == [1] * 10
    assert torch.bincount(one.train.labels).tolist() == [4] * 10
    assert torch.equal(one.validation.images, other.validation.images)


def test_both_layouts_give_the_same(load, binary, pickled):
    one, other = load(binary), load(pickled)
    for name in ("train", "validation", "test"):
        assert torch.equal(one.split(name).images, other.split(name).images)
        assert torch.equal(one.split(name).labels, other.split(name).labels)


def test_a_small_set_is_told(load, binary):
    assert load(binary).notes == (
        f"{binary / 'cifar-10-batches-bin'} holds 50 training and 10 test images, "
        "where CIFAR10 has 50,000 training and 10,000 test images",
    )


def test_the_real_images(cifar):
    assert [len(cifar.split(name)) for name in ("train", "validation", "test")] == [45_000, 5_000, 10_000]
    assert cifar.images_per_class() == {"train": (4500,) * 10, "validation": (500,) * 10, "test": (1000,) * 10}
    assert cifar.notes == ()


# ------------------------------------------------------------------------------------------ damaged files


def test_without_images_what_was_sought_is_told(load, monkeypatch, tmp_path, listing):
    without_network(monkeypatch)
    (tmp_path / "other").mkdir()
    before = listing(tmp_path)
    told = refused(load, tmp_path)
    for word in ("cifar-10-batches-py", "cifar-10-batches-bin", str(tmp_path), "--data-dir", "SPECDNN_DATA"):
        assert word in told
    assert "(" + str(tmp_path) + " holds other)" in told and "downloading failed" in told
    assert "downloading failed" in refused(load, tmp_path / "new" / "folder")
    assert listing(tmp_path) == before


def test_what_is_downloaded_lies_where_it_is_sought(load, monkeypatch, pickled, tmp_path):
    def download(self):
        place = Path(self.root, self.base_folder)
        place.mkdir()
        for path in (pickled / self.base_folder).iterdir():
            (place / path.name).write_bytes(path.read_bytes())

    monkeypatch.setattr(torchvision_datasets.CIFAR10, "download", download)
    found = load(tmp_path / "new")
    assert torch.equal(found.test.images, load(pickled).test.images)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["cifar-10-batches-py"]


@pytest.mark.parametrize("change", [-1, -3000, 1, 3074])
def test_a_batch_of_the_wrong_size(load, binary, change):
    path = binary / "cifar-10-batches-bin" / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes(content[:change] if change < 0 else content + bytes(change))
    told = refused(load, binary)
    assert str(path) in told and f"{30730 + change:,} bytes" in told and "3,073" in told


def test_an_empty_batch(load, binary):
    path = binary / "cifar-10-batches-bin" / "test_batch.bin"
    path.write_bytes(b"")
    assert f"{path} has 0 bytes" in refused(load, binary)


@pytest.mark.parametrize("label", [10, 255])
def test_a_label_that_there_is_not(load, binary, label):
    path = binary / "cifar-10-batches-bin" / "data_batch_2.bin"
    content = bytearray(path.read_bytes())
    content[4 * 3073] = label
    path.write_bytes(content)
    told = refused(load, binary)
    assert f"{path} holds label {label} (image 4" in told and "0 to 9" in told


def test_a_batch_that_is_missing(load, binary):
    (binary / "cifar-10-batches-bin" / "data_batch_5.bin").unlink()
    assert "cifar-10-batches-bin lacks data_batch_5.bin: add what is missing" in refused(load, binary)


def test_a_pickled_file_that_is_missing_or_another(load, pickled):
    """Nothing is unpickled that torchvision does not know."""
    path = pickled / "cifar-10-batches-py" / "data_batch_4"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    told = refused(load, pickled)
    assert f"{path} lacks its checksum" in told and "take the folder away" in told
    path.unlink()
    assert f"{path} is missing" in refused(load, pickled)


def test_too_few_images_of_a_class(load, binary):
    for number, name in enumerate(BATCHES[:5]):
        images, labels = drawn(number)
        labels[labels == 7] = 6
        if number == 0:
            labels[7] = 7
        (binary / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records(images, labels))
    assert "class 7 (horse) has 1, and at least 2 of each class are needed" in refused(load, binary)


# ------------------------------------------------------------------------------------------ augmentation


def crops(image: torch.Tensor) -> list[torch.Tensor]:
    """All that torchvision's RandomCrop(size, padding=4) and RandomHorizontalFlip can make of an image."""
    padded, size = functional.pad(image, 4), image.shape[1:]
    found = [functional.crop(padded, top, left, *size) for top in range(9) for left in range(9)]
    return found + [functional.hflip(one) for one in found]


def test_an_augmented_image_is_one_of_its_crops(cifar_folder):
    images = torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    found = cifar_folder.dataset.augmented(images, torch.Generator().manual_seed(1))
    assert found.shape == images.shape and found.dtype == images.dtype
    for image, made in zip(images, found, strict=True):
        assert sum(torch.equal(made, one) for one in crops(image)) == 1


def test_every_crop_is_drawn_about_as_often(cifar_folder):
    image = torch.arange(1.0, 121).view(1, 10, 12)
    names = {one.numpy().tobytes(): number for number, one in enumerate(crops(image))}
    assert len(names) == 162
    found = cifar_folder.dataset.augmented(image.expand(16200, 1, 10, 12), torch.Generator().manual_seed(0))
    counts = np.bincount([names[one.contiguous().numpy().tobytes()] for one in found], minlength=162)
    assert counts.min() > 60 and counts.max() < 140  # 100 each; four standard deviations are 40


def test_augmentation_draws_from_the_generator_alone(cifar_folder):
    images = torch.rand(8, 3, 32, 32)
    augmented = lambda seed: cifar_folder.dataset.augmented(images, torch.Generator().manual_seed(seed))  # noqa: E731
    first = augmented(1)
    torch.rand(5)
    assert torch.equal(first, augmented(1)) and not torch.equal(first, augmented(2))


def test_the_images_of_training_are_augmented(load, binary, cifar_folder):
    assert load(binary).augment is cifar_folder.dataset.augmented


# ------------------------------------------------------------------------------------------ networks


@pytest.mark.parametrize("arch", PARAMETERS)
def test_a_network_is_free_of_pins(cifar_folder, arch):
    network = cifar_folder.architectures[arch]()
    assert sum(p.numel() for p in network.parameters()) == PARAMETERS[arch]
    assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    wiring = CompactNetwork.parent(network, torch.zeros(3, 32, 32)).wiring
    assert wiring.pins == () and wiring.parent_sizes[1] == PARAMETERS[arch]
    assert wiring.layers.prunable == tuple(range(1, len(wiring.layers.layers) - 1))  # all but pixels and outputs


def names_of(blocks: int) -> set[str]:
    """The names in a published checkpoint."""
    norm = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    places = [""] + [f"layer{stage}.{block}." for stage in (1, 2, 3) for block in range(blocks)]
    found = {"linear.weight", "linear.bias"}
    for place in places:
        for number in (1, 2) if place else (1,):
            found |= {f"{place}conv{number}.weight", *(f"{place}bn{number}.{name}" for name in norm)}
    return found


@pytest.mark.parametrize(("arch", "blocks"), [("ResNet_20", 3), ("ResNet_56", 9)])
def test_published_names_load(cifar_folder, tmp_path, arch, blocks):
    state = cifar_folder.architectures[arch]().state_dict()
    assert set(state) == names_of(blocks)
    torch.save({"state_dict": {f"module.{name}": value for name, value in state.items()}}, tmp_path / "x.th")
    found = netfile.load(tmp_path / "x.th", cifar_folder.architectures, image=cifar_folder.dataset.IMAGE_SHAPE)
    assert found.arch == arch and all(
        torch.equal(value, state[name]) for name, value in found.compact.network.state_dict().items()
    )


@pytest.mark.parametrize(("arch", "right"), [("ResNet_20", 915), ("ResNet_56", 926)])
def test_a_published_network_on_real_images(cifar_folder, cifar, arch, right):
    """The first 1,000 test images; of all 10,000, 91.73 and 93.39 %."""
    path = MNIST_DATA / "pretrained" / PUBLISHED[arch]
    if not path.exists():
        pytest.skip(f"needs {path.name}: {path} is not there; SPECDNN_DATA names a folder with pretrained/{path.name}")
    found = netfile.load(path, cifar_folder.architectures, image=cifar_folder.dataset.IMAGE_SHAPE)
    logits = evaluation.logits_of(found.compact.network, cifar.test.images[:1000])
    assert abs(int((logits.argmax(1) == cifar.test.labels[:1000]).sum()) - right) <= 2  # of other processors


# ------------------------------------------------------------------------------------------ the script


@pytest.fixture
def script(cifar_folder, tmp_path):
    """Run the script with a Python that writes its words down: words, environment -> (finished process, calls)."""
    program, calls = tmp_path / "home" / "bin" / "python3", tmp_path / "calls"
    program.parent.mkdir(parents=True)
    program.write_text(f"#!/bin/sh\necho \"$@\" >> '{calls}'\ncase $FAIL in '') ;; *) exit 2;; esac\n")
    program.chmod(0o755)

    def run(*words, **more):
        own = {"VIRTUAL_ENV": str(tmp_path / "home"), "PATH": f"{program.parent}:{os.environ['PATH']}", **more}
        calls.unlink(missing_ok=True)
        done = subprocess.run(
            [cifar_folder.path / "spec.resnet_20.sh", *words], env=own, capture_output=True, text=True
        )
        return done, [line.replace(f"{cifar_folder.path}/", "") for line in calls.read_text().splitlines()]

    return run


def test_the_script_tells_how_long_trains_and_sweeps(script, cifar_folder):
    done, calls = script("--seed", "2", SAVED="a folder")
    assert done.returncode == 0, done.stderr
    estimate, trained, swept = calls
    assert re.fullmatch(r"how_long.py [1-4]", estimate) and all(
        call.endswith(" --save-dir a folder --seed 2") for call in (trained, swept)
    )
    assert trained.startswith("main.py --arch ResNet_20 --optimizer SGD")
    assert swept.startswith("main.py --sweep --pretrained a folder/ResNet_20.best_origin.pth.tar --rate 0.25 ")
    parser = cli.parser(cifar_folder.path, cifar_folder.architectures, cifar_folder.dataset)
    for call in (trained, swept):
        cli.chosen_verb(parser.parse_args(call.replace("a folder", "x").split()[1:]))


def test_the_script_starts_from_a_given_parent_and_stops_at_a_mistake(script):
    done, calls = script(PARENT="other.th", RATE="0.2")
    assert done.returncode == 0 and re.fullmatch(r"how_long.py [1-4] --trained", calls[0]) and len(calls) == 2
    assert calls[1].startswith("main.py --sweep --pretrained other.th --rate 0.2 ")
    done, calls = script(FAIL="yes")
    assert done.returncode == 2 and len(calls) == 1


@pytest.mark.parametrize("words", [["2"], ["2", "--trained"]])
def test_how_long_it_takes_is_told_from_a_few_steps(cifar_folder, words):
    done = subprocess.run(
        [sys.executable, cifar_folder.path / "how_long.py", *words], capture_output=True, text=True, check=True
    )
    assert re.search(r"ten classes take about [\d.]+ (minutes|hours) on this processor, 2 at once\n$", done.stdout)
    assert ("trained first" in done.stdout) == (words == ["2"])


# ------------------------------------------------------------------------------------------ the whole way


@pytest.fixture
def main(cifar_folder, binary, every_third, tmp_path, capsys):
    """`main.py` on sixty images, with a fake program -> what it prints."""

    def run(*words) -> str:
        words = [*["--threads", "1", "--batch-size", "20", "--data-dir"], binary, "--oslom-bin", every_third, *words]
        code = cli.main(cifar_folder.path, cifar_folder.architectures, cifar_folder.dataset, list(map(str, words)))
        out, err = capsys.readouterr()
        assert code == 0, err
        return out

    return run


def test_the_whole_way_of_one_class(main, load, binary, tmp_path):
    saved = tmp_path / "saved"
    stem = "ResNet_20.specialize.3"
    main("--epochs", 1, "--save-dir", saved)
    words = ("--warmup-epochs", 1, "--rounds", 1, "--brief-epochs", 1, "--rate", 0.3)
    main("--prune", "--specialize", 3, "--pretrained", saved / "ResNet_20.best_origin.pth.tar", *words)
    main("--retrain", "--epochs", 1, "--pretrained", saved / f"{stem}.OSLOM.pth.tar")
    found = json.loads((saved / f"{stem}.best_retrained.json").read_text())
    assert found["dataset"] == "CIFAR10" and found["pins"] == {} and found["true_rate"] <= 0.3
    assert "| 3 |" in main("--report", "--save-dir", saved)
    shown = json.loads((saved / "ResNet_20.exhibits.json").read_text())["classes"][0]
    held_out = load(binary).validation
    mean, deviation = (torch.tensor(one)[:, None, None] for one in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    (cat,) = held_out.images[held_out.labels == 3] * deviation + mean
    assert shown["name"] == "cat"
    np.testing.assert_allclose(shown["mean_image"], 255 * cat.mean(0), atol=0.501)


def test_the_same_seed_trains_the_same_network(main, tmp_path):
    for name in ("one", "two"):
        main("--epochs", 1, "--save-dir", tmp_path / name)
    one, two = ((tmp_path / name / "ResNet_20.best_origin.pth.tar").read_bytes() for name in ("one", "two"))
    assert one == two
