"""The host times files in real runtimes: every sample, the threads asked for, and the time of each operator."""

from __future__ import annotations

import os
import shutil

import pytest

from edge import plugins
from edge.errors import BadArtifactError, UsageError
from edge.measurement import Source
from edge.protocol import TimingPlan
from edge.spec import Recipe

PLAN = TimingPlan(warmup=1, runs=5)
TARGETS = ("coreml", "executorch", "onnx", "tflite")


@pytest.mark.parametrize("target", TARGETS)
def test_every_run_is_a_sample_and_says_where_it_came_from(target, file_of, tmp_path):
    measured = plugins.device("host").time(file_of("classifier", Recipe(target)), PLAN, log=tmp_path / "log")
    assert len(measured.samples_ms) == PLAN.runs
    assert min(measured.samples_ms) > 0
    assert measured.source is (Source.REFERENCE_RUNTIME if target == "coreml" else Source.MEASURED)
    assert measured.info == plugins.device("host").attached()[0]


@pytest.mark.parametrize("threads", [1, 2])
def test_executorch_computes_on_as_many_threads_as_it_was_given(threads, file_of):
    from executorch.extension.pybindings import _portable_lib

    plugins.exporter("executorch").load(file_of("classifier", Recipe("executorch")), threads)
    assert _portable_lib._threadpool_get_thread_count() == threads


@pytest.mark.parametrize("threads", [0, 10_000])
def test_threads_that_the_machine_has_not_are_refused(threads, file_of, tmp_path):
    plan = TimingPlan(warmup=0, runs=1, threads=threads)
    with pytest.raises(UsageError, match=f"{threads} threads on {len(os.sched_getaffinity(0))} cores"):
        plugins.device("host").time(file_of("classifier", Recipe("onnx")), plan, log=tmp_path / "log")


@pytest.mark.parametrize("target", ["coreml", "onnx"])
def test_the_operators_of_a_file_are_timed_in_order(target, file_of, tmp_path):
    path = file_of("classifier", Recipe(target))
    times = plugins.device("host").operators(path, PLAN, log=tmp_path / "log")
    kinds = [each.type.lower() for each in times]
    first, last = (min(i for i, kind in enumerate(kinds) if "conv" in kind), len(kinds) - 1)
    assert first < last
    assert all(each.ms >= 0 and each.name for each in times)
    assert sum(each.ms for each in times) > 0


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, which builds the runner")
def test_the_operators_of_a_tflite_file_are_those_of_xnnpack(file_of, tmp_path):
    path = file_of("classifier", Recipe("tflite"))
    times = plugins.device("host").operators(path, PLAN, log=tmp_path / "log")
    kinds = [each.type for each in times if each.delegate == "XNNPACK"]
    assert any("Convolution" in kind for kind in kinds)
    assert any("Fully Connected" in kind for kind in kinds)
    assert all(each.ms >= 0 and each.name for each in times)
    assert sum(each.ms for each in times) > 0
    assert "runs_ns" in (tmp_path / "log").read_text()


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc, which builds the runner")
def test_the_operators_of_a_damaged_tflite_file_are_its_users_concern(tmp_path):
    (tmp_path / "a.tflite").write_bytes(b"no model at all")
    with pytest.raises(BadArtifactError, match="LiteRT"):
        plugins.device("host").operators(tmp_path / "a.tflite", PLAN, log=tmp_path / "log")


def test_a_runtime_that_does_not_tell_says_what_would(file_of, tmp_path):
    with pytest.raises(UsageError, match="does not tell the times of single operators") as error:
        plugins.device("host").operators(file_of("classifier", Recipe("executorch")), PLAN, log=tmp_path / "log")
    assert "onnx" in error.value.hint
