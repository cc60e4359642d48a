"""Times a file on a machine: brings a runner and the file there, runs it on the biggest cores, and leaves the machine as it was."""

from __future__ import annotations

import signal
import struct
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from devices._android_state import available_mb, clocks
from devices._runner import Invocation, Program, Runner
from devices._runners import runner_for
from edge.device_state import DeviceInfo, DeviceState
from edge.errors import DeviceError, NotExecutableHereError, UsageError
from edge.machine import Finished, Machine
from edge.measurement import Measurement, Source
from edge.operator_times import OperatorTime
from edge.protocol import Bench, Round, TimingPlan, timed

CORES = "grep -H '' /sys/devices/system/cpu/cpu[0-9]*/cpufreq/cpuinfo_max_freq; command -v taskset >/dev/null"
SMALL_S = 20.0
"""Seconds for a command that only looks."""
KILLED = 128 + signal.SIGKILL
ELF_MACHINES: Mapping[int, tuple[str, ...]] = {
    3: ("x86", "i686", "i386"), 40: ("armeabi-v7a", "armeabi", "armv7l", "armv8l"), 62: ("x86_64", "amd64"),
    183: ("arm64-v8a", "arm64", "aarch64"), 243: ("riscv64",),
}  # fmt: skip
"""The ABIs that run a program, by the processor in its ELF header (`e_machine`)."""
CANNOT_EXECUTE = ("not executable: ", "exec format error", "cannot execute")
"""What Android's shell, the C library and other shells say of a file for another processor."""


@dataclass(frozen=True, slots=True)
class MachineBench(Bench):
    """A file that lies on a machine beside its runner. `pinned` comes before every command: which cores it may use."""

    machine: Machine
    info: DeviceInfo
    runner: Runner
    program: Program
    runtime: str
    model: str
    pinned: tuple[str, ...]
    log: Path

    def round(self, plan: TimingPlan) -> Round:
        invocation = self.runner.invocation(self.machine.folder, self.model, plan)
        with self._run(invocation, plan) as (finished, results):
            return self.runner.round(finished, results)

    def operators(self, plan: TimingPlan) -> tuple[OperatorTime, ...]:
        """Raises like `round`, and `UsageError` where the runner does not tell."""
        invocation = self.runner.operators_invocation(self.machine.folder, self.model, plan)
        with self._run(invocation, plan) as (finished, results):
            return self.runner.operators(finished, results)

    def state(self) -> DeviceState:
        return self.machine.state()

    @contextmanager
    def _run(self, invocation: Invocation, plan: TimingPlan) -> Iterator[tuple[Finished, Mapping[str, Path]]]:
        """What the runner ended with, and its results on this machine, for as long as the block lasts."""
        folder = self.machine.folder
        for name in invocation.results:  # of an earlier round
            self.machine.remove(folder / name)
        with self.log.open("a", encoding="utf-8") as log:
            finished = self.machine.run(
                (*self.pinned, *invocation.command),
                timeout_s=plan.timeout_s,
                environment=dict(invocation.environment),
                on_line=lambda line: print(line, file=log),
            )
            log.write(finished.stderr)
        self._require_executable(finished)
        with tempfile.TemporaryDirectory(prefix="edge-") as here:
            yield finished, dict(self._pulled(folder, invocation, Path(here)))

    def _pulled(self, folder: PurePosixPath, invocation: Invocation, here: Path) -> Iterator[tuple[str, Path]]:
        for name in invocation.results:
            exists = self.machine.run(("test", "-f", str(folder / name)), timeout_s=SMALL_S).exit_code == 0
            if exists:
                self.machine.pull(folder / name, here / name)
                yield name, here / name

    def _require_executable(self, finished: Finished) -> None:
        """What went wrong around the runner, which it cannot know itself."""
        if finished.exit_code == 0:
            return
        if finished.exit_code == KILLED:
            free = available_mb(self.machine.run(("cat", "/proc/meminfo"), timeout_s=SMALL_S).stdout)
            raise DeviceError(
                f"{self.runner.name} was killed on {self.info.id}, probably for lack of memory",
                hint=f"{'an unknown amount' if free is None else f'{free} MB'} is available there now: close its apps, "
                "or export a smaller model",
            )
        machine = _elf_machine(self.program.files[0][0])
        foreign = machine in ELF_MACHINES and self.info.abi.lower() not in ELF_MACHINES[machine]
        if foreign or any(words in finished.stderr.lower() for words in CANNOT_EXECUTE):
            built = ELF_MACHINES.get(machine, ("another processor",))[0]
            raise NotExecutableHereError(
                f"{self.runner.name} is built for {built}, and {self.info.id} is {self.info.abi}",
                hint=f"give a runner for {self.info.abi} with --runner",
            )


@contextmanager
def bench(machine: Machine, model: Path, plan: TimingPlan, log: Path) -> Iterator[MachineBench]:
    """The file on the machine, ready to be run; at the end, however it comes, the machine is left as it was found.

    Raises what the runner and the machine raise, and `UsageError` for a file that is not there or too many threads.
    """
    if not model.is_file():
        raise UsageError(f"there is no file {model}", hint="give a file that `edge export` wrote")
    runner = runner_for(model, plan.runner)
    try:
        info = machine.info()
        program = runner.program(info)
        machine.prepare()
        pinned = _pinned(machine, plan.threads)
        for local, remote in program.files:
            machine.push(local, machine.folder / remote)
        runtime = runner.runtime(machine, program)
        name = f"model{model.suffix}"  # beside the runner's files, whatever it is called here
        machine.push(model, machine.folder / name)
        yield MachineBench(machine, info, runner, program, runtime, name, pinned, log)
    finally:
        machine.leave()


def measurement(ready: MachineBench, plan: TimingPlan, source: Source) -> Measurement:
    """Time the file by the plan. Raises what `MachineBench.round` raises."""
    return timed(ready, plan).measurement(
        device=f"{ready.info.id} ({ready.info.model or 'unknown model'})",
        source=source,
        runtime=ready.runtime,
        threads=plan.threads,
        info=ready.info,
    )


def biggest(max_khz: Mapping[int, int], threads: int) -> int:
    """A mask of as many cores as threads: those with the highest clock, and of equal ones the last."""
    ordered = sorted(max_khz, key=lambda core: (max_khz[core], core), reverse=True)
    return sum(1 << core for core in ordered[:threads])


def _pinned(machine: Machine, threads: int) -> tuple[str, ...]:
    """The start of a command that runs on the biggest cores; nothing where the device does not show or allow it."""
    looked = machine.run(("sh", "-c", CORES), timeout_s=SMALL_S)
    cores = clocks(looked.stdout)
    if cores and threads > len(cores):
        raise UsageError(f"{threads} threads on {len(cores)} cores", hint=f"give --threads 1 to {len(cores)}")
    if not cores or looked.exit_code != 0:
        return ()
    pinned = ("taskset", f"{biggest(cores, threads):x}")  # hexadecimal without 0x, as toybox wants it
    allowed = machine.run((*pinned, "true"), timeout_s=SMALL_S).exit_code == 0
    return pinned if allowed else ()


def _elf_machine(file: Path) -> int:
    """The processor that a program is for; 0 for what is no ELF file."""
    with file.open("rb") as opened:
        head = opened.read(20)
    return struct.unpack_from("<H", head, 18)[0] if head[:4] == b"\x7fELF" and len(head) == 20 else 0
