"""Does a search beat scaling by hand? Found and uniform networks of a space, trained alike and timed in turns, at four budgets.

`python tests/benchmarks/search.py --space efficientvit --data digits --out FOLDER`: four networks that scale widths and depths
alike are timed whole, and what they take are the budgets of `edge search`, which works with the same latency table; then each of
them and each network found is trained from scratch with the same recipe, once per seed, two at a time on one thread each,
exported, and timed again, all in turns. What is finished is kept, so that the same command goes on after an interruption.
FOLDER/comparison-STRATEGY.json has every number.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from edge_command import EXPORTED, edge

from edge import plugins
from edge.latency.bench import Effort, FileTime
from edge.latency.check import CLOSE
from edge.latency.tag import Setup
from edge.measurement import Measurement
from edge.models.point import reference, stem
from edge.search.latencies import TABLE, Latencies, latencies, reachable
from edge.search.story import WITHIN
from edge.search.uniform_networks import uniform_networks
from edge.spec import ModelSpec, Precision
from edge.training.data import find

BUDGETS = 4
MARGIN = 0.98
"""A budget is so much of what the uniform network takes: a found one must be no slower, and two timings differ by a per cent."""
AT_ONCE = 2


@dataclass(frozen=True, slots=True)
class Side:
    """One network at one budget: what its exported file takes on the device in ms, how the file answers beside PyTorch, and
    the accuracy 0..1 on held-out pictures of each seed's training."""

    model: str
    measured_ms: float
    verdict: str
    accuracies: tuple[float, ...]

    @property
    def mean(self) -> float:
        return statistics.mean(self.accuracies)

    @property
    def words(self) -> str:
        """The mean, and the spread over the seeds."""
        return f"{self.mean:6.2%} ({min(self.accuracies):.2%} to {max(self.accuracies):.2%})"


@dataclass(frozen=True, slots=True)
class Row:
    """A budget with both networks."""

    budget_ms: float
    uniform: Side
    found: Side

    @property
    def budget_now_ms(self) -> float:
        """The budget at the pace that the machine has now: the uniform network, which set it, is timed again beside the other.
        A machine that others share may take half as long again for the same file an hour later."""
        return MARGIN * self.uniform.measured_ms

    def claims(self) -> dict[str, bool]:
        """What the search promises, each on its own."""
        return {
            "as_accurate": self.found.mean >= self.uniform.mean,
            "as_fast": self.found.measured_ms <= self.uniform.measured_ms,
            "within_budget": self.found.measured_ms <= (1 + WITHIN) * self.budget_now_ms,
        }


def budgets(asked: argparse.Namespace) -> dict[str, ModelSpec]:
    """Uniform networks by what each takes whole, as a budget is written; kept in the folder, for times are never twice alike."""
    kept = asked.out / "budgets.json"
    if not kept.is_file():
        times = _uniform_ms(asked)
        kept.write_text(
            json.dumps([{"budget": f"{MARGIN * ms:.4g}ms", **spec.fields()} for spec, ms in times.items()], indent=2)
        )
    return {each["budget"]: ModelSpec(each["space"], each["choices"]) for each in json.loads(kept.read_text())}


def _uniform_ms(asked: argparse.Namespace) -> dict[ModelSpec, float]:
    """Networks between the smallest and the largest uniform one, evenly spaced among all there are, with their times in ms.

    They make way for their neighbours where a search would refuse the budget or give up at it: near what the table says of the
    largest network, and where a network takes so little that what the table is off by is more than a search allows.
    """
    size, classes = (asked.size, asked.size), len(find(asked.data, 0).classes)
    space = plugins.space(asked.space, size, classes)
    every = uniform_networks(space)
    if len(every) < BUDGETS + 2:
        raise SystemExit(f"{asked.space} has only {len(every)} uniform networks at {asked.size} pixels")
    setup = Setup.of(space, asked.device, asked.target, Precision.FP32, threads=1)
    with latencies(space, setup, asked.out, Effort(), asked.out / "bench.log", print, table=asked.table) as timed:
        _, largest_ms = reachable(timed)
        predicted = timed.predict_ms(every)
        first = sum(ms * CLOSE < _off_ms(timed) for ms in predicted)
        end = sum(ms * (1 + CLOSE) < largest_ms for ms in predicted)
        if end - first < BUDGETS:
            raise SystemExit(f"only {end - first} uniform networks of {asked.space} make budgets on this device")
        evenly = [round(place * (len(every) - 1) / (BUDGETS + 1)) for place in range(1, BUDGETS + 1)]
        kept = [min(max(at, first + nth), end - BUDGETS + nth) for nth, at in enumerate(evenly)]
        chosen = [every[at] for at in kept]
        return dict(zip(chosen, timed.measure_ms(chosen), strict=True))


def _off_ms(timed: Latencies) -> float:
    """By how much the table is off, at most, on the networks from which it learned its intercept."""
    whole = {spec: network.ms for spec, network in timed.table.networks().items()}
    return max(abs(whole[spec] - ms) for spec, ms in zip(whole, timed.predict_ms([*whole]), strict=True))


def searched(asked: argparse.Namespace, limits: Sequence[str]) -> dict[str, ModelSpec]:
    """What `edge search` found, by budget; its own training of them is not looked at, for it may start from the supernet."""
    out = asked.out / f"search-{asked.strategy}"
    size = ("--image-size", str(asked.size), "--effort", asked.effort, "--strategy", asked.strategy)
    wanted = ("--device", f"table:{asked.out / TABLE}", "--target", asked.target, "--latency", ",".join(limits))
    edge("search", asked.space, "--data", asked.data, *wanted, *size, "--out", str(out), threads=os.cpu_count() or 1)
    finished = [each for each in json.loads((out / "search.json").read_text())["finished"] if each["role"] == "best"]
    specs = {each["budget_ms"]: ModelSpec(each["spec"]["space"], each["spec"]["choices"]) for each in finished}
    if missing := [limit for limit in limits if _ms(limit) not in specs]:
        raise SystemExit(f"the search in {out} has no network for {', '.join(missing)}")
    return {limit: specs[_ms(limit)] for limit in limits}


def _ms(limit: str) -> float:
    return float(limit.removesuffix("ms"))


def train(asked: argparse.Namespace, model: str, out: Path, seed: int) -> float:
    """The accuracy of a network trained from scratch; another seed also holds out other digits, the same for all networks."""
    recipe = ("--epochs", str(asked.epochs), "--image-size", str(asked.size), "--seed", str(seed), "--workers", "1")
    return float(edge("train", model, "--data", asked.data, "--out", str(out), *recipe, threads=1)["accuracy"])


def measured_ms(asked: argparse.Namespace, files: Sequence[Path]) -> dict[Path, float]:
    """The least median of a pass over each file, all in turns, in several starts of the runtime."""
    effort, random, device = Effort(), Random(0), plugins.device(asked.device)
    passes: dict[Path, list[Measurement]] = {file: [] for file in files}
    turns = -(-effort.turns // len(files))
    for _ in range(effort.rounds):
        order = random.sample(files, len(files))
        found = device.time_in_turns(order, effort.plan, passes=turns, log=asked.out / "timing.log")
        for file, own in zip(order, found, strict=True):
            passes[file] += own
    return {file: FileTime(tuple(own)).ms for file, own in passes.items()}


def exported(asked: argparse.Namespace, run: Path) -> dict[str, Any]:
    """The artifact of a trained network."""
    words = ("--target", asked.target, "--out", str(asked.out / "files" / run.name), "--force")
    artifact: dict[str, Any] = edge("export", str(run), *words, threads=1, codes=EXPORTED)["artifacts"][0]
    return artifact


def compare(asked: argparse.Namespace, models: Sequence[str]) -> dict[str, Side]:
    """Train networks, given by their references, export them, and time them in turns; the same network only once."""
    runs = {
        (model, seed): asked.out / "trained" / f"{stem(model)}-seed{seed}"
        for model in dict.fromkeys(models)
        for seed in range(asked.seeds)
    }
    with ThreadPoolExecutor(AT_ONCE) as pool:
        accuracies = pool.map(lambda key: train(asked, key[0], runs[key], key[1]), runs)
        accuracy = dict(zip(runs, accuracies, strict=True))
    artifacts = {model: exported(asked, runs[model, 0]) for model in dict.fromkeys(models)}
    times = measured_ms(asked, [Path(artifact["path"]) for artifact in artifacts.values()])
    return {
        model: Side(
            model,
            times[Path(artifact["path"])],
            artifact["verdict"],
            tuple(accuracy[model, seed] for seed in range(asked.seeds)),
        )
        for model, artifact in artifacts.items()
    }


def report(rows: Sequence[Row]) -> None:
    print(f"{'budget ms':>9}  {'now':>8}  {'network':8} {'ms':>8}  {'accuracy, mean and spread':32} verdict")
    for row in rows:
        for kind, side in (("uniform", row.uniform), ("found", row.found)):
            budget = f"{row.budget_ms:9.4g}  {row.budget_now_ms:8.4f}"
            print(f"{budget}  {kind:8} {side.measured_ms:8.4f}  {side.words:32} {side.verdict}")
        print(f"{'':11}{', '.join(f'{name} {held}' for name, held in row.claims().items())}")
    held = sum(all(row.claims().values()) for row in rows)
    print(f"all three hold at {held} of {len(rows)} budgets")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--space", default="efficientvit")
    parser.add_argument("--data", default="digits")
    parser.add_argument("--device", default="host", help="where networks are timed")
    parser.add_argument("--table", type=Path, help="a latency table of that device to begin with")
    parser.add_argument("--target", default="tflite")
    parser.add_argument("--size", type=int, default=64, help="pixels")
    parser.add_argument("--strategy", default="slimming")
    parser.add_argument("--effort", default="small", help="of the search")
    parser.add_argument("--epochs", type=int, default=15, help="of each training that is compared")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("build/search"))
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    uniform = budgets(asked)
    found = searched(asked, tuple(uniform))
    sides = compare(asked, [reference(spec) for specs in (uniform, found) for spec in specs.values()])
    rows = [Row(_ms(limit), sides[reference(uniform[limit])], sides[reference(found[limit])]) for limit in uniform]
    report(rows)
    asked_for = {name: str(value) for name, value in vars(asked).items()}
    figures = [{**asdict(row), "budget_now_ms": row.budget_now_ms, "claims": row.claims()} for row in rows]
    document = {"asked": asked_for, "rows": figures}
    (asked.out / f"comparison-{asked.strategy}.json").write_text(json.dumps(document, indent=2))


if __name__ == "__main__":
    main()
