"""The profile of onnxruntime: medians of its kernels, and errors for what it could not have written."""

from __future__ import annotations

import json

import pytest

from edge.onnx_profile import operator_times


def event(name: str, kind: str, us: float, category: str = "Node") -> dict[str, object]:
    return {"cat": category, "name": name, "dur": us, "args": {"op_name": kind}}


def test_the_median_of_each_node_after_the_warm_up_in_order():
    runs = [[9000, 8000], [10, 500], [30, 700], [20, 600]]
    kernels = [event(f"{name}_kernel_time", kind, us) for run in runs
               for (name, kind), us in zip((("conv", "Conv"), ("add", "Add")), run, strict=True)]  # fmt: skip
    profile = json.dumps([event("model_run", "", 1, "Session"), *kernels, event("conv_fence_before", "Conv", 7)])
    assert [(each.name, each.type, each.ms) for each in operator_times(profile, 1)] == [
        ("conv", "Conv", 0.02),
        ("add", "Add", 0.6),
    ]


@pytest.mark.parametrize(
    "profile",
    ["", "[", "{}x", "[1]", '[{"cat": "Node"}]', '[{"cat": "Node", "name": 3}]', "null", "[" * 100_000,
     json.dumps([event("conv_kernel_time", "Conv", -1)]), json.dumps([event("conv_kernel_time", "Conv", float("nan"))])],
)  # fmt: skip
def test_a_profile_that_onnxruntime_cannot_have_written_is_refused(profile):
    with pytest.raises(ValueError, match=r".+"):
        operator_times(profile, 0)


def test_fewer_runs_than_the_warm_up_are_refused():
    with pytest.raises(ValueError, match="no median"):
        operator_times(json.dumps([event("conv_kernel_time", "Conv", 3)]), 1)
