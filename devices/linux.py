"""Linux boards over ssh: a Raspberry Pi, a Jetson, a PC, anything that OpenSSH reaches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devices._runners import suffixes
from devices._ssh import SshMachine
from devices._timing import MachineBench, bench, measurement
from edge.device import Device
from edge.device_state import DeviceInfo
from edge.errors import UsageError
from edge.measurement import Measurement, Source
from edge.operator_times import OperatorTime
from edge.protocol import TimingPlan


class Linux(Device):
    """`linux:[USER@]HOST[:PORT]`, HOST a name of your ssh configuration, of the network, or an address.

    Keys, jump hosts and all else are those of your own ssh: what it can enter without asking, edge can.
    """

    def attached(self) -> tuple[DeviceInfo, ...]:
        """Nothing: a network is not asked for boards. They are named, one at a time."""
        return ()

    def can_run(self, path: Path) -> bool:
        return path.suffix in suffixes("linux")

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        with self._bench(path, plan, log) as (machine, ready):
            return measurement(ready, plan, Source.EMULATED if machine.emulated else Source.MEASURED)

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:
        with self._bench(path, plan, log) as (_, ready):
            return ready.operators(plan)

    @contextmanager
    def _bench(self, path: Path, plan: TimingPlan, log: Path) -> Iterator[tuple[SshMachine, MachineBench]]:
        if not self.which:
            raise UsageError("which board?", hint="write linux:USER@HOST, or linux:USER@HOST:PORT")
        machine = SshMachine(self.which, keep=plan.keep)
        with bench(machine, path, plan, log) as ready:
            yield machine, ready
