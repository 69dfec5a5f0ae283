"""The Python door: `specdnn.extract` on networks as users write them, and what it leaves untouched."""

import copy
import subprocess
import sys

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import specdnn
from specdnn.network.surgery import CompactNetwork, cut
from specdnn.structures import SpecDNNError

BRIEF = {"warmup_epochs": 1, "brief_epochs": 1, "retrain_epochs": 1, "rounds": 1, "threads": 1}


class TwoConvolutions(nn.Module):
    """What a newcomer writes."""

    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 8, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 12, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(12)
        self.hidden = nn.Linear(12 * 7 * 7, 20)
        self.dropout = nn.Dropout(0.1)
        self.out = nn.Linear(20, 10)
        self.unused = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.norm1(self.first(x))), 2)
        x = nn.functional.max_pool2d(torch.relu(self.norm2(self.second(x))), 2)
        return self.out(self.dropout(torch.relu(self.hidden(x.view(-1, 12 * 49)))))


@pytest.fixture(scope="module")
def trained(digits):
    torch.manual_seed(0)
    model = TwoConvolutions()
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    for batch in torch.arange(len(digits.train)).split(64):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(digits.train.images[batch]), digits.train.labels[batch]).backward()
        optimizer.step()
    return model.eval()


@pytest.fixture(scope="module")
def extract(trained, digits, every_third):
    """`specdnn.extract` of the trained model on `digits`, with few epochs and a fake program."""
    data = (digits.train.images, digits.train.labels)

    def run(model=trained, data=data, classes=3, **others):
        return specdnn.extract(model, data, classes, **{**BRIEF, "oslom_bin": str(every_third), "rate": 0.1, **others})

    return run


@pytest.fixture(scope="module")
def small(extract):
    return extract()


def test_a_class_becomes_a_network_of_its_own(small, digits):
    logits = small.network(digits.test.images)
    assert logits.shape == (len(digits.test), 1)
    parameters = sum(p.numel() for p in small.network.parameters())
    assert parameters == small.metrics["true_parameters"] == small.wiring.parameters(small.kept)
    assert small.wiring.weights(small.kept) <= 0.1 * small.wiring.parent_sizes[0]
    assert small.metrics["split"] == "validation" and small.metrics["classes"] == [3]
    assert small.kept.classes == (3,) and small.community["rounds"] == 1


def test_it_is_shown_in_one_line(small):
    widths, told = "-".join(map(str, small.kept.widths)), small.metrics
    share = f"{told['true_parameters']:,} parameters, {100 * told['true_rate']:.3g} % of the weights"
    right = f"balanced accuracy {100 * told['balanced_accuracy']:.2f} %"
    assert repr(small) == f"<Specialised: {small.class_names[small.kept.classes[0]]}; {widths} units, {share}; {right}>"


def test_the_model_stays_as_it_was(extract, trained):
    model = copy.deepcopy(trained)
    model.first.weight.requires_grad_(False)
    model.norm1.train()
    before = copy.deepcopy(model.state_dict())
    extract(model)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model.first.weight.requires_grad and model.norm1.training and not model.norm2.training
    assert not model.first._forward_pre_hooks and all(
        p.grad is None or p.grad.isfinite().all() for p in model.parameters()
    )


def test_the_process_stays_as_it_was(extract):
    def state():
        modes = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
        return torch.get_rng_state().tolist(), torch.get_num_threads(), torch.get_default_dtype(), *modes

    torch.manual_seed(77)
    before = state()
    with torch.no_grad():
        extract(threads=2)
        assert not torch.is_grad_enabled()
    assert state() == before


def test_the_same_seed_gives_the_same_bytes(extract, small, tmp_path):
    torch.manual_seed(5)
    small.save(tmp_path / "one.pth.tar")
    extract().save(tmp_path / "two.pth.tar")
    extract(seed=2).save(tmp_path / "three.pth.tar")
    one, two, three = ((tmp_path / f"{name}.pth.tar").read_bytes() for name in ("one", "two", "three"))
    assert one == two != three


def test_a_saved_network_is_loaded_without_its_class(small, digits, tmp_path):
    small.save(tmp_path / "three.pth.tar")
    text = (
        "import sys, torch, specdnn; network = specdnn.load(sys.argv[1]); "
        "torch.save(network(torch.load(sys.argv[2], weights_only=True)), sys.argv[3])"
    )
    torch.save(digits.test.images, tmp_path / "images.pt")
    paths = [tmp_path / name for name in ("three.pth.tar", "images.pt", "logits.pt")]
    subprocess.run([sys.executable, "-c", text, *paths], check=True)
    loaded = torch.load(tmp_path / "logits.pt", weights_only=True)
    assert torch.allclose(loaded, small.network(digits.test.images), rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["Dataset", "DataLoader", "streamed"])
def test_images_may_come_in_any_form(extract, small, digits, kind):
    dataset = TensorDataset(digits.train.images, digits.train.labels)
    data = DataLoader(dataset, batch_size=7, shuffle=True) if kind == "DataLoader" else dataset
    found = extract(data=data, memory=0 if kind == "streamed" else 4e9)
    assert found.kept == small.kept
    assert found.metrics["balanced_accuracy"] == small.metrics["balanced_accuracy"]


def test_given_images_for_validation_and_test_are_used(extract, digits):
    split = lambda part: (part.images, part.labels)  # noqa: E731
    found = extract(validation=split(digits.validation), test=split(digits.test))
    assert found.metrics["split"] == "test"
    assert (found.metrics["validation_images"], found.metrics["test_images"]) == (180, 360)


def test_several_classes_have_an_output_each(extract, digits):
    found = extract(classes=[7, 0, 3])
    assert found.kept.classes == (0, 3, 7) and found.network(digits.test.images[:5]).shape == (5, 3)


def test_a_rival_follows_the_cuts_of_an_earlier_result(extract, small):
    rival = extract(algo="random", like=small)
    assert rival.kept.widths == small.kept.widths and rival.kept != small.kept
    assert rival.metrics["true_weights"] == small.metrics["true_weights"]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"classes": 10}, "no class 10"),
        ({"classes": []}, "names no class"),
        ({"algo": "magic"}, "no algo magic"),
        ({"epocs": 3}, "no option epocs"),
        ({"rate": -1}, "--rate must be"),
        ({"data": 3}, "data has no first image"),
        ({"max_params": 10, "rate": None}, "budget is below"),
        ({"class_names": ["a"]}, "1 names"),
        ({"algo": "OSLOM-null"}, "starts from the units that OSLOM kept"),
    ],
)
def test_what_is_wrong_is_told_in_a_sentence(extract, given, words):
    with pytest.raises(SpecDNNError, match=words) as error:
        extract(**given)
    assert "\n" not in str(error.value)


def test_labels_and_images_are_checked(extract, digits):
    images, labels = digits.train.images, digits.train.labels
    for data, words in [
        ((images, labels + 1), "labels go from 1 to 10"),
        ((images, labels[:-1]), "one whole number per image"),
        ((images, labels.float()), "one whole number per image"),
        (((images * 50).to(torch.uint8), labels), "such as x / 255"),
    ]:
        with pytest.raises(SpecDNNError, match=words):
            extract(data=data)


@pytest.mark.parametrize("wrapped", ["DataParallel", "bfloat16"])
def test_wrapped_and_half_precision_models_work(extract, trained, small, wrapped):
    model = copy.deepcopy(trained)
    model = nn.DataParallel(model) if wrapped == "DataParallel" else model.to(torch.bfloat16)
    found = extract(model)
    assert next(found.network.parameters()).dtype == torch.float32
    assert (found.kept == small.kept) or wrapped == "bfloat16"


def test_the_readme_example_is_this_door():
    assert {"extract", "load", "Specialised"} <= set(specdnn.DOOR)


class Normalised(nn.Module):
    """A LayerNorm pins the units that it normalises together."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.hidden, self.out = (
            nn.Linear(784, 12),
            nn.LayerNorm(12),
            nn.Linear(12, 30),
            nn.Linear(30, 10),
        )

    def forward(self, x):
        return self.out(torch.relu(self.hidden(self.norm(self.first(x.flatten(1))))))


def test_what_is_pinned_is_told_in_the_log_and_in_the_metrics(extract):
    torch.manual_seed(1)
    said = []
    found = extract(Normalised(), rate=0.5, log=said.append)
    assert "12 of 42 units are pinned and stay, since not understood is: LayerNorm norm (12)" in said
    assert found.metrics["pins"] == {"LayerNorm norm": 12} and found.kept.widths[1] == 12


def test_without_training_regression_makes_up_for_what_is_gone(trained, digits):
    """Closer to the parent's output than the same units of the parent as they are."""
    data = (digits.train.images, digits.train.labels)
    small = specdnn.extract(trained, data, 3, train=False, algo="relevance", rate=0.1, threads=1)
    assert [step["stage"] for step in small.community["steps"]] == ["warm-up", "trim 1"]
    assert small.metrics["options"]["retrain_epochs"] == 0
    assert small.metrics["true_weights"] <= 0.1 * small.wiring.parent_sizes[0]
    plain = cut(CompactNetwork.parent(trained, digits.train.images[0]), small.kept).network.eval()
    with torch.no_grad():
        expected = trained(digits.test.images)[:, 3]
        errors = [(one(digits.test.images)[:, 0] - expected).pow(2).mean() for one in (small.network, plain)]
    assert errors[0] < errors[1] / 2


class Sentences(nn.Module):
    """Which of four topics most words are of, 25 words each."""

    def __init__(self):
        super().__init__()
        self.words, self.hidden, self.out = nn.Embedding(100, 16), nn.Linear(16, 24), nn.Linear(24, 4)

    def forward(self, words):
        return self.out(torch.relu(self.hidden(self.words(words).mean(1))))


def test_what_reads_words_is_specialised_and_leaves_the_house(tmp_path):
    torch.manual_seed(0)
    words, model = torch.randint(0, 100, (1000, 9)), Sentences()
    topics = (words // 25).mode(1)[0]
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    for batch in torch.arange(len(words)).repeat(5).split(50):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(words[batch]), topics[batch]).backward()
        optimizer.step()
    small = specdnn.extract(model, (words, topics), 2, algo="magnitude", rate=0.5, **{**BRIEF, "retrain_epochs": 20})
    assert small.metrics["balanced_accuracy"] > 0.8 and small.kept.widths[1] < 16
    small.save(tmp_path / "x.pth.tar")
    assert torch.equal(specdnn.load(tmp_path / "x.pth.tar")(words[:5]), small.network(words[:5]))
    small.export(tmp_path / "x")  # the ONNX file and the C give what torch gives, or it raises


def test_whole_numbers_are_no_images_of_other_networks(extract, digits):
    pixels = (digits.train.images * 255).long()
    with pytest.raises(SpecDNNError, match="images are torch.int64; give numbers as the network takes them"):
        extract(data=(pixels, digits.train.labels))


class Shifted(Sentences):
    """Looks up another word than it is given."""

    def forward(self, words):
        return super().forward(words - 3)


@pytest.mark.parametrize("wrong", [100, -1])
def test_a_word_that_no_vector_is_for_is_told_before_anything_is_trained(wrong):
    words = torch.randint(0, 100, (60, 9), generator=torch.Generator().manual_seed(0))
    other, topics = words.clone(), torch.arange(60) % 4
    words[0, 0], words[0, 1], other[7, 2] = 0, 99, wrong
    told = f"test: words go from {min(wrong, 0)} to {max(wrong, 99)}; the network has words 0 to 99"
    for given in ((other, topics), list(zip(other, topics.tolist(), strict=True))):
        with pytest.raises(SpecDNNError) as error:
            specdnn.extract(Sentences(), (words, topics), 2, rate=0.5, test=given)
        assert str(error.value) == told


def test_words_may_be_shifted_before_they_are_looked_up_and_then_nobody_knows_how_many_there_are():
    plain, shifted = Sentences(), Shifted()
    parents = [CompactNetwork.parent(model, torch.full((9,), 50)) for model in (plain, shifted)]
    assert [parent.wiring.vocabulary for parent in parents] == [100, float("inf")]
    words = torch.randint(3, 100, (5, 9))
    assert torch.equal(parents[1].network(words), shifted(words)) and parents[1].kept.widths == parents[0].kept.widths
    assert CompactNetwork.parent(nn.Sequential(nn.Linear(4, 3)), torch.zeros(4)).wiring.vocabulary == 0
