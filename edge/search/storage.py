"""Where the trials of a search lie: a SQLite file or a PostgreSQL, by its URL, whose password is shown to nobody."""

from __future__ import annotations

import sqlite3
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy import Connection, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError

from edge.errors import EdgeError, ToolchainMissingError, UsageError

KINDS = {"sqlite": "sqlite:///FILE", "postgresql": "postgresql://USER@HOST/DATABASE"}
FAULTS = (StorageInternalError, SQLAlchemyError)
"""What a database that does not answer raises inside `opened`."""
BUSY_S = 30
optuna.logging.set_verbosity(optuna.logging.ERROR)


@dataclass(frozen=True, slots=True)
class Pace:
    """How often in seconds: `heartbeat` says that a process lives, after `grace` without one it is taken for dead, and who
    has nothing to do looks again after `poll`."""

    heartbeat: int = 5
    grace: int = 30
    poll: float = 0.2


def in_file(path: Path) -> str:
    """The URL of a SQLite file."""
    return URL.create("sqlite", database=str(path.absolute())).render_as_string(hide_password=False)


def shown(url: str) -> str:
    """The URL as it may be printed and kept: without password and options. Raises `UsageError` for none of ours."""
    return _parsed(url).set(query={}).render_as_string(hide_password=True)


@contextmanager
def opened(url: str, pace: Pace) -> Iterator[RDBStorage]:
    """The storage until the end of the block; its tables are made where there are none.

    Inside the block, a storage that fails is our error. Raises `UsageError` for a URL that is none of ours, a file that is
    no storage or in no folder; `ToolchainMissingError` without psycopg2; `EdgeError` when the database does not answer.
    """
    with _our_errors(shown(url)):
        backend = _backend(url, pace)
        try:
            yield backend
        finally:
            backend.remove_session()
            backend.engine.dispose()


def is_there(url: str) -> bool:
    """Whether there may be a storage: False for a SQLite file that is not there, which opening it would make."""
    parsed = _parsed(url)
    return parsed.get_backend_name() != "sqlite" or Path(parsed.database or "").is_file()


def give_up_stale(study: optuna.Study) -> None:
    """Fail the running trials without a heartbeat in the time of grace."""
    with _quietly():
        optuna.storages.fail_stale_trials(study)


def _backend(url: str, pace: Pace) -> RDBStorage:
    parsed = _parsed(url)
    in_a_file = parsed.get_backend_name() == "sqlite"
    options: dict[str, Any] = {"connect_args": {"timeout": BUSY_S}} if in_a_file else {"pool_pre_ping": True}
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg2")  # SQLAlchemy 2.1 means another by it than 2.0 did
    address = parsed.render_as_string(hide_password=False)
    unformatted = address.replace("{", "{{").replace("}", "}}")  # optuna formats it
    try:
        with _quietly():
            backend = RDBStorage(unformatted, options, heartbeat_interval=pace.heartbeat, grace_period=pace.grace)
    except ImportError:
        raise ToolchainMissingError(
            f"{shown(url)} needs psycopg2", hint="pip install 'edge-toolchain[postgresql]'"
        ) from None
    except RuntimeError:
        raise UsageError(
            f"{shown(url)} was made by another version of optuna", hint="`optuna storage upgrade`, or another database"
        ) from None
    if in_a_file:
        event.listen(backend.engine, "connect", _prepare)
        event.listen(backend.engine, "begin", _begin)
        backend.engine.dispose()  # whose connections were not prepared
    return backend


def _prepare(connection: sqlite3.Connection, _: object) -> None:
    connection.isolation_level = None  # `_begin` begins
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")  # a power cut may lose the last trials, never the file


def _begin(connection: Connection) -> None:
    """Lock before the first look, or two processes see the same trial waiting and both take it."""
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
        known = parsed.get_backend_name() in KINDS
    except (SQLAlchemyError, ValueError):
        known = False
    if not known:
        raise UsageError("the storage's URL is of no kind that edge knows", hint=f"write {' or '.join(KINDS.values())}")
    if "@" in (parsed.host or ""):
        raise UsageError("the storage's URL has two @", hint="write an @ of the password as %40")
    return parsed


@contextmanager
def _our_errors(where: str) -> Iterator[None]:
    try:
        yield
    except FAULTS as error:
        reason = _reason(error)
        if "not a database" in reason or "unable to open database file" in reason:
            raise UsageError(f"{where} is no storage of trials: {reason}", hint="name another file") from None
        raise EdgeError(
            f"{where} does not answer: {reason}",
            hint="what was tried is kept: give the same command again when the database is there",
        ) from None


def _reason(error: BaseException) -> str:
    """The first line of what the database said."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) and error.__cause__ else error
    return str(getattr(cause, "orig", None) or cause).partition("\n")[0]


@contextmanager
def _quietly() -> Iterator[None]:
    """Heartbeats are an experiment of optuna's, says optuna each time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield
