"""Work in a process of its own: what comes back, and what a crash, a hang or an error becomes."""

from __future__ import annotations

import pytest

from edge.errors import BadArtifactError, ConversionError
from edge.worker import Job, run


def job(tmp_path, function, arguments, **more):
    return Job(function, arguments, tmp_path / "log", "testing", ConversionError, **{"timeout_s": 60, **more})


def test_the_function_s_value_comes_back(tmp_path):
    assert run(job(tmp_path, "textwrap:dedent", {"text": "  x"})) == "x"


def test_chatter_goes_to_the_log(tmp_path):
    run(job(tmp_path, "builtins:print", {"sep": "", "end": "chatter"}))
    assert "chatter" in (tmp_path / "log").read_text()


def test_our_own_error_crosses_with_its_hint(tmp_path):
    with pytest.raises(BadArtifactError, match="not a model file") as caught:
        run(job(tmp_path, "edge.tasks:describe", {"path": str(tmp_path)}))
    assert "known" in caught.value.hint


def test_a_foreign_error_becomes_the_failure_with_the_log_s_end(tmp_path):
    with pytest.raises(ConversionError, match="TypeError") as caught:
        run(job(tmp_path, "textwrap:dedent", {"nonsense": 1}))
    assert "Traceback" in (tmp_path / "log").read_text()
    assert "log:" in caught.value.hint


def test_a_crash_names_the_signal(tmp_path):
    with pytest.raises(ConversionError, match=r"crashed \(SIGABRT\)"):
        run(job(tmp_path, "os:abort", {}))


def test_a_hang_ends_at_the_time_limit(tmp_path):
    with pytest.raises(ConversionError, match="longer than 1 s"):
        run(job(tmp_path, "signal:pause", {}, timeout_s=1))
