"""A latency table in SQLite: blocks with every sample, whole or absent, under the tag that says what they are times of."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from edge.errors import UsageError
from edge.imports.record import ImportedLatency
from edge.latency.tag import Tag
from edge.measurement import Source
from edge.space import Block
from edge.spec import ModelSpec
from edge.whole import appearing

SCHEMA = """
CREATE TABLE IF NOT EXISTS tag (only INTEGER PRIMARY KEY CHECK (only = 1), json TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS block (
    key TEXT PRIMARY KEY, ms REAL NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL, samples TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS network (
    spec TEXT PRIMARY KEY, ms REAL NOT NULL, source TEXT NOT NULL, at TEXT NOT NULL, samples TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS imported (record TEXT PRIMARY KEY);
"""
BUSY_S = 30


@dataclass(frozen=True, slots=True)
class Timed:
    """The time of a block or network in ms, its source, when it was measured (ISO 8601, UTC), and every sample of every
    file behind it: the file's name → passes → ms."""

    ms: float
    source: Source
    at: str
    samples_ms: Mapping[str, Sequence[Sequence[float]]]


class LatencyTable:
    """Open one with `open` or `create`. Rows appear whole, one transaction each, and are never changed."""

    def __init__(self, path: Path, tag: Tag) -> None:
        self.path, self.tag = path, tag

    @classmethod
    def open(cls, path: Path, tag: Tag | None = None) -> LatencyTable:
        """A table that is there. Raises `UsageError` when it is none, or its tag is not `tag` (says both)."""
        if not path.is_file():
            raise UsageError(f"there is no table {path}", hint="make one with `edge latency build`")
        try:
            with closing(_connect(path)) as database:
                rows = database.execute("SELECT json FROM tag").fetchall()
        except sqlite3.DatabaseError as error:
            raise UsageError(
                f"{path} is no latency table: {error}", hint="make one with `edge latency build`"
            ) from None
        if not rows:
            raise UsageError(f"{path} has no tag", hint="make a table with `edge latency build`")
        found = cls(path, Tag.from_json(rows[0][0]))
        if tag is not None:
            found.tag.refuse(tag)
        return found

    @classmethod
    def create(cls, path: Path, tag: Tag) -> LatencyTable:
        """An empty table, or the one that is there. Raises `UsageError` when that one's tag is not `tag`."""
        if path.exists():
            return cls.open(path, tag)
        with appearing(path) as staged, closing(_connect(staged)) as database:
            database.execute("PRAGMA journal_mode = WAL")  # the file keeps the mode
            database.executescript(SCHEMA)
            with database:
                database.execute("INSERT INTO tag VALUES (1, ?)", (tag.to_json(),))
        return cls(path, tag)

    @cached_property
    def _ms(self) -> dict[str, float]:
        return {key: timed.ms for key, timed in self.blocks().items()}

    @cached_property
    def intercept_ms(self) -> float:
        """c₀: the median of what whole networks took beyond their blocks. Raises `UsageError` while none was measured."""
        import statistics

        rest = [timed.ms - self._sum_ms(keys) for keys, timed in self._networks()]
        if not rest:
            raise UsageError(f"{self.path} is not finished: no whole network was timed", hint="build it to the end")
        return statistics.median(rest)

    def predict_ms(self, blocks: Iterable[Block]) -> float:
        """c₀ and the sum of the blocks; nothing is interpolated. Raises `UsageError` that names a block it does not know."""
        wanted = tuple(blocks)
        if absent := self.missing(wanted):
            more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
            raise UsageError(
                f"the table does not know the block {absent[0].key}{more}",
                hint=f"measure what is missing with `edge latency build --spec SPEC --table {self.path}`",
            )
        return self.intercept_ms + self._sum_ms(block.key for block in wanted)

    def missing(self, blocks: Iterable[Block]) -> tuple[Block, ...]:
        """The blocks that the table does not know, each once, in order."""
        return tuple(dict.fromkeys(block for block in blocks if block.key not in self._ms))

    def blocks(self) -> dict[str, Timed]:
        """Every block by its key, in order of the keys."""
        return self._rows("SELECT key, ms, source, at, samples FROM block ORDER BY key")

    def networks(self) -> dict[ModelSpec, Timed]:
        """The networks that were timed whole for the intercept."""
        rows = self._rows("SELECT spec, ms, source, at, samples FROM network ORDER BY spec")
        fields = [json.loads(text)["of"] for text in rows]
        return dict(zip((ModelSpec(each["space"], each["choices"]) for each in fields), rows.values(), strict=True))

    def put_block(self, block: Block, timed: Timed) -> None:
        """Add a block; it is there whole when this returns."""
        self._put("INSERT OR IGNORE INTO block VALUES (?, ?, ?, ?, ?)", block.key, timed)

    def put_network(self, spec: ModelSpec, blocks: Iterable[Block], timed: Timed) -> None:
        """Add a whole network, from which the intercept is learned."""
        key = json.dumps({"of": spec.fields(), "blocks": [block.key for block in blocks]}, sort_keys=True)
        self._put("INSERT OR IGNORE INTO network VALUES (?, ?, ?, ?, ?)", key, timed)

    def put_imported(self, records: Iterable[ImportedLatency]) -> None:
        """Keep what others measured, beside what was measured here; no prediction looks at it."""
        texts = [(json.dumps(record.fields(), sort_keys=True),) for record in records]
        with closing(_connect(self.path)) as database, database:
            database.executemany("INSERT OR IGNORE INTO imported VALUES (?)", texts)

    def imported(self) -> list[dict[str, Any]]:
        """What others measured, as JSON data."""
        with closing(_connect(self.path)) as database:
            return [json.loads(text) for (text,) in database.execute("SELECT record FROM imported ORDER BY record")]

    def _sum_ms(self, keys: Iterable[str]) -> float:
        return sum(self._ms[key] for key in keys)

    def _networks(self) -> list[tuple[list[str], Timed]]:
        rows = self._rows("SELECT spec, ms, source, at, samples FROM network")
        found = [(json.loads(text)["blocks"], timed) for text, timed in rows.items()]
        return [(keys, timed) for keys, timed in found if all(key in self._ms for key in keys)]

    def _rows(self, query: str) -> dict[str, Timed]:
        with closing(_connect(self.path)) as database:
            rows = database.execute(query).fetchall()
        return {name: Timed(ms, Source(source), at, json.loads(samples)) for name, ms, source, at, samples in rows}

    def _put(self, statement: str, name: str, timed: Timed) -> None:
        values = (name, timed.ms, timed.source.value, timed.at, json.dumps(timed.samples_ms))
        with closing(_connect(self.path)) as database, database:
            database.execute(statement, values)
        self.__dict__.pop("_ms", None)
        self.__dict__.pop("intercept_ms", None)


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=BUSY_S)
