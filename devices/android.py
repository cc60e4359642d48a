"""Android phones, over adb."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from devices import _adb_client as adb
from devices._adb import AdbMachine, Patience
from devices._runners import suffixes
from devices._timing import MachineBench, bench, measurement
from edge.device import Device
from edge.device_state import DeviceInfo
from edge.errors import DeviceError, EdgeError, ToolchainMissingError
from edge.measurement import Measurement, Source
from edge.operator_times import OperatorTime
from edge.protocol import TimingPlan

LISTING = Patience(answer_s=5, return_s=0)
"""A list shall not wait for a phone that does not answer."""
SERIAL = "ANDROID_SERIAL"
"""Names the phone where the user does not, as for adb itself."""


class Android(Device):
    """`android`, where one phone is attached, or `android:SERIAL`."""

    patience = Patience()

    def attached(self) -> tuple[DeviceInfo, ...]:
        try:
            known = adb.states(LISTING.answer_s)
        except (ToolchainMissingError, DeviceError):
            return ()
        with ThreadPoolExecutor(max_workers=8) as pool:
            return tuple(pool.map(_listed, known, known.values()))

    def can_run(self, path: Path) -> bool:
        return path.suffix in suffixes("android")

    def time(self, path: Path, plan: TimingPlan, *, log: Path) -> Measurement:
        with self._bench(path, plan, log) as (machine, ready):
            return measurement(ready, plan, Source.EMULATED if machine.emulated() else Source.MEASURED)

    def operators(self, path: Path, plan: TimingPlan, *, log: Path) -> tuple[OperatorTime, ...]:
        with self._bench(path, plan, log) as (_, ready):
            return ready.operators(plan)

    @contextmanager
    def _bench(self, path: Path, plan: TimingPlan, log: Path) -> Iterator[tuple[AdbMachine, MachineBench]]:
        machine = AdbMachine(self._serial(), keep=plan.keep, patience=self.patience)
        with bench(machine, path, plan, log) as ready:
            yield machine, ready

    def _serial(self) -> str:
        """The phone that is meant. Raises `DeviceError` where it could be several, or none."""
        if named := self.which or os.environ.get(SERIAL):
            return named
        known = adb.states(self.patience.answer_s)
        ready = [serial for serial, state in known.items() if state == adb.READY]
        if len(ready) == 1:
            return ready[0]
        if ready:
            raise DeviceError(
                f"{len(ready)} phones are attached: {', '.join(ready)}",
                hint=f"say which: {' or '.join(f'--device android:{serial}' for serial in ready)}",
            )
        if known:
            raise adb.not_ready(next(iter(known)), known)
        raise DeviceError(
            "no phone is attached",
            hint="plug one in, turn on USB debugging in its Developer options, and tap Allow; over Wi-Fi: adb connect",
        )


def _listed(serial: str, state: str) -> DeviceInfo:
    """What a phone is; of one that is broken or does not answer, only its state."""
    if state != adb.READY:
        return DeviceInfo(f"android:{serial}", "android", state)
    try:
        return AdbMachine(serial, patience=LISTING).info()
    except EdgeError:
        return DeviceInfo(f"android:{serial}", "android", "not responding")
