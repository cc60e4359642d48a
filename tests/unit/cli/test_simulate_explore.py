"""`edge simulate --explore`: the document, the tables, the page, and what it refuses."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pytest

from edge.__main__ import run

TOY = ("toy", "--chip", "toy", "--explore")


@pytest.fixture(scope="module")
def explored(tmp_path_factory):
    """The printed text, the document, and the page of the toy's exploration."""
    import contextlib
    import io

    path = tmp_path_factory.mktemp("explore") / "designs.html"
    printed = io.StringIO(), io.StringIO()
    for out, more in zip(printed, ((), ("--json", "--html", str(path))), strict=True):
        with contextlib.redirect_stdout(out):
            assert run(["simulate", *TOY, *more]) == 0
    return printed[0].getvalue(), json.loads(printed[1].getvalue()), path.read_text(encoding="utf-8")


def test_the_document_counts_every_design(explored):
    _, document, _ = explored
    assert document["schema"] == "edge.simulate/1"
    assert document["explored"] == document["feasible"] + sum(document["infeasible"].values())
    assert document["base"]["cycles"] == 256
    assert document["points_per_second"] == pytest.approx(document["feasible"] / document["seconds"])
    assert document["front"][0]["cycles"] <= document["base"]["cycles"]
    assert {"latency_ms", "on_chip_bytes", "dsp", "dram_bytes", "design"} <= {*document["front"][0]}
    assert document["source"] == "simulated"


def test_the_text_marks_the_base_and_says_what_to_fix_and_what_is_not_modelled(explored):
    text, document, _ = explored
    assert f"{document['explored']:,} designs, {document['feasible']:,} fit" in text
    assert "base, " in text
    assert "What to fix first" in text
    assert "the most at the same precision: " in text
    assert "not a synthesis" in text
    for obstacle, count in document["infeasible"].items():
        assert f"{count:,} need {obstacle}" in text


class _Circles(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.outside: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.count += tag == "circle"
        self.outside += [value for name, value in attrs if name in {"src", "href"}]


def test_the_page_stands_alone_and_shows_the_base_in_each_chart(explored):
    _, document, page = explored
    parser = _Circles()
    parser.feed(page)
    assert page.count('class="base"') == 3
    assert parser.count > 3 * len(document["front"]) / 2
    assert parser.outside == []
    assert "Every number is simulated" in page


def test_a_trace_of_many_designs_is_refused(capsys, tmp_path):
    assert run(["simulate", *TOY, "--trace", str(tmp_path / "trace.json")]) == 2
    assert "--explore writes no trace" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_chip_on_which_its_own_design_does_not_fit_is_refused(capsys):
    assert run(["simulate", "edge-moe", "--chip", "toy", "--explore"]) == 2
    assert "does not fit" in capsys.readouterr().err


def test_memory_masters_are_refused_rather_than_explored_for_minutes(capsys, tmp_path):
    masters = tmp_path / "masters.toml"
    masters.write_text('[[master]]\nname = "display"\nbytes = 64\nperiod_us = 10.0\nbytes_per_cycle = 1\n')
    assert run(["simulate", *TOY, "--masters", str(masters)]) == 2
    assert "--explore knows no masters" in capsys.readouterr().err
