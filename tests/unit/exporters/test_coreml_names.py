"""Names that Core ML accepts."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from exporters.coreml.names import RESERVED, class_names, feature_names


def test_names_that_are_fine_stay():
    assert feature_names(["image", "x_1", "_y"]) == ("image", "x_1", "_y")


def test_other_characters_become_underscores_and_names_stay_apart():
    assert feature_names(["a.b", "a b", "1"]) == ("a_b", "a_b_2", "_1")


def test_words_of_the_language_get_an_underscore():
    assert feature_names(["fp16", "classLabel"]) == ("_fp16", "_classLabel")


@given(st.lists(st.text(max_size=4), max_size=8))
def test_any_names_become_different_identifiers(names):
    made = feature_names(names)
    assert len(set(made)) == len(names)
    assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) and name not in RESERVED for name in made)


def test_labels_that_differ_stay():
    assert class_names(["cat", "dog"]) == ("cat", "dog")


def test_equal_labels_are_counted():
    assert class_names(["crane", "crane", "crane (2)", "crane"]) == ("crane", "crane (2)", "crane (2) (2)", "crane (3)")
