"""The folder of logs is there while an error may name it, and only then."""

from __future__ import annotations

import pytest

from edge.logs import log_folder


def test_the_folder_goes_when_all_went_well():
    with log_folder() as logs:
        (logs / "model.log").write_text("chatter")
    assert not logs.exists()


def test_a_log_outlives_the_error_that_names_it():
    with pytest.raises(RuntimeError), log_folder() as logs:
        (logs / "model.log").write_text("the reason")
        raise RuntimeError
    assert (logs / "model.log").read_text() == "the reason"
    (logs / "model.log").unlink()
    logs.rmdir()


def test_an_error_without_a_log_leaves_nothing():
    with pytest.raises(RuntimeError), log_folder() as logs:
        raise RuntimeError
    assert not logs.exists()
