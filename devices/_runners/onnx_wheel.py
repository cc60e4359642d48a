"""onnxruntime in the Python of a board, for .onnx files: a script of ours times every run there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import ClassVar

from devices._runner import Invocation, Program, Runner
from devices._runners.finished import CANNOT_START, rubbish
from devices._runners.report import Failures, Report, read, round_of
from edge.device_state import DeviceInfo
from edge.errors import BadArtifactError, DeviceError, NotExecutableHereError, ToolchainMissingError
from edge.machine import Finished, Machine
from edge.onnx_profile import operator_times
from edge.operator_times import OperatorTime
from edge.protocol import Round, TimingPlan

SCRIPT = Path(__file__).parent.parent / "runner" / "time_onnx.py"
PYTHON = "python3"
PROFILE = "profile.json"
IMPORTED_WITHIN_S = 120.0
"""The first import of a wheel from a slow card takes a while."""
INSTALL = f"on the board: {PYTHON} -m pip install onnxruntime"
MANAGED = (
    "where its system manages Python, add --user --break-system-packages, or take a venv and put its bin first in the PATH "
    "that `ssh BOARD env` shows"
)
FAILURES: Failures = {
    "library": (ToolchainMissingError, f"{INSTALL}\n{MANAGED}"),
    "model": (BadArtifactError, "does it load on this machine? Ask `edge run`"),
    "run": (DeviceError, "is the device short of memory?"),
}
"""What the script could not do, by the stage that it names, and what may help."""


class OnnxWheel(Runner):
    """What `python3` of the board imports: nothing but the script is sent. Start-up is the loading of the file alone, and the
    peak of memory is that of all of Python.

    A float16 file runs as onnxruntime runs it, in float32 where it has no half kernels; the host times a model that rounds.
    """

    name = "onnxruntime"
    suffix = ".onnx"
    kinds: ClassVar[frozenset[str]] = frozenset({"linux"})

    def program(self, info: DeviceInfo) -> Program:
        if info.kind not in self.kinds:
            raise NotExecutableHereError(
                f"there is no Python on {info.kind} ({info.id}), in which onnxruntime could time a {self.suffix} file",
                hint="export the model with --target tflite, or time this file on linux:USER@HOST, browser or host",
            )
        return Program(((SCRIPT, SCRIPT.name),), self.name)

    def runtime(self, machine: Machine, program: Program) -> str:  # noqa: ARG002
        finished = machine.run((PYTHON, str(machine.folder / SCRIPT.name)), timeout_s=IMPORTED_WITHIN_S)
        if finished.exit_code in CANNOT_START:
            raise ToolchainMissingError(
                f"there is no {PYTHON} on {machine.info().id}, in which onnxruntime could run",
                hint=f"on the board: apt-get install {PYTHON} {PYTHON}-pip, or its system's like; then\n{INSTALL}",
            )
        return read(finished, self.name, FAILURES, lambda report: str(report["runtime"]))

    def invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        return Invocation((
            *(PYTHON, str(folder / SCRIPT.name), "--model", str(folder / model)),
            *("--runs", str(plan.runs), "--warmup", str(plan.warmup), "--threads", str(plan.threads)),
        ))  # fmt: skip

    def round(self, finished: Finished, results: Mapping[str, Path]) -> Round:  # noqa: ARG002
        return read(finished, self.name, FAILURES, round_of)

    def operators_invocation(self, folder: PurePosixPath, model: str, plan: TimingPlan) -> Invocation:
        plain = self.invocation(folder, model, plan)
        return Invocation((*plain.command, "--profile", str(folder / PROFILE)), results=(PROFILE,))

    def operators(self, finished: Finished, results: Mapping[str, Path]) -> tuple[OperatorTime, ...]:
        """As onnxruntime's own profile has them: the nodes that its optimiser left, each known to 1 µs."""
        warmup = read(finished, self.name, FAILURES, _warmup)
        if PROFILE not in results:
            raise rubbish(self.name, "it leaves no profile", finished)
        try:
            return operator_times(results[PROFILE].read_text(encoding="utf-8"), warmup)
        except ValueError as error:
            raise rubbish(self.name, f"its profile cannot be read: {error}", finished) from error


def _warmup(report: Report) -> int:
    """How many of the profile's runs do not count."""
    warmup = report["warmup"]
    if type(warmup) is not int or warmup < 0:
        raise ValueError(f"{warmup!r} warm-ups")
    return warmup
