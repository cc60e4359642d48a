"""A supernet is trained once, alone or by several processes, and a kill at any moment changes nothing of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from edge import plugins
from edge.errors import UsageError
from edge.search.supernet_training import load, trained
from edge.training.loop import Leaky
from edge.training.parallel import Group
from edge.training.watch import Watcher
from tests.fakes.supernet_lesson import CLASSES, lesson

SIZE = 16

PROGRAM = """
import os, signal, sys
from pathlib import Path

import torch

from edge.search import supernet_training
from edge.models.weights import state_sha256
from edge.training.loop import Trainee
from edge.training.parallel import joined
from edge.training.record import Record
from edge.training.watch import Watcher
from edge import plugins
from tests.fakes.supernet_lesson import CLASSES, lesson

folder, dies_at = Path(sys.argv[1]), int(sys.argv[2])
torch.set_num_threads(1)


class Dies(Watcher):
    steps = 0

    def stepped(self, loss):
        self.steps += 1
        if self.steps == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)


class Kept(Trainee):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        kept.append(self)


def saved(record, checkpoint):
    saves.append(len(checkpoint.history))
    save(record, checkpoint)


kept, saves, save = [], [], Record.save
Record.save, supernet_training.Trainee = saved, Kept
with joined() as group:
    space = plugins.space("efficientformer", (16, 16), CLASSES)
    supernet_training.trained(space, lesson(16), 8, "pictures", folder, group=group, watcher=Dies())
    shas = " ".join((state_sha256(kept[0].network), state_sha256(kept[0].average.network)))
    (folder.parent / f"rank{group.rank}").write_text(f"{shas} saved {saves}")
"""


class KilledError(Exception):
    """Stands for a kill between two statements."""


class KillsAfter(Watcher):
    """Dies when so many epochs are done."""

    def __init__(self, epochs):
        self.epochs = epochs

    def measured(self, metrics):
        if metrics.epoch == self.epochs:
            raise KilledError


def space(name="efficientformer", size=SIZE):
    return plugins.space(name, (size, size), CLASSES)


def learned(folder, watcher=None, *, pictures=None, fingerprint="pictures"):
    pictures = lesson(SIZE) if pictures is None else pictures
    return trained(space(), pictures, 8, fingerprint, folder, group=Group(), watcher=watcher or Watcher())


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("search") / "supernet"
    learned(folder)
    return folder


def weights(folder):
    return (folder / "weights.safetensors").read_bytes()


def program(*arguments, processes=1):
    torchrun = ("-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}", "--no-python")
    started = (sys.executable, *torchrun, sys.executable) if processes > 1 else (sys.executable,)
    return subprocess.run(
        [*started, "-c", PROGRAM, *map(str, arguments)],
        check=False,
        capture_output=True,
        text=True,
        timeout=500,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def test_a_supernet_leaves_its_weights_its_settings_and_its_metrics(uninterrupted):
    assert {path.name for path in uninterrupted.iterdir()} == {"metrics.jsonl", "settings.json", "weights.safetensors"}
    epochs = [json.loads(line) for line in (uninterrupted / "metrics.jsonl").read_text().splitlines()]
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert all(0 <= epoch["accuracy"] <= 1 for epoch in epochs)
    settings = json.loads((uninterrupted / "settings.json").read_text())
    assert (settings["space"], settings["image_size"], settings["classes"]) == ("efficientformer", "16x16", CLASSES)


def test_training_changes_the_weights_and_how_probable_each_form_is(uninterrupted):
    found, fresh = load(space(), uninterrupted), type(load(space(), uninterrupted))(space())
    assert not found.training
    names = [name for name, _ in found.named_parameters()]
    changed = [not torch.equal(one, other) for one, other in zip(found.parameters(), fresh.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(names)
    for forms in found.mixing.importance().values():
        assert sum(forms.values()) == pytest.approx(1)
        assert len({*forms.values()}) > 1


def test_a_finished_supernet_is_only_loaded(uninterrupted, monkeypatch):
    monkeypatch.setattr("edge.search.supernet_training.fit", lambda *_: pytest.fail("trained again"))
    before = (uninterrupted / "weights.safetensors").stat().st_mtime_ns
    again, found = learned(uninterrupted), load(space(), uninterrupted)
    assert all(torch.equal(one, other) for one, other in zip(again.parameters(), found.parameters(), strict=True))
    assert (uninterrupted / "weights.safetensors").stat().st_mtime_ns == before


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_supernet_killed_after_an_epoch_ends_with_the_same_bytes(uninterrupted, tmp_path, epochs):
    folder = tmp_path / "supernet"
    with pytest.raises(KilledError):
        learned(folder, KillsAfter(epochs))
    learned(folder)
    assert weights(folder) == weights(uninterrupted)


def test_a_supernet_killed_in_the_middle_of_an_epoch_ends_with_the_same_bytes(tmp_path):
    whole, killed = tmp_path / "whole" / "supernet", tmp_path / "killed" / "supernet"
    assert program(whole, 0).returncode == 0
    assert program(killed, 3).returncode == -signal.SIGKILL  # an epoch has two steps
    assert (killed / "checkpoint.pt").exists()
    assert not (killed / "weights.safetensors").exists()
    done = program(killed, 0)
    assert done.returncode == 0, done.stderr
    assert weights(killed) == weights(whole)


def test_two_processes_end_with_the_same_weights_and_one_of_them_writes(tmp_path):
    done = program(tmp_path / "supernet", 0, processes=2)
    assert done.returncode == 0, done.stderr
    (ours, our_saves), (theirs, their_saves) = (
        (tmp_path / f"rank{rank}").read_text().split(" saved ") for rank in (0, 1)
    )
    assert ours == theirs
    assert (our_saves, their_saves) == ("[1, 2, 3]", "[]")
    assert json.loads((tmp_path / "supernet" / "settings.json").read_text())["processes"] == 2


def test_other_pictures_are_refused(uninterrupted):
    with pytest.raises(UsageError, match="pictures sha256"):
        learned(uninterrupted, fingerprint="others")


def test_another_recipe_is_refused(uninterrupted):
    pictures = lesson(SIZE)
    with pytest.raises(UsageError, match="lr is"):
        learned(uninterrupted, pictures=replace(pictures, recipe=replace(pictures.recipe, lr=0.5)))


def test_networks_that_are_trained_deep_become_linear_in_the_first_third(tmp_path):
    of = space("vanillanet", 32)
    assert isinstance(of.build(of.smallest()), Leaky)
    trained(of, lesson(32), 8, "pictures", tmp_path / "supernet", group=Group(), watcher=Watcher())
    assert json.loads((tmp_path / "supernet" / "settings.json").read_text())["leak_epochs"] == 1
