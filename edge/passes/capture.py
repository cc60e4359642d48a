"""Captures a module as a program with `torch.export`, and applies passes to a program."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram
from torch.fx import GraphModule

from edge.errors import ConversionError

Pass = Callable[[GraphModule], GraphModule]
"""A rewrite of a captured graph of ATen operators, weights as attributes; it may change the graph in place."""


def capture(module: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    """Capture `module` in inference form with static shapes. Raises `ConversionError` naming what is at fault."""
    return _export(module.eval(), inputs)


def rewrite(program: ExportedProgram, passes: Sequence[Pass]) -> ExportedProgram:
    """Apply `passes` in order and capture the result again."""
    if not passes:
        return program
    graph_module = unlifted(program)
    for rewrite_pass in passes:
        graph_module = rewrite_pass(graph_module)
        graph_module.graph.eliminate_dead_code()
    graph_module.recompile()
    inputs, _ = program.example_inputs
    return _export(graph_module, inputs)


def unlifted(program: ExportedProgram) -> GraphModule:
    """The program as a graph module that owns its weights and constants: the form that passes rewrite."""
    return program.module(check_guards=False)


def _export(module: nn.Module, inputs: tuple[Tensor, ...]) -> ExportedProgram:
    try:
        with torch.no_grad():
            return torch.export.export(module, inputs, strict=False)
    except Exception as error:  # torch.export raises whatever the module's own forward raises
        raise ConversionError(
            f"{type(module).__name__} cannot be captured: {fault(error)}",
            hint="the forward must not depend on the values of tensors, and must run on the example input",
        ) from error


def fault(error: BaseException) -> str:
    """The first line of an error, with the user's line of code that raised it where there is one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    where = re.findall(r'File "([^"]+)", line (\d+), in (\w+)', str(error))
    own = [(file, line, name) for file, line, name in where if "/torch/" not in file]
    place = f" (in {own[-1][2]}, {own[-1][0]}:{own[-1][1]})" if own else ""
    return f"{type(error).__name__}: {lines[0] if lines else ''}{place}"
