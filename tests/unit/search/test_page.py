"""The page of a search: every section with the story's numbers, and nothing from outside."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from random import Random

import pytest

from edge import plugins
from edge.measurement import Source
from edge.search.architecture import stages
from edge.search.heat_map import heat_maps
from edge.search.page import render
from tests.fakes import stories

HOSTILE = "</svg><script>alert(1)</script>"
SECTIONS = ("found", "tried", "path", "importance", "predictions", "networks", "supernet", "how")


class Page(HTMLParser):
    """The tags of a page, and the text of each section by its id, white space as one blank."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sections: dict[str, str] = {}
        self._at = ""
        self.feed(text)
        self.sections = {name: " ".join(said.split()) for name, said in self.sections.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.handle_data(" ")
        if tag == "section":
            self._at = dict(attrs)["id"] or ""
            self.sections[self._at] = ""

    def handle_data(self, data: str) -> None:
        if self._at:
            self.sections[self._at] += data


@pytest.fixture(scope="module")
def story():
    return stories.story()


@pytest.fixture(scope="module")
def text(story):
    return render(story)


@pytest.fixture(scope="module")
def page(text):
    return Page(text)


def test_the_page_of_a_whole_story_has_every_section(page):
    assert tuple(page.sections) == SECTIONS
    assert page.tags.count("svg") == 4


def test_it_asks_nothing_of_the_network_and_has_no_script(text, page):
    assert "://" not in text.replace("http://www.w3.org", "")
    assert "script" not in page.tags


def test_the_same_story_gives_the_same_text(story, text):
    assert render(story) == text


def test_the_head_table_has_measured_numbers_and_says_so(story, page):
    said = page.sections["found"]
    for network in story.finished:
        assert f"{network.measured_ms:.3g} ms measured {network.predicted_ms:.3g} predicted" in said
        assert f"{100 * network.accuracy:.2f} %" in said
        assert network.name in said
    for outcome in story.outcomes:
        assert outcome.comparison in said


def test_times_that_were_not_measured_are_never_called_so(story):
    emulated = {
        name: tuple(replace(each, source=Source.EMULATED) for each in getattr(story, name))
        for name in ("finished", "measured")
    }
    sections = Page(render(replace(story, **emulated))).sections
    for name in ("found", "path", "predictions"):
        assert "emulated" in sections[name].lower()
        assert "measured" not in sections[name].lower()


def test_what_was_tried_names_budgets_members_and_the_uniform_line(story, page):
    said = page.sections["tried"]
    assert "supernet's weights" in said
    assert "predicted" in said
    for budget in story.budgets:
        assert budget.name in said
    for name, trial in story.members.items():
        assert f"{name} hand-made {trial.predicted_ms:.3g}" in said
    for share, trial in story.uniform:
        assert f"{100 * share:.0f} % of the way uniform {trial.predicted_ms:.3g}" in said


def test_each_action_stands_with_what_it_was_chosen_from(story, page):
    said = page.sections["path"]
    for number, step in enumerate(story.steps):
        measured = "–" if step.measured_ms is None else f"{step.measured_ms:.3g}"
        assert f"{number}. {step.action} {step.trial.predicted_ms:.3g} {measured}" in said
        for candidate in step.candidates:
            assert f"{candidate.action} {candidate.trial.predicted_ms:.3g}" in said


def test_a_heat_map_has_stages_for_rows_and_blocks_for_columns(story):
    maps = {each.title: each for each in heat_maps(story)}
    assert {*maps} == {"identity", "4d", "3d"}
    rows = dict(maps["identity"].rows)
    assert list(rows) == ["stage1", "stage2", "stage3", "stage4"]
    column = maps["identity"].columns.index("block3")
    assert rows["stage3"][column] == story.importance["stage3.block3"]["identity"]
    assert rows["stage1"][column] is None


def test_blocks_are_counted_not_spelt():
    begun = replace(stories.begun(), removal={"stage1.block10": 0.2, "stage1.block9": 0.1, "window": -0.1})
    (found,) = heat_maps(begun)
    assert found.columns == ("block9", "block10", "window")
    assert found.rows == (("stage1", (0.1, 0.2, None)), ("all stages", (None, None, -0.1)))


def test_a_space_that_mixes_nothing_shows_what_losing_a_block_costs():
    removal = {"stage1.block2": 0.0312, "stage2.block2": -0.001}
    said = Page(render(replace(stories.begun(), removal=removal))).sections["importance"]
    assert "loses when this choice alone is at its fastest" in said
    assert "stage1 3.1" in said
    assert "stage2 -0.1" in said


@pytest.mark.parametrize("name", plugins.names("edge.spaces"))
def test_every_block_of_a_network_is_drawn_and_the_shares_are_all_of_its_time(name):
    space, random = stories.space(name), Random(0)
    for spec in (space.smallest(), space.largest(), *(space.draw(random) for _ in range(20))):
        drawn = stages(space, spec, stories.block_ms(space))
        layers = [layer for stage in drawn for layer in stage.layers]
        assert [layer.block for layer in layers for _ in range(layer.count)] == list(space.blocks(spec))
        assert sum(stage.share for stage in drawn) == pytest.approx(1)


def test_shares_are_unknown_where_a_block_is(story):
    space, spec = stories.space(), story.trials[0].spec
    few = dict(list(story.block_ms.items())[:3])
    assert {stage.share for stage in stages(space, spec, few)} == {None}


def test_the_networks_are_those_that_were_chosen(story, page):
    said = page.sections["networks"]
    for outcome in story.outcomes:
        for stage in stages(stories.space(), outcome.best.spec, story.block_ms):
            assert f"{stage.size} {100 * stage.share:.0f} %" in said
        for name, value in outcome.best.spec.choices.items():
            assert f"{name}={value}" in said


def test_measured_networks_stand_beside_their_predictions(story, page):
    for row in story.measured:
        assert f"{row.predicted_ms:.3g} {row.measured_ms:.3g} {100 * row.error:.2f} %" in page.sections["predictions"]


def test_the_last_section_says_how_and_what_is_ours(page):
    said = page.sections["how"]
    for word in (
        "slimming",
        "small",
        "seed 7",
        "finetune",
        "temperature of the mixture",
        "teacher of the networks found",
        "312 s",
    ):
        assert word in said.lower()
    assert "temperature of the mixture" not in Page(render(stories.begun())).sections["how"].lower()


def test_a_story_without_path_members_and_importance_leaves_them_out(story):
    less = replace(story, steps=(), members={}, importance={}, measured=(), uniform=(), supernet=())
    assert tuple(Page(render(less)).sections) == ("found", "tried", "networks", "how")


def test_a_search_that_has_only_begun_says_that_nothing_is_measured():
    sections = Page(render(stories.begun())).sections
    assert tuple(sections) == ("found", "how")
    assert "Nothing has been trained to the end and measured yet" in sections["found"]


def test_names_stay_text(story):
    steps = tuple(replace(step, action=HOSTILE) for step in story.steps)
    finished = tuple(replace(each, name=HOSTILE, verdict=HOSTILE) for each in story.finished)
    budgets = tuple(replace(budget, name=HOSTILE + str(budget.ms)) for budget in story.budgets)
    hostile = replace(
        story,
        data=HOSTILE,
        tag=replace(story.tag, described=HOSTILE, runtime=HOSTILE, device=HOSTILE),
        budgets=budgets,
        steps=steps,
        finished=finished,
        members=dict.fromkeys([HOSTILE], story.trials[0]),
        importance={HOSTILE: {HOSTILE: 0.5}},
        seconds={HOSTILE: 1.0},
    )
    tags = Page(render(hostile)).tags
    assert "script" not in tags
    assert tags.count("svg") == 4
