"""Operators of a model timed in PyTorch."""

from __future__ import annotations

from edge.models.sources import resolve
from edge.pytorch_operators import operator_times
from edge.reference import ModelRequest


def test_every_operator_of_the_deploy_form_is_timed_in_order():
    times = operator_times(resolve(ModelRequest("efficientvit_mini")), warmup=1, runs=3)
    kinds = [each.type for each in times]
    assert kinds[0] == "conv2d"
    assert kinds.index("softmax") > kinds.index("relu") > 0
    assert {"conv2d", "softmax", "relu"} <= {*kinds}
    assert all(each.ms > 0 and not each.delegate for each in times)
