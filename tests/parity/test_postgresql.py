"""Processes that share the trials of a search in a real PostgreSQL: killed ones lose nothing, and nothing counts twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest

from edge.errors import EdgeError
from edge.search import storage
from edge.search.trials import STUDY, Trials
from tests.fakes import postgresql
from tests.fakes.eventually import becomes_true
from tests.fakes.searching import PACE, PATIENCE_S, SEARCH, answer, answers, begun, hold, killed, network, started

pytest.importorskip("psycopg2", reason="pip install 'edge-toolchain[postgresql]'")
pytestmark = pytest.mark.skipif(bool(postgresql.missing()), reason=postgresql.missing())
COUNT = 12


@pytest.fixture(scope="module")
def server() -> Iterator[postgresql.Postgresql]:
    with postgresql.started() as found:
        yield found


@pytest.fixture
def url(server: postgresql.Postgresql) -> str:
    return server.new_database()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "log"
    hold(path).touch()
    return path


def assert_each_counts_once(url: str) -> None:
    """Every network has one trial that is COMPLETE, with its values; all others failed."""
    with storage.opened(url, PACE) as opened:
        trials = optuna.load_study(study_name=STUDY, storage=opened).trials
    finished = {trial.user_attrs["network"]["choices"]["number"]: trial for trial in trials if trial.values}
    for number, trial in finished.items():
        told = answer(network(number))
        assert trial.values == [told.confidence, told.accuracy]
    assert sorted(finished) == list(range(COUNT))
    assert sorted(trial.state.name for trial in trials) == ["COMPLETE"] * COUNT + ["FAIL"]


@pytest.mark.parametrize("more", [(), ("--host", "elsewhere")], ids=["of_this_machine", "of_another_machine"])
def test_a_worker_that_is_killed_loses_no_trial_and_counts_none_twice(
    url: str, log: Path, more: tuple[str, ...]
) -> None:
    leader = started("lead", url, log, COUNT, "--hold", "0")
    assert becomes_true(lambda: begun(log) == [0], PATIENCE_S)
    unlucky = started("join", url, log, 0, "--hold", "1", *more)
    assert becomes_true(lambda: begun(log, unlucky.pid) == [1], PATIENCE_S)
    lucky = started("join", url, log, 0)
    assert becomes_true(lambda: len(begun(log)) == COUNT, PATIENCE_S)
    killed(unlucky)
    hold(log).unlink()
    assert json.loads(leader.communicate()[0]) == answers(COUNT)
    assert sorted(begun(log)) == sorted([*range(COUNT), 1])
    assert int(lucky.communicate()[0]) == len(begun(log, lucky.pid)) >= COUNT - 2
    assert_each_counts_once(url)


def test_a_leader_that_is_killed_goes_on_where_it_was(url: str, log: Path) -> None:
    first = started("lead", url, log, COUNT, "--hold", "5")
    assert becomes_true(lambda: begun(log) == [0, 1, 2, 3, 4, 5], PATIENCE_S)
    killed(first)
    worker = started("join", url, log, 0)
    assert becomes_true(lambda: sorted(begun(log)) == list(range(COUNT)), PATIENCE_S)
    second = started("lead", url, log, COUNT)
    assert json.loads(second.communicate()[0]) == answers(COUNT)
    worker.communicate()
    assert sorted(begun(log)) == sorted([*range(COUNT), 5])
    assert_each_counts_once(url)


def test_four_processes_that_share_judge_everything_once(url: str, log: Path) -> None:
    leader = started("lead", url, log, 40, "--hold", "0")
    assert becomes_true(lambda: begun(log) == [0], PATIENCE_S)
    workers = [started("join", url, log, 0) for _ in range(3)]
    assert becomes_true(lambda: len(begun(log)) == 40, PATIENCE_S)
    hold(log).unlink()
    assert json.loads(leader.communicate()[0]) == answers(40)
    assert sum(int(worker.communicate()[0]) for worker in workers) == 39
    assert sorted(begun(log)) == list(range(40))


def test_a_wrong_password_is_our_error_and_is_not_shown(url: str) -> None:
    wrong = url.replace("home", "work")
    with pytest.raises(EdgeError, match="password authentication failed") as raised, Trials.create(wrong, SEARCH, PACE):
        pass
    assert "ada:***@" in str(raised.value)
    assert "work" not in f"{raised.value}{raised.value.hint}"


def test_a_database_that_goes_away_is_our_error() -> None:
    with (
        postgresql.started() as server,
        pytest.raises(EdgeError, match="does not answer"),
        Trials.create(server.new_database(), SEARCH, PACE) as trials,
    ):
        server.stop()
        trials.known()
