"""A simulated chip is a device: it times workloads and the files whose networks it knows."""

from __future__ import annotations

import pytest

from edge import plugins
from edge.errors import UnknownNameError, UsageError
from edge.measurement import Source
from edge.protocol import TimingPlan

NETWORK = """
[network]
tokens = 6
dim = 8
heads = 1
hidden = 32
experts = 4
top_k = 2
expert_hidden = 16
moe = [true]
scope = "experts"

[[task]]
name = "seg"
routing = "histogram"
lengths = [5, 4, 3, 0]
"""


def timed(which, path, tmp_path):
    return plugins.device(f"simulated:{which}").time(path, TimingPlan(runs=3), log=tmp_path / "log")


def test_a_workload_file_is_timed_and_the_number_says_that_it_is_simulated(tmp_path):
    (tmp_path / "mine.toml").write_text(NETWORK)
    measured = timed("toy", tmp_path / "mine.toml", tmp_path)
    assert (measured.source, measured.samples_ms) == (Source.SIMULATED, (0.00256,) * 3)
    assert "made up" in measured.runtime


def test_every_chip_is_listed():
    listed = {info.id for info in plugins.device("simulated").attached()}
    assert {"simulated:toy", "simulated:zcu104", "simulated:zcu102_edgemoe"} <= listed


def test_an_unknown_chip_names_the_nearest(tmp_path):
    with pytest.raises(UnknownNameError) as refused:
        timed("zcu103", tmp_path / "mine.toml", tmp_path)
    assert "zcu104" in refused.value.hint


def test_no_chip_is_a_question(tmp_path):
    with pytest.raises(UsageError, match="which chip") as refused:
        timed("", tmp_path / "mine.toml", tmp_path)
    assert "simulated:zcu104" in refused.value.hint
