"""One adapter for each runner that can be started on a machine, and the choice among them."""

from __future__ import annotations

from pathlib import Path

from devices._runner import Runner
from devices._runners.benchmark_model import BenchmarkModel
from devices._runners.executor_runner import ExecutorRunner
from devices._runners.litert import Litert
from devices._runners.onnx_wheel import OnnxWheel
from edge.errors import NotExecutableHereError, UsageError

BY_SUFFIX: dict[str, type[Litert | ExecutorRunner | OnnxWheel]] = {
    Litert.suffix: Litert, ExecutorRunner.suffix: ExecutorRunner, OnnxWheel.suffix: OnnxWheel,
}  # fmt: skip
"""Who runs a file where the user does not say."""
BY_NAME: dict[str, type[BenchmarkModel | ExecutorRunner]] = {
    BenchmarkModel.name: BenchmarkModel, ExecutorRunner.name: ExecutorRunner,
}  # fmt: skip
"""Vendors' runners, by what stands in the name of their file (builders put the system before it)."""


def suffixes(kind: str) -> frozenset[str]:
    """Of the files that a runner runs on devices of a kind."""
    return frozenset(suffix for suffix, runner in BY_SUFFIX.items() if kind in runner.kinds)


def runner_for(model: Path, given: Path | None = None) -> Runner:
    """Who runs `model` on a machine: `given` is the user's runner, a folder with ours, a vendor's file, or only its name.

    Raises `UsageError` for a runner of which nothing is known, or of other files, and `NotExecutableHereError`.
    """
    if model.suffix not in BY_SUFFIX:
        raise NotExecutableHereError(
            f"no runner runs {model.suffix or model.name} files on a device",
            hint=f"export for one of {', '.join(BY_SUFFIX)}",
        )
    if given is None:
        return BY_SUFFIX[model.suffix]()
    if str(given) in BY_NAME and not given.exists():  # a name, for the one in the cache
        _require_suffix(BY_NAME[str(given)], model)
        return BY_NAME[str(given)]()
    kind = Litert if given.is_dir() else next((kind for name, kind in BY_NAME.items() if name in given.name), None)
    if kind is None:
        raise UsageError(
            f"{given} is not a runner that edge knows",
            hint=f"give a folder with our runner, or a file with {' or '.join(BY_NAME)} in its name",
        )
    _require_suffix(kind, model)
    return kind(given)


def _require_suffix(kind: type[Runner], model: Path) -> None:
    if kind.suffix != model.suffix:
        raise UsageError(f"{kind.name} runs {kind.suffix} files, not {model.name}", hint="give another --runner")
