"""A report asks about the pictures that its model was not trained on, and about photographs where those are not here."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge import runfolder
from edge.preprocess import Preprocess
from edge.report.pictures import PHOTOGRAPHS, asked
from edge.runfolder import RunCard
from edge.training.data import held_out

SMALL = Preprocess(16, 16, crop=1.0)


def run(folder: Path, data: str, seed: int = 0) -> Path:
    runfolder.write(folder, RunCard("net", 10, (16, 16), data=data, seed=seed))
    return folder


def test_the_pictures_are_those_held_out_with_the_seed_of_the_run(tmp_path: Path) -> None:
    found = asked(run(tmp_path / "run", "digits", seed=3), SMALL)
    expected = held_out("digits", SMALL, 3)
    np.testing.assert_array_equal(found.pictures, expected.pictures)
    np.testing.assert_array_equal(found.truths, expected.labels)
    assert not np.array_equal(found.truths, asked(run(tmp_path / "other", "digits", seed=4), SMALL).truths)


def test_without_a_run_there_are_photographs_that_nobody_labelled() -> None:
    found = asked(None, SMALL)
    assert found.pictures.shape == (PHOTOGRAPHS, 16, 16, 3)
    assert found.pictures.std() > 10
    assert found.truths is None


def test_pictures_that_are_gone_are_said_to_be_gone(tmp_path: Path) -> None:
    found = asked(run(tmp_path / "run", str(tmp_path / "gone")), SMALL)
    assert found.truths is None
    assert "gone" in found.words
