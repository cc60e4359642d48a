"""The command line: one thin function per command, one file per verb; nothing heavy is imported before it is needed."""

from __future__ import annotations

from importlib import import_module

import typer

VERBS = (
    "models", "devices", "doctor", "train", "search", "export", "verify", "run", "inspect", "profile", "latency", "simulate",
    "report", "demo",
)  # fmt: skip
"""In the order of `edge --help`. Each is a file of this package with a function, or a group of commands, of the same name."""

app = typer.Typer(
    name="edge",
    help="From a vision paper to a phone: export, verify, run and profile compact models, provably the same model.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # rich's own help costs as much as the rest of the start
    context_settings={"help_option_names": ["-h", "--help"]},
)


def version(value: bool) -> None:
    """Print the version and end."""
    if value:
        from edge import __version__

        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def options(
    show_version: bool = typer.Option(
        False, "--version", callback=version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    """Options of every command."""


for _verb in VERBS:
    _found = getattr(import_module(f"edge.cli.{_verb}"), _verb)
    if isinstance(_found, typer.Typer):
        app.add_typer(_found, name=_verb)
    else:
        app.command(_verb)(_found)
