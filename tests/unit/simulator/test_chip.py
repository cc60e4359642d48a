"""A chip's description is read as it stands, or refused with what would work."""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files

import pytest

from edge.errors import UnknownNameError, UsageError
from edge.simulator.chip import chip, names, parse
from edge.simulator.chip_parts import Granularity
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.workloads import workload

TOY = (files("devices") / "chips" / "toy.toml").read_text()


def test_the_chips_of_the_sheet_are_there():
    assert {"toy", "zcu104", "zcu102_edgemoe", "zcu102_ideal_axi"} <= {*names()}


@pytest.mark.parametrize("name", names())
def test_every_chip_says_where_its_numbers_come_from(name):
    assert len(chip(name).about) > 20


@pytest.mark.parametrize(
    ("written", "instead", "said", "hint"),
    [
        ("mhz = 100", "mhz = 100\nmhzz = 1", "unknown key 'mhzz'", "did you mean mhz"),
        ("mhz = 100", "mhz = 100\ncolour = 1", "unknown key 'colour'", "known keys: mhz"),
        ("about =", "name = 'x'\nabout =", "unknown key 'name'", "file's name"),
        ("[limits]", "[extra]\na = 1\n[limits]", "unknown key 'extra'", "known keys"),
        ("mhz = 100", "", "'mhz' is missing", "write all of: mhz"),
        ("mhz = 100", "mhz = 0", "mhz is 0, which is impossible", "above 0"),
        ("mhz = 100", "mhz = -5", "impossible", "above 0"),
        ("mhz = 100", "mhz = nan", "impossible", "finite"),
        ("mhz = 100", "mhz = inf", "impossible", "finite"),
        ("mhz = 100", "mhz = 'fast'", "not a float", "give a float"),
        ("mhz = 100", "mhz = true", "not a float", "give a float"),
        ("rows = 4", "rows = 4.5", "not a int", "give a int"),
        ("rows = 4", "rows = 0", "impossible", "at least 1"),
        ("efficiency = 1", "efficiency = 1.5", "impossible", "at most 1"),
        ("efficiency = 1", "efficiency = 0", "impossible", "above 0"),
        ('granularity = "expert"', 'granularity = "half"', "'half'", "expert, matrix"),
        ("reserved_bytes = 0", "reserved_bytes = 8192", "leaves 0 bytes", "fewer than 8192"),
        ("weight_bits = 16", "weight_bits = 7", "precision", "1, 2, 4, 8"),
        ("dsp = 32", "dsp = 31", "need 32 DSPs, 1 more", "shrink"),
        ("calibrated = []", 'calibrated = ["volts"]', "'volts'", "[power]"),
        ('"map"]', '"map", "weights"]', "two ports carry weights", "one port"),
        (', "map"]', "]", "no port carries map", "carry all of"),
        ('carries = ["weights"', 'carries = ["wieghts"', "'wieghts'", "weights"),
        ("bytes_per_cycle = 8", "bytes_per_cycle = 0.01", "0.1 bytes per cycle", "widen"),
        ("[clock]", "[clock", "not TOML", "toy.toml"),
        ("[clock]\nmhz = 100", "clock = 5", "not a table", "[table]"),
    ],
)
def test_what_cannot_be_is_refused(written, instead, said, hint):
    assert written in TOY
    with pytest.raises(UsageError, match=said.replace("[", r"\[")) as refused:
        parse(TOY.replace(written, instead, 1).encode(), "toy")
    assert hint in refused.value.hint


def test_an_unknown_chip_names_the_nearest():
    with pytest.raises(UnknownNameError) as refused:
        chip("zcu105")
    assert "zcu104" in refused.value.hint


def test_a_chip_file_that_is_not_there(tmp_path):
    with pytest.raises(UsageError, match="there is no"):
        chip(str(tmp_path / "none.toml"))


def test_a_chip_of_ones_own(tmp_path):
    (tmp_path / "mine.toml").write_text(TOY.replace("mhz = 100", "mhz = 50"))
    assert chip(str(tmp_path / "mine.toml")).milliseconds(100) == pytest.approx(0.002)


def test_a_background_that_takes_all_the_memory_is_refused():
    toy = chip("toy")
    with pytest.raises(UsageError, match=r"leaves 0\.50 bytes per cycle"):
        replace(toy, ddr=replace(toy.ddr, background_bytes_per_cycle=7.5))


def test_experts_that_do_not_all_fit_say_by_how_much_and_what_would():
    board = chip("zcu102_edgemoe")
    with pytest.raises(UsageError) as refused:
        simulate(workload("edge-moe"), board, policy(board, Kind.RESIDENT), ("task0",))
    needed = 6 * 16 * 294_912 + 2 * 294_912 + 16_512 + (4 * 192 + 2 * 768) * 4 + 192 * 16 * 2
    said = f"needs {needed:,} bytes, {needed - 4_202_496:,} more than the 4,202,496 there are"
    assert said in str(refused.value)
    assert "cache of 12 experts would fit" in refused.value.hint
    fits = policy(board, Kind.TOKEN_LRU, cache=12)
    assert simulate(workload("edge-moe"), board, fits, ("task0",)).on_chip_peak_bytes <= 4_202_496


def test_too_many_buffers_say_how_many_would_fit():
    board = chip("zcu102_edgemoe")

    def peak(buffers):
        way = policy(board, Kind.EXPERT_REORDER, buffers=buffers)
        return simulate(workload("edge-moe"), board, way, ("task0",)).on_chip_peak_bytes

    with pytest.raises(UsageError, match="does not fit") as refused:
        peak(15)
    assert "14 weight buffers would fit" in refused.value.hint
    assert peak(14) <= board.memory.usable_bytes


def test_an_expert_larger_than_a_buffer_says_by_how_much():
    toy = chip("toy")
    small = replace(toy, buffers=replace(toy.buffers, weight_bytes=500))
    with pytest.raises(UsageError, match=r"one expert of 512 bytes .* 12 bytes too many") as refused:
        simulate(workload("toy"), small, policy(small, Kind.EXPERT_REORDER), ("task0",))
    assert "granularity of matrix would fit" in refused.value.hint
    by_matrix = policy(small, Kind.EXPERT_REORDER, granularity=Granularity.MATRIX)
    assert simulate(workload("toy"), small, by_matrix, ("task0",)).cycles == 232


def test_settings_of_another_policy_are_refused():
    toy = chip("toy")
    with pytest.raises(UsageError, match="no cache"):
        policy(toy, Kind.EXPERT_REORDER, cache=2)
    with pytest.raises(UsageError, match="no order"):
        policy(toy, Kind.TOKEN_LRU, granularity=Granularity.MATRIX)
