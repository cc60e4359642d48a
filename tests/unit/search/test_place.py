"""The folder of a search: what it remembers from one start to the next."""

from __future__ import annotations

import pytest

from edge.errors import UsageError
from edge.search.order import SearchOrder
from edge.search.place import Place
from edge.search.story import SETTINGS

ORDER = SearchOrder("vanillanet", "digits", "50%", "host", "tflite", (32, 32))


def test_a_search_that_was_killed_while_it_wrote_its_settings_begins(tmp_path):
    unfinished = tmp_path / f".{SETTINGS}.a1b2" / SETTINGS
    unfinished.parent.mkdir()
    unfinished.write_text("{")
    place = Place(tmp_path, None, tmp_path)
    place.claim(ORDER, "pictures")
    assert place.claimed() == (ORDER, "pictures")


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / f".{SETTINGS}.a1b2").mkdir()
    (tmp_path / "thesis.txt").write_text("all of it")
    with pytest.raises(UsageError, match="is not a search"):
        Place(tmp_path, None, tmp_path).claim(ORDER, "pictures")


def test_the_time_of_a_phase_is_that_of_all_starts(tmp_path):
    first = Place(tmp_path, None, tmp_path)
    assert first.spent() == {}
    first.spend("search", 10.0)
    first.spend("train", 5.0)
    again = Place(tmp_path, None, tmp_path)
    again.spend("search", 2.5)
    assert again.spent() == {"search": 12.5, "train": 5.0}
