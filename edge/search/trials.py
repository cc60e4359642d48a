"""The evaluations of one search as trials of an optuna study: a queue for any number of workers, and the search's memory.

One process leads: only it adds trials, one for each network, and another where one was lost with its worker. Everybody
judges what waits. So a network is judged twice only when its first judge was given up, and is never counted twice.
"""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Self

import optuna
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from edge.errors import UsageError
from edge.search import storage as storages
from edge.search.storage import Pace
from edge.search.trial import Evaluation
from edge.spec import ModelSpec

STUDY = "edge search"
SEARCH, LEADER, ENDED = "search", "leader", "ended"  # of the study
NETWORK, WORKER, WHY = "network", "worker", "why"  # of a trial
PACE = Pace()
Evaluator = Callable[[ModelSpec], Evaluation]


@dataclass(frozen=True, slots=True)
class Worker:
    """A process that takes part in a search."""

    host: str
    pid: int

    @classmethod
    def here(cls) -> Self:
        return cls(socket.gethostname(), os.getpid())

    def is_gone(self) -> bool:
        """Whether it was a process of this machine that is no more. Of another machine's, only heartbeats tell."""
        if self.host != socket.gethostname():
            return False
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:  # it is another user's
            return False
        return False


class Trials:
    """Made by `create` and `join`, and good until the end of their block.

    Everything here may raise `EdgeError` when the database does not answer; what was tried is in it.
    """

    def __init__(self, storage: RDBStorage, study: optuna.Study, pace: Pace) -> None:
        self._storage, self._study, self._pace = storage, study, pace
        self._id = storage.get_study_id_from_name(STUDY)
        self._known: dict[ModelSpec, Evaluation] = {}
        self._read: set[int] = set()  # the numbers of the trials behind `_known`
        self._held: int | None = None

    @classmethod
    @contextmanager
    def create(cls, url: str, search: Mapping[str, str], pace: Pace = PACE) -> Iterator[Self]:
        """Lead the search: begin it, or take it up where another process left it.

        `search` says all that its evaluations depend on. Raises `UsageError` when the storage has another search, or when
        another process of this machine leads this one; see `storage.opened` for more.
        """
        with storages.opened(url, pace) as storage:
            study = optuna.create_study(
                storage=storage, study_name=STUDY, directions=["maximize", "maximize"], load_if_exists=True
            )
            attributes = study.user_attrs
            if SEARCH in attributes:
                _refuse_another(attributes[SEARCH], search, storages.shown(url))
            _refuse_second_leader(attributes.get(LEADER), pace)
            study.set_user_attr(SEARCH, dict(search))
            study.set_user_attr(ENDED, False)
            trials = cls(storage, study, pace)
            trials._give_up_lost()
            trials._lead()
            try:
                with trials._beating(trials._lead):
                    yield trials
            finally:
                with suppress(*storages.FAULTS):
                    study.set_user_attr(LEADER, None)

    @classmethod
    @contextmanager
    def join(cls, url: str, search: Mapping[str, str], pace: Pace = PACE, *, patience_s: float = 0.0) -> Iterator[Self]:
        """Work for the process that leads. Raises `UsageError` when nobody begins the search in time, or it has another
        `search`."""
        where = storages.shown(url)
        _await_beginning(url, pace, patience_s)
        with storages.opened(url, pace) as storage:
            study = optuna.load_study(study_name=STUDY, storage=storage)
            _refuse_another(study.user_attrs[SEARCH], search, where)
            trials = cls(storage, study, pace)
            with trials._beating():
                yield trials

    def evaluate(self, specs: Sequence[ModelSpec], judge: Evaluator) -> dict[ModelSpec, Evaluation]:
        """Every network once, in order, whoever judges it; what is known is not judged again. Only for who leads.

        What `judge` raises here is raised; what it raises in another process costs that process, not the trial.
        """
        wanted = tuple(dict.fromkeys(specs))
        while True:
            unfinished = self._learn()
            missing = [spec for spec in wanted if spec not in self._known]
            if not missing:
                return {spec: self._known[spec] for spec in wanted}
            self._add(spec for spec in missing if spec not in unfinished)
            if not self._work(judge):
                self._give_up_lost()
                time.sleep(self._pace.poll)

    def serve(self, judge: Evaluator, patience_s: float) -> int:
        """Judge what waits until the search ends, or its leader is silent for so long. Returns how many were judged."""
        judged, leader, heard = 0, None, time.monotonic()
        while True:
            attributes = self._study.user_attrs
            if attributes.get(LEADER) != leader:
                leader, heard = attributes.get(LEADER), time.monotonic()
            if attributes[ENDED] or time.monotonic() - heard > patience_s:
                return judged
            at_once = self._work(judge)
            judged += at_once
            if not at_once:
                time.sleep(self._pace.poll)

    def known(self) -> dict[ModelSpec, Evaluation]:
        """Every network that was judged."""
        self._learn()
        return dict(self._known)

    def finish(self) -> None:
        """End the search: whoever joined goes home."""
        self._study.set_user_attr(ENDED, True)

    def _learn(self) -> set[ModelSpec]:
        """Read what was judged into `_known`; the networks that wait or are being judged."""
        unfinished = set()
        for trial in self._study.get_trials(deepcopy=False):
            if trial.state == TrialState.COMPLETE and trial.number not in self._read:
                self._read.add(trial.number)
                confidence, accuracy = trial.values
                self._known.setdefault(_network(trial), Evaluation(accuracy, confidence))
            elif not trial.state.is_finished():
                unfinished.add(_network(trial))
        return unfinished

    def _add(self, specs: Iterable[ModelSpec]) -> None:
        for spec in specs:
            self._study.add_trial(
                optuna.trial.create_trial(state=TrialState.WAITING, user_attrs={NETWORK: spec.fields()})
            )

    def _work(self, judge: Evaluator) -> int:
        """Judge what waits now, but for what others take; how many were judged."""
        waiting = self._study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
        return sum(self._judged(self._id_of(trial), _network(trial), judge) for trial in waiting)

    def _judged(self, trial_id: int, spec: ModelSpec, judge: Evaluator) -> bool:
        if not self._taken(trial_id):
            return False
        try:
            self._held = trial_id
            evaluation = judge(spec)
            values = (evaluation.confidence, evaluation.accuracy)
            if not all(map(math.isfinite, values)):
                raise UsageError(f"the supernet gives no probabilities for {dict(spec.choices)}", hint="train it again")
        except BaseException as error:
            self._give_up(trial_id, f"{type(error).__name__}: {error}")
            raise
        finally:
            self._held = None
        try:
            return self._storage.set_trial_state_values(trial_id, TrialState.COMPLETE, values)
        except UpdateFinishedTrialError:  # this process was taken for dead
            return False

    def _taken(self, trial_id: int) -> bool:
        try:
            self._storage.record_heartbeat(trial_id)  # first: a trial that runs without one would run for ever
            if not self._storage.set_trial_state_values(trial_id, TrialState.RUNNING):
                return False
            self._storage.set_trial_user_attr(trial_id, WORKER, asdict(Worker.here()))
        except UpdateFinishedTrialError:
            return False
        return True

    def _give_up_lost(self) -> None:
        """Give up the trials of processes that are gone. The leader calls it, while it has none in hand itself."""
        storages.give_up_stale(self._study)
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            worker = trial.user_attrs.get(WORKER)
            if worker and (Worker(**worker) == Worker.here() or Worker(**worker).is_gone()):
                self._give_up(self._id_of(trial), "its worker is gone")

    def _give_up(self, trial_id: int, why: str) -> None:
        with suppress(UpdateFinishedTrialError):
            self._storage.set_trial_user_attr(trial_id, WHY, why)
            self._storage.set_trial_state_values(trial_id, TrialState.FAIL)

    def _id_of(self, trial: FrozenTrial) -> int:
        return self._storage.get_trial_id_from_study_id_trial_number(self._id, trial.number)

    def _lead(self) -> None:
        self._study.set_user_attr(LEADER, {**asdict(Worker.here()), "at": time.time()})

    def _hold(self) -> None:
        if (held := self._held) is not None:
            self._storage.record_heartbeat(held)

    @contextmanager
    def _beating(self, *signs: Callable[[], None]) -> Iterator[None]:
        """Say every few seconds that this process lives, until the end of the block."""
        ended = threading.Event()

        def beat() -> None:
            while not ended.wait(self._pace.heartbeat):
                for sign in (self._hold, *signs):
                    with suppress(*storages.FAULTS):  # the next one may get through
                        sign()
            self._storage.remove_session()

        thread = threading.Thread(target=beat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


def _await_beginning(url: str, pace: Pace, patience_s: float) -> None:
    """Return when there is a search to join. Raises `UsageError` when there is still none after so long."""
    until = time.monotonic() + patience_s
    while not _is_begun(url, pace):
        if time.monotonic() >= until:
            raise UsageError(
                f"{storages.shown(url)} has no search to join", hint="begin it with `edge search` first, then join it"
            )
        time.sleep(pace.poll)


def _is_begun(url: str, pace: Pace) -> bool:
    if not storages.is_there(url):
        return False
    with storages.opened(url, pace) as storage:
        if STUDY not in optuna.get_all_study_names(storage):
            return False
        return ENDED in optuna.load_study(study_name=STUDY, storage=storage).user_attrs


def _network(trial: FrozenTrial) -> ModelSpec:
    fields = trial.user_attrs[NETWORK]
    return ModelSpec(fields["space"], fields["choices"])


def _refuse_another(found: Mapping[str, str], search: Mapping[str, str], where: str) -> None:
    other = [f"{name} is {found.get(name)}, not {value}" for name, value in search.items() if found.get(name) != value]
    if other:
        raise UsageError(
            f"{where} has another search: {'; '.join(other)}", hint="give each search a storage of its own"
        )


def _refuse_second_leader(leader: Mapping[str, Any] | None, pace: Pace) -> None:
    if leader is None or time.time() - leader["at"] > pace.grace:
        return
    worker = Worker(leader["host"], leader["pid"])
    if worker.host == Worker.here().host and worker != Worker.here() and not worker.is_gone():
        raise UsageError(
            f"process {worker.pid} leads this search already", hint="wait for its end, or join it with `--join`"
        )
