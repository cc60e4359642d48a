"""An operator is reported for what float16 does to it, and only beyond the bits that the user allows."""

from __future__ import annotations

from edge.numerics import LOST_BITS, OperatorNumerics


def operator(**changes: float) -> OperatorNumerics:
    sound = {"values": 100, "overflowed": 0, "subnormal": 0, "bits_lost": 0.0, "bits_added": 0.5}
    return OperatorNumerics(name="conv", type="conv", index=3, **{**sound, **changes})  # type: ignore[arg-type]


def test_a_sound_operator_is_not_reported():
    assert operator().why() == ()


def test_an_overflow_is_reported_with_its_extent():
    assert operator(overflowed=7).why() == ("7 of 100 values overflow",)


def test_values_that_are_too_small_are_reported_once_they_cost_bits():
    assert operator(subnormal=90).why() == ()  # the small tail of a softmax costs nothing
    assert operator(subnormal=90, bits_lost=3.26).why() == ("90 of 100 values are too small: 3.3 bits lost",)


def test_the_user_decides_how_many_bits_are_worth_a_word():
    assert operator(bits_lost=LOST_BITS).why() == ()
    assert operator(bits_lost=2.0).why(lost_bits=2.5) == ()
    assert operator(bits_lost=3.0).fields(lost_bits=2.5)["why"]


def test_an_operator_that_takes_like_from_like_is_reported():
    (why,) = operator(bits_added=8.0).why()
    assert "like from like" in why
