"""The folder of a search: what it remembers from one start to the next."""

from __future__ import annotations

from edge.search.place import Place


def test_the_time_of_a_phase_is_that_of_all_starts(tmp_path):
    first = Place(tmp_path, None, tmp_path)
    assert first.spent() == {}
    first.spend("search", 10.0)
    first.spend("train", 5.0)
    again = Place(tmp_path, None, tmp_path)
    again.spend("search", 2.5)
    assert again.spent() == {"search": 12.5, "train": 5.0}
