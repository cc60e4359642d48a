"""The page of a simulation stands alone, holds every span, keeps foreign names inert, and says what is not derived."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from edge.simulator.chip import chip
from edge.simulator.lanes import lanes
from edge.simulator.page import render
from edge.simulator.policies import Kind, policy
from edge.simulator.program import Unit
from edge.simulator.schedule import schedule
from edge.simulator.simulation import Simulation, simulation
from edge.simulator.timeline import simulate
from edge.simulator.workload import Routing, Workload
from edge.simulator.workloads import TOY, TOY_ROUTES, workload

HOSTILE = (
    """</script><script>alert(1)</script><!--<img src=x onerror=alert(2)>{{ 7 * 7 }} $\\frac{1}{0$ "'\u2028 &amp;"""
)


class Page(HTMLParser):
    """The elements of a page with their attributes, its scripts by their type, and the text outside of both."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: dict[str, list[str]] = {}
        self.text = ""
        self._inside: str | None = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self._inside = tag if tag in ("script", "style") else None
        if tag == "script":
            self.scripts.setdefault(dict(attrs).get("type") or "", []).append("")

    def handle_endtag(self, _tag: str) -> None:
        self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside == "script":
            kind = self.found[-1][1].get("type") or ""
            self.scripts[kind][-1] += data
        elif self._inside is None:
            self.text += data

    @property
    def chart(self) -> dict[str, object]:
        [data] = self.scripts["application/json"]
        return json.loads(data)


def simulated(
    work: Workload, on: str = "toy", kind: Kind = Kind.EXPERT_REORDER, *, text: str = "round-robin", **changes: object
) -> Simulation:
    model = chip(on)
    arrivals = schedule(text, work.task_names, frames=20, deadline_ms=40, seed=0)
    made = simulation(work, model, policy(model, kind), work.task_names, arrivals)
    return replace(made, **changes)


def hostile() -> Workload:
    routing = Routing(HOSTILE, (np.array(TOY_ROUTES),))
    return Workload(HOSTILE, TOY, ((HOSTILE, routing), ("other", routing)))


EDGE_MOE = simulated(workload("edge-moe"), "zcu102_edgemoe", text="poisson:30")
TEXT = render(EDGE_MOE)
PAGE = Page(TEXT)


def test_the_same_simulation_gives_the_same_bytes():
    again = simulated(workload("edge-moe"), "zcu102_edgemoe", text="poisson:30")
    assert render(again) == TEXT


def test_the_page_asks_nothing_of_the_network():
    addresses = [
        value for _, given in PAGE.found for name, value in given.items() if name in ("src", "href", "xlink:href")
    ]
    assert addresses  # matplotlib's marks
    assert all(str(address).startswith("#") for address in addresses)
    assert {tag for tag, _ in PAGE.found}.isdisjoint({"link", "iframe", "object", "embed", "image", "img", "form"})
    assert not re.search(r"url\((?!#)|@import|fetch\(|XMLHttpRequest|import\(", TEXT)


def test_the_only_script_that_may_run_is_the_one_of_the_policy():
    [script] = PAGE.scripts[""]
    [allowed] = [given["content"] for tag, given in PAGE.found if given.get("http-equiv") == "Content-Security-Policy"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in str(allowed)
    assert str(allowed).startswith("default-src 'none'")


@pytest.mark.parametrize(("work", "on"), [("toy", "toy"), ("edge-moe", "zcu102_edgemoe")])
def test_the_chart_has_every_span_of_the_round(work, on):
    result = simulated(workload(work), on)
    whole = simulate(result.workload, result.chip, result.policy, result.tasks)
    page = Page(render(result))
    chart = page.chart
    drawn = {lane["name"]: lane["blocks"] for lane in chart["lanes"]}
    spans = [(start, start + length) for unit in Unit for start, length, *_ in drawn.get(unit.value, [])]
    assert sorted(spans) == sorted((span.start, span.end) for span in whole.spans)
    assert sum(frame["cycles"] for frame in chart["frames"]) == chart["cycles"] == whole.cycles
    assert max(level for _, level in chart["memory"]) == whole.on_chip_peak_bytes
    assert "drawn as one" not in page.text


def test_a_large_chart_is_merged_and_says_so():
    page = Page(render(EDGE_MOE, most=200))
    whole = simulate(EDGE_MOE.workload, EDGE_MOE.chip, EDGE_MOE.policy, EDGE_MOE.tasks)
    blocks = [block for lane in page.chart["lanes"] for block in lane["blocks"]]
    all_blocks = sum(len(lane.blocks) for lane in lanes(whole))
    assert len(blocks) <= 200 < all_blocks
    assert sum(block[5] for block in blocks) == all_blocks
    assert f"Neighbours are drawn as one: {all_blocks - len(blocks):,} blocks fewer" in page.text


def test_foreign_names_stay_text():
    toy = chip("toy")
    foreign = replace(toy, name=HOSTILE, about=HOSTILE, port=(replace(toy.port[0], name=HOSTILE),))
    result = simulated(hostile(), chip=foreign)
    result = replace(result, timeline=replace(result.timeline, chip=foreign))
    text = render(result)
    page = Page(text)
    assert len(page.scripts[""]) == len(page.scripts["application/json"]) == 1
    assert {tag for tag, _ in page.found}.isdisjoint({"img"})
    assert not any(name.startswith("on") for _, given in page.found for name in given)
    assert page.chart["frames"][0]["task"] == HOSTILE
    assert HOSTILE in page.text  # as it was written, {{ 7 * 7 }} not computed
    assert text.count("<script") == text.count("</script>") == 2
    assert "alert(1)</script>" not in text


def test_frames_with_deadlines_of_their_own_do_not_fill_the_drawing():
    served = tuple(
        replace(frame, arrival=replace(frame.arrival, deadline_ms=30.0 + index))
        for index, frame in enumerate(EDGE_MOE.served)
    )
    assert "deadline 40 ms" in PAGE.text
    assert "deadline 3" not in Page(render(replace(EDGE_MOE, served=served))).text


def test_a_task_without_frames_has_no_row():
    result = simulated(workload("edge-moe"), "zcu102_edgemoe")
    only = replace(result, served=tuple(frame for frame in result.served if frame.arrival.task == "task1"))
    rows = re.findall(r'<tr><th scope="row" title="routing [^"]*">(\w+)</th>', render(only))
    assert rows == ["task1"]


def test_it_says_what_is_simulated_and_what_was_fitted():
    said = " ".join(PAGE.text.split())
    assert "Every number on this page is simulated" in said
    assert "Fitted or assumed, not derived: static_w" in said
    assert "not reproduced" in said
    assert "No parameter was fitted" in Page(render(simulated(workload("toy")))).text


def test_the_fitted_part_of_the_energy_is_hatched():
    assert re.search(r'<span class="hatched"[^>]*title="static: ', TEXT)
    assert not re.search(r'<span class="hatched"[^>]*title="(mac|dram|sram): ', TEXT)


def test_the_paper_section_is_computed_for_this_workload():
    said = " ".join(PAGE.text.split())
    assert "X/W = 0.108 and c = 4.95" in said  # (16,512 queues + 9,216 lines + 6,144 gate) / 294,912
    assert "75.1 %" in said
    assert "77.5 %" in said


@pytest.mark.parametrize("kind", list(Kind))
def test_every_policy_has_a_page(kind):
    page = Page(render(simulated(workload("toy"), kind=kind)))
    assert f"Policy {kind.value}" in page.text


def test_the_drawings_keep_no_mathematics_and_no_colours_of_their_own():
    assert "mathdefault" not in TEXT
    assert not re.search(r"#0[1-5]0[1-5]0[1-5]\b", TEXT)
