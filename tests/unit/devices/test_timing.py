"""Which cores a file is timed on, and which runner times it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devices._runners import runner_for
from devices._timing import biggest
from edge.errors import UsageError

BIG_LITTLE = {0: 1_800_000, 1: 1_800_000, 2: 2_400_000, 3: 2_900_000}


@pytest.mark.parametrize(("threads", "mask"), [(1, 0b1000), (2, 0b1100), (3, 0b1110), (4, 0b1111)])
def test_the_biggest_cores_come_first_and_of_equal_ones_the_last(threads, mask):
    assert biggest(BIG_LITTLE, threads) == mask


@given(st.dictionaries(st.integers(0, 63), st.integers(1, 10**7), min_size=1), st.integers(1, 64))
def test_no_core_left_out_is_faster_than_one_taken(max_khz, threads):
    mask = biggest(max_khz, threads)
    taken = {core for core in max_khz if mask >> core & 1}
    assert mask.bit_count() == len(taken) == min(threads, len(max_khz))
    assert min(max_khz[core] for core in taken) >= max(
        (khz for core, khz in max_khz.items() if core not in taken), default=0
    )


def test_a_runner_is_chosen_by_its_name_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert runner_for(Path("a.tflite"), Path("benchmark_model")).name == "benchmark_model"
    with pytest.raises(UsageError, match=r"benchmark_model runs \.tflite files, not a\.pte"):
        runner_for(Path("a.pte"), Path("benchmark_model"))
