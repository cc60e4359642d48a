"""The trials of a search in a SQLite file: judged once, kept, shared, taken back from the dead; passwords stay unseen."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from pathlib import Path

import optuna
import pytest

from edge.errors import EdgeError, ToolchainMissingError, UsageError
from edge.search import storage
from edge.search.trial import Evaluation
from edge.search.trials import STUDY, Trials
from edge.spec import ModelSpec
from tests.fakes.eventually import becomes_true
from tests.fakes.searching import PACE, PATIENCE_S, SEARCH, answer, answers, begun, hold, killed, network, started


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage without a study: making its tables takes longer than most tests."""
    path = tmp_path_factory.mktemp("empty") / "trials.sqlite"
    with storage.opened(storage.in_file(path), PACE):
        return path


@pytest.fixture
def url(empty: Path, tmp_path: Path) -> str:
    shutil.copyfile(empty, tmp_path / "trials.sqlite")
    return storage.in_file(tmp_path / "trials.sqlite")


class Judge:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[ModelSpec] = []

    def __call__(self, spec: ModelSpec) -> Evaluation:
        self.asked.append(spec)
        return answer(spec)


def states(url: str) -> list[str]:
    """Of all trials, in order."""
    with storage.opened(url, PACE) as opened:
        return [trial.state.name for trial in optuna.load_study(study_name=STUDY, storage=opened).trials]


def test_every_network_is_judged_once_and_answered_in_order(url: str) -> None:
    judge, specs = Judge(), [network(n) for n in (3, 1, 3, 2)]
    with Trials.create(url, SEARCH, PACE) as trials:
        assert list(trials.evaluate(specs, judge).items()) == [(network(n), answer(network(n))) for n in (3, 1, 2)]
        trials.evaluate([network(1), network(4)], judge)
    assert judge.asked == [network(n) for n in (3, 1, 2, 4)]
    assert states(url) == ["COMPLETE"] * 4


def test_a_search_that_is_taken_up_knows_what_was_judged(url: str) -> None:
    with Trials.create(url, SEARCH, PACE) as trials:
        trials.evaluate([network(1), network(2)], Judge())
    judge = Judge()
    with Trials.create(url, SEARCH, PACE) as trials:
        assert trials.known() == {network(n): answer(network(n)) for n in (1, 2)}
        trials.evaluate([network(2), network(3)], judge)
    assert judge.asked == [network(3)]


def test_another_search_in_the_storage_is_refused_by_what_differs(url: str) -> None:
    with Trials.create(url, SEARCH, PACE):
        pass
    for way in (Trials.create, Trials.join):
        with (
            pytest.raises(UsageError, match=r"has another search: seed is 0, not 1$"),
            way(url, {**SEARCH, "seed": "1"}),
        ):
            pass


def test_nobody_joins_a_search_that_was_not_begun(url: str, tmp_path: Path) -> None:
    absent = tmp_path / "absent.sqlite"
    for nothing in (url, storage.in_file(absent)):
        with pytest.raises(UsageError, match="no search to join"), Trials.join(nothing, SEARCH):
            pass
    assert not absent.exists()


@pytest.mark.parametrize("raised", [UsageError("a picture is gone"), KeyboardInterrupt()])
def test_what_a_judge_raises_is_raised_and_its_network_is_judged_when_the_search_goes_on(
    url: str, raised: BaseException
) -> None:
    def failing(spec: ModelSpec) -> Evaluation:
        raise raised

    judge = Judge()
    with Trials.create(url, SEARCH, PACE) as trials:
        with pytest.raises(type(raised)):
            trials.evaluate([network(1), network(2)], failing)
        assert trials.evaluate([network(1), network(2)], judge).keys() == {network(1), network(2)}
    assert sorted(judge.asked, key=str) == [network(1), network(2)]
    assert states(url) == ["FAIL", "COMPLETE", "COMPLETE"]


def test_an_answer_that_is_no_number_is_refused(url: str) -> None:
    with Trials.create(url, SEARCH, PACE) as trials, pytest.raises(UsageError, match="gives no probabilities"):
        trials.evaluate([network(1)], lambda spec: Evaluation(0.5, float("nan")))


def test_a_worker_that_was_taken_for_dead_counts_nothing(url: str) -> None:
    """It answers after all, between the leader's giving it up and its own telling."""

    def outlived(spec: ModelSpec) -> Evaluation:
        with storage.opened(url, PACE) as opened:
            study = optuna.load_study(study_name=STUDY, storage=opened)
            if len(study.trials) == 1:
                opened.set_trial_state_values(1, optuna.trial.TrialState.FAIL)
                return Evaluation(0, 0)
        return answer(spec)

    with Trials.create(url, SEARCH, PACE) as trials:
        assert trials.evaluate([network(1)], outlived) == {network(1): answer(network(1))}
    assert states(url) == ["FAIL", "COMPLETE"]


def test_a_network_that_two_leaders_counted_is_known_once(url: str) -> None:
    with Trials.create(url, SEARCH, PACE) as one, Trials.create(url, SEARCH, PACE) as other:
        for _ in range(2):
            one._add([network(1)])
        other.evaluate([network(1)], Judge())
        assert one.known() == {network(1): answer(network(1))}
    assert states(url) == ["COMPLETE", "COMPLETE"]


def test_a_search_has_one_leader(url: str) -> None:
    command = (
        f"from tests.fakes.searching import *\nwith Trials.create({url!r}, SEARCH, PACE): print(flush=True); input()"
    )
    with subprocess.Popen([sys.executable, "-c", command], stdin=-1, stdout=-1, text=True) as other:
        assert other.stdout is not None
        other.stdout.readline()
        with pytest.raises(UsageError, match=f"process {other.pid} leads"), Trials.create(url, SEARCH, PACE):
            pass
        other.communicate("\n")
    with Trials.create(url, SEARCH, PACE) as trials:
        assert trials.known() == {}


def test_a_worker_goes_home_when_the_search_ends(url: str) -> None:
    judge, served = Judge(), []

    def work() -> None:
        with Trials.join(url, SEARCH, PACE) as worker:
            served.append(worker.serve(judge, 60))

    with Trials.create(url, SEARCH, PACE) as trials:
        trials._add([network(1), network(2)])
        thread = threading.Thread(target=work)
        thread.start()
        assert becomes_true(lambda: len(trials.known()) == 2)
        trials.finish()
        thread.join()
    assert served == [2]
    assert judge.asked == [network(1), network(2)]


def test_a_worker_that_is_early_waits_for_the_search_to_begin(url: str) -> None:
    judge, served = Judge(), []

    def work() -> None:
        with Trials.join(url, SEARCH, PACE, patience_s=60) as worker:
            served.append(worker.serve(judge, 60))

    thread = threading.Thread(target=work)
    thread.start()
    time.sleep(3 * PACE.poll)
    assert thread.is_alive()
    with Trials.create(url, SEARCH, PACE) as trials:
        trials._add([network(1)])
        assert becomes_true(lambda: len(trials.known()) == 1)
        trials.finish()
        thread.join()
    assert served == [1]


def test_a_worker_goes_home_when_its_leader_is_silent(url: str) -> None:
    with Trials.create(url, SEARCH, PACE) as trials:
        trials._add([network(1)])
    judge = Judge()
    with Trials.join(url, SEARCH, PACE) as worker:
        assert worker.serve(judge, 0.3) == 1
    assert judge.asked == [network(1)]


def test_a_killed_worker_loses_no_trial_and_counts_none_twice(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hold(log).touch()
    leader = started("lead", url, log, 8, "--hold", "0")
    assert becomes_true(lambda: begun(log) == [0], PATIENCE_S)
    worker = started("join", url, log, 0, "--hold", "3")
    assert becomes_true(lambda: begun(log) == [0, 1, 2, 3], PATIENCE_S)
    killed(worker)
    hold(log).unlink()
    assert json.loads(leader.communicate()[0]) == answers(8)
    assert sorted(begun(log)) == [0, 1, 2, 3, 3, 4, 5, 6, 7]
    assert sorted(states(url)) == ["COMPLETE"] * 8 + ["FAIL"]


def test_a_killed_leader_goes_on_where_it_was(url: str, tmp_path: Path) -> None:
    log = tmp_path / "log"
    hold(log).touch()
    first = started("lead", url, log, 6, "--hold", "3")
    assert becomes_true(lambda: begun(log) == [0, 1, 2, 3], PATIENCE_S)
    killed(first)
    second = started("lead", url, log, 6)
    assert json.loads(second.communicate()[0]) == answers(6)
    assert begun(log, second.pid) == [4, 5, 3]
    assert sorted(states(url)) == ["COMPLETE"] * 6 + ["FAIL"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ada:se{c}ret@localhost:1/edge",
        "postgresql://ada:se%40cret@localhost:1/edge",
        "postgresql://ada:se@cret@localhost:1/edge",
        "postgresql://localhost:1/edge?user=ada&password=secret",
        "mysql://ada:secret@localhost/edge",
        "ada:secret@localhost",
    ],
)
def test_a_url_that_leads_nowhere_is_our_error_without_its_password(url: str) -> None:
    pytest.importorskip("psycopg2")
    with pytest.raises(EdgeError) as raised, Trials.create(url, SEARCH):
        pass
    assert not isinstance(raised.value, ToolchainMissingError)
    assert "ret" not in f"{raised.value} {raised.value.hint}".replace("retry", "")
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_url_is_shown_without_its_password_and_options() -> None:
    shown = storage.shown("postgresql://ada:secret@db:5432/edge?sslpassword=other")
    assert shown == "postgresql://ada:***@db:5432/edge"


def test_a_postgresql_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg2", None)
    with (
        pytest.raises(ToolchainMissingError) as raised,
        Trials.create("postgresql://ada:secret@localhost/edge", SEARCH),
    ):
        pass
    assert raised.value.hint == "pip install 'edge-toolchain[postgresql]'"
    assert "secret" not in str(raised.value)


def test_an_error_of_a_judges_own_is_not_taken_for_the_storages(url: str) -> None:
    def needs_more(spec: ModelSpec) -> Evaluation:
        raise ImportError("no timm")

    with pytest.raises(ImportError, match="no timm"), Trials.create(url, SEARCH, PACE) as trials:
        trials.evaluate([network(1)], needs_more)


def test_a_file_that_is_no_storage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "trials.sqlite"
    path.write_text("not a database " * 100)
    with pytest.raises(UsageError, match="is no storage of trials"), Trials.create(storage.in_file(path), SEARCH):
        pass


def test_a_folder_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "à {b} %20 #c"
    folder.mkdir()
    with Trials.create(storage.in_file(folder / "trials.sqlite"), SEARCH, PACE) as trials:
        trials.evaluate([network(1)], Judge())
    assert sqlite3.connect(folder / "trials.sqlite").execute("SELECT count(*) FROM trials").fetchone() == (1,)


def test_optuna_says_nothing(url: str, recwarn: pytest.WarningsRecorder, capfd: pytest.CaptureFixture[str]) -> None:
    with Trials.create(url, SEARCH, PACE) as trials:
        trials.evaluate([network(1)], Judge())
    assert not list(recwarn)
    assert capfd.readouterr() == ("", "")
