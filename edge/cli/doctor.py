"""`edge doctor`: which toolchains are here, and how to get the others."""

from __future__ import annotations

from edge.cli.output import Json, Quiet, emit, table


def doctor(as_json: Json = False, quiet: Quiet = False) -> None:
    """List the toolchains that are installed or missing."""
    from edge import plugins
    from edge.toolchain import installed_version

    toolchains = []
    for name in plugins.names("exporters"):
        exporter = plugins.exporter(name)
        for distribution in exporter.distributions:
            version = installed_version(distribution)
            hint = "" if version else plugins.install_hint(exporter)
            toolchains.append(
                {"name": distribution, "target": name, "version": version, "ok": version is not None, "hint": hint}
            )
    if as_json:
        return emit("doctor", {"toolchains": toolchains})
    if quiet:
        return print("\n".join(str(row["name"]) for row in toolchains if not row["ok"]), end="")
    return table(
        ("toolchain", "target", "version", "how to get it"),
        (
            (str(row["name"]), str(row["target"]), str(row["version"] or "missing"), str(row["hint"]))
            for row in toolchains
        ),
    )
