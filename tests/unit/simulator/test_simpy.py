"""An independent simulator in SimPy finds the same start and end of every job."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest

from edge.simulator.chip import Chip, chip
from edge.simulator.chip_parts import Role
from edge.simulator.engine import run
from edge.simulator.frames import program
from edge.simulator.memory import max_min
from edge.simulator.policies import Kind, Misses, Policy, policy
from edge.simulator.program import Program, Transfer
from edge.simulator.workloads import workload
from tests.fakes.random_designs import Wanted, triple

simpy_simulator = pytest.importorskip(
    "tests.fakes.simpy_simulator", reason="SimPy is not installed", exc_type=ImportError
)

CASES = 1000
BOARD = chip("zcu102_edgemoe")


def programs() -> list[tuple[Program, Chip]]:
    """The programs of two frames of random (workload, chip, policy) triples, always the same; every kind of policy."""
    drawn = (triple(random.Random(seed), Wanted()) for seed in range(CASES))
    return [(program(work, on, way, ("a", "b")), on) for work, on, way in drawn]


PROGRAMS = programs()


def by_engine(written: Program, on: Chip) -> tuple[tuple[int, int], ...]:
    return tuple((span.start, span.end) for span in run(written, on))


def test_every_job_starts_and_ends_in_the_same_cycle():
    for number, (written, on) in enumerate(PROGRAMS):
        assert by_engine(written, on) == simpy_simulator.spans(written, on), f"seed {number}"


BOARD_POLICIES: tuple[Callable[[], Policy], ...] = (
    lambda: policy(BOARD, Kind.EXPERT_REORDER),
    lambda: policy(BOARD, Kind.TOKEN_LRU, cache=4, misses=Misses.PREFETCH),
    lambda: policy(BOARD, Kind.TASK_MODEL_SWAP),
)


@pytest.mark.parametrize("way", BOARD_POLICIES, ids=("reorder", "token-lru", "swap"))
def test_two_frames_of_edge_moe_agree(way):
    written = program(workload("edge-moe"), BOARD, way(), ("task0", "task1"))
    assert by_engine(written, BOARD) == simpy_simulator.spans(written, BOARD)


def each_job(change) -> Callable[[Program], Program]:
    return lambda written: replace(written, jobs=tuple(change(job) for job in written.jobs))


def heavier(transfer: Transfer) -> Transfer:
    return replace(transfer, size=2 * transfer.size)


def elsewhere(transfer: Transfer) -> Transfer:
    return replace(transfer, role=Role.WEIGHTS)


FAULTS = {
    "latencies are a cycle longer": each_job(lambda job: replace(job, latency=job.latency + 1)),
    "computation comes for nothing": each_job(lambda job: replace(job, compute=0)),
    "nothing waits": each_job(lambda job: replace(job, after=())),
    "transfers are twice as large": each_job(lambda job: replace(job, transfers=tuple(map(heavier, job.transfers)))),
    "all goes over one port": each_job(lambda job: replace(job, transfers=tuple(map(elsewhere, job.transfers)))),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_a_copy_of_the_program_is_seen(fault):
    seen = [
        by_engine(FAULTS[fault](written), on) != simpy_simulator.spans(written, on) for written, on in PROGRAMS[:60]
    ]
    assert any(seen)


SHARES = {
    "ports do not share the memory": lambda caps, total: dict(caps),
    "what one port leaves is lost": lambda caps, total: {
        port: min(cap, total // len(caps)) for port, cap in caps.items()
    },
}


@pytest.mark.parametrize("fault", SHARES)
def test_a_fault_planted_in_the_engine_is_seen(fault, monkeypatch):
    monkeypatch.setattr("edge.simulator.memory.max_min", SHARES[fault])
    assert any(by_engine(written, on) != simpy_simulator.spans(written, on) for written, on in PROGRAMS)


def test_the_shares_of_ports_are_those_of_levelling():
    generator = random.Random(0)
    for ports, _ in product(range(1, 8), range(300)):
        caps = {
            port: generator.choice((generator.randint(1, 9), generator.randint(1, 12_000))) for port in range(ports)
        }
        total = generator.randint(0, sum(caps.values()) + 5)
        assert simpy_simulator.levelled(caps, total) == max_min(caps, total)
