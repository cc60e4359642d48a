"""`edge devices`: what is attached."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from edge.cli.output import Json, Quiet, emit, say, table

if TYPE_CHECKING:
    from edge.device_state import DeviceInfo


def devices(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the devices that files can run on."""
    from edge import plugins
    from edge.device_state import THERMAL_STATUS

    found = [info for kind in plugins.names("devices") for info in _attached(kind)]
    if as_json:
        return emit("devices", {"devices": [asdict(info) for info in found]})
    if quiet:
        return print("\n".join(info.id for info in found))
    return table(
        ("device", "state", "model", "SoC", "ABI", "system", "battery", "thermal"),
        (
            (
                *(d.id, d.state, d.model, d.soc, d.abi, d.os),
                "" if d.battery_percent is None else f"{d.battery_percent} %",
                "" if d.thermal_status is None else THERMAL_STATUS[d.thermal_status],
            )
            for d in found
        ),
    )


def _attached(kind: str) -> tuple[DeviceInfo, ...]:
    """A kind that cannot be listed leaves the others alone."""
    from edge import plugins
    from edge.errors import EdgeError

    try:
        return plugins.device(kind).attached()
    except EdgeError as error:
        say(f"edge: {kind} devices cannot be listed: {error}")
        return ()
