"""`edge devices`: what is attached."""

from __future__ import annotations

from dataclasses import asdict

from edge.cli.output import Json, Quiet, emit, table


def devices(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the devices that files can run on."""
    from edge import plugins

    found = [info for kind in plugins.names("devices") for info in plugins.device(kind).attached()]
    if as_json:
        return emit("devices", {"devices": [asdict(info) for info in found]})
    if quiet:
        return print("\n".join(info.id for info in found))
    return table(
        ("device", "state", "model", "SoC", "ABI", "system"),
        ((d.id, d.state, d.model, d.soc, d.abi, d.os) for d in found),
    )
