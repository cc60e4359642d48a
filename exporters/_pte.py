"""Reads a .pte file by hand: named data, operators and delegates, without the vendor's package or torch.

Layout and field numbers are those of ExecuTorch's public program.fbs (identifier ET12) and extended header (eh00), and
of XNNPACK's schema.fbs (XN01 behind an XH00 header) for what lies inside a delegate.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from exporters._flatbuffer import Table, damaged

_PLANS, _SEGMENTS, _NAMED_DATA = 1, 4, 7  # Program
_CHAINS, _OPERATORS, _DELEGATES = 5, 6, 7  # ExecutionPlan
_INSTRUCTIONS = 2  # Chain
_KERNEL_CALL, _DELEGATE_CALL = 1, 2  # union InstructionArguments
_IN_SEGMENT = 1  # DataLocation


@dataclass(frozen=True, slots=True)
class Pte:
    """A program and the segments behind it. Everything raises `BadArtifactError` on damage."""

    data: bytes
    program: Table
    segments_at: int

    @classmethod
    def read(cls, data: bytes) -> Pte:
        """Check magic, header and sizes."""
        program = Table.root(data, b"ET")
        magic, length, program_size, segments_at, segments_size = struct.unpack_from(
            "<4sIQQQ", data.ljust(40, b"\0"), 8
        )
        if magic != b"eh00" or length < 32:
            raise damaged("it has no extended header")
        if program_size > len(data) or segments_at + segments_size > len(data):
            raise damaged("it ends before its contents do")
        return cls(data, Table(program.data[:program_size], program.position), segments_at)

    def named_data(self, key: str) -> bytes | None:
        """The blob stored under a name, or None."""
        for entry in self.program.tables(_NAMED_DATA):
            if entry.text(0) == key:
                return bytes(self._segment(entry.integer(1, "<I")))
        return None

    def kernels(self) -> list[str]:
        """The operators that run outside every delegate, in order."""
        names = []
        for plan in self.program.tables(_PLANS):
            operators = [operator.text(0) for operator in plan.tables(_OPERATORS)]
            for number, call in _instructions(plan):
                if number == _KERNEL_CALL:
                    index = call.integer(0, "<i")
                    if not 0 <= index < len(operators):
                        raise damaged("an instruction calls an operator that is not there")
                    names.append(operators[index])
        return names

    def delegate_calls(self) -> int:
        """How many times the program enters a delegate."""
        return sum(
            number == _DELEGATE_CALL for plan in self.program.tables(_PLANS) for number, _ in _instructions(plan)
        )

    def delegated(self) -> list[str]:
        """The nodes inside all XNNPACK delegates, by XNNPACK's own names; other backends' contents are not known."""
        names = node_names()
        return [
            names.get(node.integer(0, "<B"), f"XNNNode{node.integer(0, '<B')}")
            for plan in self.program.tables(_PLANS)
            for delegate in plan.tables(_DELEGATES)
            if delegate.text(0) == "XnnpackBackend"
            for node in self._graph(delegate).tables(1)
        ]

    def _graph(self, delegate: Table) -> Table:
        reference = delegate.table(1)
        if reference is None or reference.integer(0, "<b") != _IN_SEGMENT:
            raise damaged("a delegate has no contents")
        blob = self._segment(reference.integer(1, "<I"))
        if bytes(blob[4:8]) != b"XH00" or len(blob) < 30:
            raise damaged("a delegate is not XNNPACK's")
        start, size = struct.unpack_from("<II", blob, 10)
        return Table.root(bytes(blob[start : start + size]), b"XN")

    def _segment(self, index: int) -> memoryview:
        segments = self.program.tables(_SEGMENTS)
        if index >= len(segments):
            raise damaged("a segment is missing")
        start = self.segments_at + segments[index].integer(0, "<Q")
        end = start + segments[index].integer(1, "<Q")
        if end > len(self.data):
            raise damaged("it ends before its contents do")
        return memoryview(self.data)[start:end]


def _instructions(plan: Table) -> list[tuple[int, Table]]:
    calls = []
    for chain in plan.tables(_CHAINS):
        for instruction in chain.tables(_INSTRUCTIONS):
            call = instruction.table(1)
            if call is not None:
                calls.append((instruction.integer(0, "<B"), call))
    return calls


def node_names() -> dict[int, str]:
    """XNNPACK's node types by number, from the schema in the installed package; empty when there is none."""
    package = find_spec("executorch")
    folders = package.submodule_search_locations if package is not None else None
    for folder in folders or ():
        schema = Path(folder) / "backends/xnnpack/serialization/schema.fbs"
        if schema.is_file() and (union := re.search(r"union XNodeUnion \{(.*?)\}", schema.read_text(), re.DOTALL)):
            return dict(enumerate(re.findall(r"^\s*(XNN\w+)", union[1], re.MULTILINE), start=1))
    return {}
