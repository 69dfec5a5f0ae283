"""A stage that was broken goes on from its last step or saved epoch, and leaves the bytes of one that never was."""

import functools
import json
import random
import shutil

import forks
import pytest
import torch
from torch import nn

from specdnn import cli, files, memory, verbs
from specdnn.memory import Clock, Memory
from specdnn.network import training
from specdnn.network.surgery import CompactNetwork
from specdnn.structures import Recipe, Split

CELL = "--sweep --dataset digits --classes 3 --epochs 2 --warmup-epochs 2 --brief-epochs 2 --retrain-epochs 2"
SHORT = f"{CELL} --rounds 1 --trim-steps 1 --rate 0.02 --save-every 1"
PARENT, PRUNED = "LeNet_300_100.best_origin", "LeNet_300_100.specialize.3.OSLOM"


# ------------------------------------------------------------------------------------------ one training


class Drawing(nn.Module):
    """A network that draws numbers and gathers statistics while it is trained."""

    def __init__(self):
        super().__init__()
        self.first, self.norm, self.drop = nn.Conv2d(1, 6, 3), nn.BatchNorm2d(6), nn.Dropout(0.3)
        self.second, self.last = nn.Conv2d(6, 4, 3), nn.Linear(4 * 4 * 4, 3)

    def forward(self, x):
        x = torch.relu(self.norm(self.first(x)))
        return self.last(self.drop(torch.relu(self.second(x))).flatten(1))


def noisy(images, generator):
    return images + 0.1 * torch.randn(images.shape, generator=generator)


def network() -> CompactNetwork:
    torch.manual_seed(3)
    return CompactNetwork.parent(Drawing(), torch.zeros(1, 8, 8))


def images(count: int) -> Split:
    generator = torch.Generator().manual_seed(4)
    labels = torch.randint(4, (count,), generator=generator)
    return Split(torch.randn(count, 1, 8, 8, generator=generator) + labels[:, None, None, None], labels)


@pytest.mark.parametrize(
    "how",
    [
        {"optimizer": "AdamW", "group_l1": 1e-3},
        {"optimizer": "SGD", "lr_epochs": 2},
        {"optimizer": "SGD", "weight_decay": 0.01},
        {"rest": 0.5},
        {"precision": "bfloat16"},
    ],
)
@pytest.mark.parametrize("augment", [None, noisy])
def test_a_training_broken_behind_any_epoch_goes_on_to_the_last_bit(how, augment):
    data, recipe = images(50), Recipe(epochs=5, lr=0.02, batch_size=16, seed=7, **how)
    score = lambda logits: float((logits.argmax(1) == data.labels).float().mean())  # noqa: E731
    train = functools.partial(
        training.train, data=data, classes=range(3), recipe=recipe, validate=score, validation=data, augment=augment
    )
    whole, kept = network(), []
    records = [kept.append(memory.sealed(record.state(), "")) or record for record in train(whole)]
    for broken, saved in enumerate(kept, start=1):
        torch.manual_seed(broken)  # of no use for what follows
        again = network()
        assert list(train(again, state=memory.unsealed(saved, ""))) == records[broken:]
        for name, tensor in whole.network.state_dict().items():
            other = again.network.state_dict()[name]
            assert torch.equal(tensor, other) and tensor.stride() == other.stride(), (broken, name)


def test_a_finished_training_is_restored_as_it_left_the_network():
    data, whole, again = images(50), network(), network()
    score = lambda logits: float((logits.argmax(1) == data.labels).float().mean())  # noqa: E731
    list(training.train(whole, data, range(3), recipe := Recipe(2, 0.02), score, data))
    training.restore(again, data, recipe, whole.network.state_dict())
    for one, other in zip(whole.network.parameters(), again.network.parameters(), strict=True):
        assert torch.equal(one, other) and one.stride() == other.stride()
    assert [m.training for m in whole.network.modules()] == [m.training for m in again.network.modules()]


# ------------------------------------------------------------------------------------------ what is remembered


def test_steps_are_remembered_in_their_order_with_their_seconds(tmp_path):
    said, clock = [], Clock({"train": 5.0})
    before = Memory.opened(tmp_path / "x.pth.tar", "these options", clock, said.append)
    before.once("first", lambda: {"tensor": torch.arange(3.0), "pair": (1, None), "text": "ü"})
    assert before.begin("second") is None
    before.keep({"half": True}, "epoch 1/2")
    assert said == [] and sorted(path.name for path in tmp_path.rglob("*.step")) == ["1.step", "2.step"]

    after = Memory.opened(tmp_path / "x.pth.tar", "these options", Clock({"prune": 1.0}), said.append)
    assert said == ["x.pth.tar: goes on after second, epoch 1/2"]
    found = after.once("first", lambda: pytest.fail("it is done again"))
    assert torch.equal(found["tensor"], torch.arange(3.0)) and found["pair"] == (1, None) and found["text"] == "ü"
    assert after.clock.seconds == {"train": 5.0, "prune": 1.0}
    assert after.begin("second") == {"half": True} and after.begin("third") is None


def test_the_seconds_of_what_is_running_are_remembered_too():
    clock = Clock({"trim": 100.0})
    with clock("trim"):
        assert 100 <= clock.so_far()["trim"] < 110
        clock.seconds["trim"] = 200.0  # as a memory tells it
    assert 200 <= clock.seconds["trim"] < 210 and clock.so_far() == clock.seconds


def test_a_step_of_another_name_is_not_taken_for_this_one(tmp_path):
    path = tmp_path / "x.pth.tar"
    before = Memory.opened(path, "", Clock(), print)
    for name in "abc":
        before.once(name, dict)
    after = Memory.opened(path, "", Clock(), print)
    assert after.begin("a") == {} and after.begin("B") is None and after.begin("c") is None


@pytest.mark.parametrize("every, due", [(0, []), (1, [1, 2, 3, 4]), (3, [3]), (None, [])])
def test_when_a_training_is_saved(tmp_path, every, due):
    kept = Memory.opened(tmp_path / "x.pth.tar", "", Clock(), print)
    kept.begin("train")
    assert [epoch for epoch in (1, 2, 3, 4) if kept.is_due(epoch, every)] == due
    assert not Memory().is_due(1, 1)  # of Python, which has no folder
    kept.since -= memory.A_WHILE + 1
    assert kept.is_due(1, None) and not kept.is_due(1, 0)


def test_without_a_folder_nothing_is_remembered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Memory().once("first", lambda: {"a": 1}) == {"a": 1} and list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------------------ broken behind any step


@pytest.fixture(autouse=True, scope="module")
def no_report():
    """It is made of what the stages leave, and takes longer than they do here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "report", lambda *_, **__: None)
        yield


@pytest.fixture
def broken(call, capsys, monkeypatch):
    """A command that is broken off behind every n-th thing that it remembers, and goes on, to its end.

    Returns what all runs printed.
    """
    keep, written = Memory.keep, []

    def run(every, *words) -> list[str]:
        def once(self, left, until=""):
            keep(self, left, until)
            written.append(self.step)
            if len(written) % every == 0:
                raise KeyboardInterrupt

        outs = []
        with monkeypatch.context() as patch:
            patch.setattr(Memory, "keep", once)
            while (code := call(*words)) == 130:
                outs.append(capsys.readouterr().out)
        assert code == 0 and len(written) // every == len(outs) > 1, capsys.readouterr().err
        return [*outs, capsys.readouterr().out]

    return run


WAYS = {  # words, and behind every which of the things that are remembered it is broken
    "two candidates": ("--algos OSLOM magnitude --rounds 2 --trim-steps 1 --rate 0.02 --save-every 1", 2),
    "multiples": ("--rounds 1 --trim-steps 1 --max-params 4000 --round-to 4 --candidates score", 2),
    "untrained": ("--warmup-epochs 0 --brief-epochs 0 --compensate regress --rounds 1 --rate 0.1 --threshold f1", 1),
    "bisection": ("--rounds 1 --brief-epochs 1 --trim-steps 1 --candidates shape --rate 0.01 --min-balanced 0.5", 5),
    "other search": ("--algo CCME --rounds 1 --trim-steps 1 --candidates shape --rate 0.1", 2),
}


def epochs_in(*outs: str) -> list[str]:
    """What is told of epochs, but of a warm-up, which the next algorithm does again if the one before is finished."""
    lines = [line for out in outs for line in out.splitlines() if " epoch " in line]
    return sorted(line for line in lines if "goes on after" not in line and "warm-up" not in line)


@pytest.mark.parametrize("way", WAYS)
def test_a_sweep_broken_behind_its_steps_leaves_the_same_bytes(main, broken, parents, every_third, tmp_path, way):
    words, every = WAYS[way]
    given = (words, "--oslom-bin", every_third, "--pretrained", parents["LeNet_300_100"], "--save-dir")
    outs = broken(every, CELL, *given, tmp_path / "broken")
    done = main(CELL, *given, tmp_path / "whole")
    assert done.code == 0, done.err
    one, other = (forks.contents(tmp_path / name) for name in ("whole", "broken"))
    assert list(one) == list(other) and [name for name in one if one[name] != other[name]] == []
    assert epochs_in(*outs) == epochs_in(done.out)


def test_the_warm_up_is_remembered_for_every_algorithm_that_shares_it(main, every_third, monkeypatch, tmp_path):
    """The first one that shares it is finished; the process of the second ends, and with it the warmed-up network."""
    words = (SHORT, "--algos OSLOM magnitude --oslom-bin", every_third, "--save-dir", tmp_path)
    keep = Memory.keep

    def until_the_second(self, left, until=""):
        keep(self, left, until)
        if "magnitude" in str(self.folder) and self.step.startswith("round 1"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "keep", until_the_second)
        assert main(*words).code == 130
    done = main(*words)
    assert done.code == 0 and "warm-up epoch" not in done.out
    assert "LeNet_300_100.specialize.3.magnitude.pth.tar: goes on after round 1 to " in done.out
    names = [f"LeNet_300_100.specialize.3.{algo}.pth.tar" for algo in ("OSLOM", "magnitude")]
    first, second = (json.loads(files.metrics_path(tmp_path / "digits" / name).read_text()) for name in names)
    assert second["seconds"]["warm-up"] >= first["seconds"]["warm-up"] > 0


# ------------------------------------------------------------------------------------------ what cannot be used


@pytest.fixture(scope="module")
def halfway(call, every_third, tmp_path_factory):
    """A folder with a parent and the first steps of its extraction; the words of that; the whole result."""
    whole, place = (tmp_path_factory.mktemp(name) for name in ("whole", "halfway"))
    words = (SHORT, "--oslom-bin", every_third, "--save-dir")
    keep = Memory.keep

    def until_the_third(self, left, until=""):
        keep(self, left, until)
        if self.number == 3:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Memory, "keep", until_the_third)
        assert call(*words, place) == 130
    assert call(*words, whole) == 0
    return place, words, forks.contents(whole)


@pytest.fixture
def resumed(halfway, main, tmp_path):
    """That sweep goes on, after something is done to its first steps: (damage, more words) -> lines of the log."""
    place, words, whole = halfway
    saved = tmp_path / "saved"
    shutil.copytree(place, saved)

    def run(damage, *more, alike=True):
        damage(saved / "digits" / f"{PRUNED}.resume")
        done = main(*words, saved, *more)
        assert done.code == 0, done.err
        assert not alike or forks.contents(saved) == whole
        assert not list(saved.rglob("*.resume"))
        return [line for line in done.out.splitlines() if ".resume" in line or "goes on" in line]

    return run


def changed(number, change):
    def damage(folder):
        path = folder / f"{number}.step"
        path.write_bytes(change(path.read_bytes()))

    return damage


def flipped(content: bytes) -> bytes:
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def test_a_broken_run_goes_on(resumed):
    assert [line.partition("/digits/")[2] or line for line in resumed(lambda folder: None)] == [
        f"{PRUNED}.pth.tar: goes on after round 1 to 201-57-19, epoch 1/2"
    ]


@pytest.mark.parametrize("change", [flipped, lambda c: c[:-1], lambda c: b"x" * 3000])
def test_a_damaged_file_costs_what_comes_behind_it(resumed, change):
    (damaged,) = resumed(changed(1, change))
    assert damaged.endswith(f"{PRUNED}.resume/1.step is damaged: the stage begins anew")


def test_of_a_damaged_file_the_steps_before_it_stay(resumed):
    damaged, on = resumed(changed(3, flipped))
    assert damaged.endswith("3.step is damaged: this step is done again")
    assert on.endswith("goes on after the search of round 1")


def test_other_options_begin_anew(resumed, main):
    (told,) = resumed(lambda folder: None, "--brief-lr 0.004", alike=False)
    assert told.endswith("1.step was left with other options, inputs or versions: the stage begins anew")


def test_another_network_of_the_same_name_begins_anew(main, folder, capsys, monkeypatch, tmp_path):
    words = ["--dataset", "digits", "--epochs", "2", "--save-every", "1", "--threads", "1", "--save-dir"]
    keep = Memory.keep

    def once(self, left, until=""):
        keep(self, left, until)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Memory, "keep", once)
        assert main(*words, tmp_path).code == 130
    other = {"LeNet_300_100": folder.architectures["LeNet_5"]}
    assert cli.main(folder.path, other, folder.dataset, [*words, str(tmp_path)]) == 0
    assert "the stage begins anew" in capsys.readouterr().out


def test_options_that_shape_nothing_go_on(resumed):
    assert resumed(lambda folder: None, "--save-every 0 --oslom-timeout 30")[0].endswith("epoch 1/2")


def test_a_pickled_object_is_not_run(resumed, tmp_path):
    """Even if somebody knew the stamp."""

    class Evil:
        def __reduce__(self):
            return open, (str(tmp_path / "pwned"), "w")

    def damage(folder):
        path = folder / "1.step"
        stamp = path.read_bytes().partition(b"\n")[0].decode()
        path.write_bytes(memory.sealed({"step": Evil()}, stamp))

    (told,) = resumed(damage)
    assert "begins anew" in told and not (tmp_path / "pwned").exists()


def test_a_file_in_the_place_of_the_folder_is_taken_away(resumed):
    def damage(folder):
        shutil.rmtree(folder)
        folder.write_text("somebody else's")

    assert resumed(damage) == []


def test_what_a_killed_process_leaves_beside_a_result_is_taken_away(resumed):
    def damage(folder):
        for name in (f".{PRUNED}.pth.tar.abcd_123", f".{PRUNED}.json.abcd_123", f".{PRUNED}.pth.tar.lock"):
            (folder.parent / name).write_text("half")
        shutil.copytree(folder, folder.parent / f"{PARENT}.resume")  # of a stage that was killed as it finished

    assert len(resumed(damage)) == 1


def test_a_step_that_cannot_be_done_with_these_options_is_not_remembered(main, parents, every_third, tmp_path):
    words = (CELL.replace("--sweep", "--prune"), "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path)
    done = main(*words, "--rate 0.02 --trim-lr 1e30 --optimizer SGD --save-every 1 --oslom-bin", every_third)
    assert done.code == 2 and "--trim-lr" in done.err and list(tmp_path.iterdir()) == []


def test_a_program_that_had_too_little_time_costs_no_training(main, parents, fake_program, tmp_path):
    words = (CELL.replace("--sweep", "--prune"), "--pretrained", parents["LeNet_300_100"], "--save-dir", tmp_path)
    slow = fake_program("import time; time.sleep(60)")
    assert "seconds" in main(*words, "--oslom-timeout 0.1 --oslom-bin", slow).err
    assert "goes on after warm-up" in main(*words, "--oslom-timeout 0.1 --oslom-bin", slow).out


# ------------------------------------------------------------------------------------------ killed at any moment

KILLS = 20


def test_a_sweep_that_is_killed_at_random_moments_leaves_the_same_bytes(every_third, tmp_path):
    """Twenty times by SIGKILL, in one folder after the other: each is killed until a run ends before its time."""
    words = [*SHORT.split(), "--threads", 1, "--algos", "OSLOM", "magnitude", "--oslom-bin", every_third, "--save-dir"]
    drawn, killed, places, out = random.Random(1), 0, 0, tmp_path / "out"
    with forks.Server(report=False) as run:
        code, seconds = run([*words, tmp_path / "whole"], out)
        assert code == 0, out.read_text()
        whole = forks.contents(tmp_path / "whole")
        while killed < KILLS:
            place, places = tmp_path / f"place{places}", places + 1
            while (code := run([*words, place], out, drawn.uniform(0, seconds) if killed < KILLS else None)[0]) == -9:
                killed += 1
            found = forks.contents(place)
            assert code == 0 and list(found) == list(whole), out.read_text()
            assert [name for name in whole if found[name] != whole[name]] == []
    assert places > 1 and "goes on after" in out.read_text()


def test_the_same_checkpoint_without_its_metrics_file_is_not_set_aside(call, parents, every_third, tmp_path):
    """A run was broken between the two. Another one of that name is somebody's, and kept."""
    words = (
        "--prune --specialize 3 --warmup-epochs 0 --rounds 1 --brief-epochs 0",
        "--pretrained",
        parents["LeNet_300_100"],
        "--oslom-bin",
        every_third,
        "--save-dir",
        tmp_path,
    )
    assert call(*words) == 0
    path = tmp_path / "digits" / "LeNet_300_100.specialize.3.OSLOM.pth.tar"
    whole = forks.contents(tmp_path)
    files.metrics_path(path).unlink()
    assert call(*words) == 0 and forks.contents(tmp_path) == whole
    files.metrics_path(path).unlink()
    path.write_bytes(b"somebody's")
    assert call(*words) == 0 and list(forks.contents(tmp_path)) != list(whole)
    assert (path.parent / "replaced" / "LeNet_300_100.specialize.3.OSLOM.1.pth.tar").read_bytes() == b"somebody's"
