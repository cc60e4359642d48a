"""Plots carry their numbers as text, take the page's colours, and leave out what was not measured."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import matplotlib as mpl
import pytest

from edge.measurement import Source
from edge.report import plots
from edge.report.facts import Epoch, FileFacts, Latency
from edge.spec import Precision


def file(target: str, **fields: object) -> FileFacts:
    return FileFacts(target, f"net.{target}", 1_500_000, "", Precision.FP32, "ok", "", "", **fields)  # type: ignore[arg-type]


def latency(median: float) -> Latency:
    return Latency(median, median * 0.9, median * 1.1, "host", Source.MEASURED, 1, 50, "ok")


FILES = (
    file("tflite", relative_error=8e-6, allowed_error=1e-4, latency=latency(0.25)),
    file("onnx", relative_error=0.0, allowed_error=1e-4, latency=latency(1.25)),
    file("coreml"),
)
EPOCHS = tuple(Epoch(i, 2 / (i + 1), i / 10) for i in range(4))
ALL = (plots.sizes(FILES), plots.latencies(FILES), plots.errors(FILES), plots.training(EPOCHS))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter() if element.tag.endswith("text")]


def test_every_file_has_its_size_beside_its_bar() -> None:
    assert texts(ALL[0]).count("1.5 MB") == len(FILES)


def test_small_files_are_told_apart() -> None:
    found = texts(plots.sizes((replace(file("tflite"), bytes=18_900), replace(file("onnx"), bytes=21_300))))
    assert {"18.9 kB", "21.3 kB"} <= set(found)


def test_a_file_that_was_not_timed_has_no_latency() -> None:
    found = texts(ALL[1])
    assert "0.25 ms" in found
    assert "1.25 ms" in found
    assert "coreml" not in found


def test_an_error_of_zero_is_drawn_as_exact() -> None:
    found = texts(ALL[2])
    assert "8.0e-06" in found
    assert "exact" in found
    assert "coreml" not in found


@pytest.mark.parametrize(
    "nothing", [plots.latencies((file("coreml"),)), plots.errors((file("coreml"),)), plots.training(())]
)
def test_nothing_measured_is_no_plot(nothing: str) -> None:
    assert nothing == ""


@pytest.mark.parametrize("svg", ALL)
def test_colours_come_from_the_page(svg: str) -> None:
    assert "var(--ink)" in svg
    assert not re.search(r"(fill|stroke): #", svg)


def test_ids_of_plots_on_one_page_differ() -> None:
    ids = [set(re.findall(r'id="([mpc][0-9a-f]{10})"', svg)) for svg in ALL]
    assert all(ids)
    assert len(set.union(*ids)) == sum(map(len, ids))


def test_the_users_own_matplotlib_settings_change_nothing() -> None:
    with mpl.rc_context({"font.size": 20, "svg.fonttype": "path", "axes.facecolor": "red"}):
        assert plots.sizes(FILES) == ALL[0]


def test_a_training_without_judged_epochs_still_shows_its_loss() -> None:
    assert "training loss" in texts(plots.training((Epoch(1, 2.0, None), Epoch(2, 1.0, None))))
