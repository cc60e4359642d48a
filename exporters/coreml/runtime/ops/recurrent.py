"""Recurrent layers of one level: sequences first, x (S, B, I), states (B, H)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from exporters.coreml.runtime.ops.activation import sigmoid_hard
from exporters.coreml.runtime.ops.table import Table, family, flag

TABLE: Table = {}
operator = family(TABLE)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "scaled_tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": sigmoid_hard,
    "sigmoid_hard": sigmoid_hard,
    "relu": torch.relu,
    "linear": lambda x: x,
}
"""Those with settings have the settings that make them the plain form."""


@operator("rnn")
def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """Results in the order in which the steps run: a `reverse` sequence begins at its end."""
    activate = ACTIVATIONS[activation.lower()]
    h, steps = initial_h, []
    for given in F.linear(_in_order(x, direction), weight_ih, bias):
        h = activate(given + F.linear(h, weight_hh))
        steps.append(h)
    return _result(steps, output_sequence), h


@operator("gru")
def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: Tensor | bool = False,
    input_bias: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Gates in the order reset, output, update. The reset gate acts on the state, or after its product and `bias`."""
    gate, activate = ACTIVATIONS[recurrent_activation.lower()], ACTIVATIONS[activation.lower()]
    size = weight_hh.shape[1]
    weight_r, weight_o, weight_z = weight_hh.split(size)
    bias_r, bias_o, bias_z = (bias if bias is not None else weight_hh.new_zeros(3 * size)).split(size)
    h, steps = initial_h, []
    for given in F.linear(_in_order(x, direction), weight_ih, input_bias):
        given_r, given_o, given_z = given.split(size, -1)
        reset = gate(given_r + F.linear(h, weight_r, bias_r))
        update = gate(given_z + F.linear(h, weight_z, bias_z))
        if flag(reset_after):
            output = activate(given_o + reset * F.linear(h, weight_o, bias_o))
        else:
            output = activate(given_o + F.linear(reset * h, weight_o, bias_o))
        h = (1 - update) * output + update * h
        steps.append(h)
    return _result(steps, output_sequence), h


@operator("lstm")
def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: Tensor | None = None,
    weight_hh_back: Tensor | None = None,
    bias_back: Tensor | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: Tensor | bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction, or both beside each other in the last axis; results of `reverse` alone begin at the sequence's end."""
    activations = _Activations(recurrent_activation, cell_activation, activation)
    forth = _Direction(weight_ih, weight_hh, bias, peephole)
    if direction != "bidirectional":
        steps, h, c = forth.run(_in_order(x, direction), initial_h, initial_c, activations, clip)
        return _result(steps, output_sequence), h, c
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("both directions, and no weights for the second")
    back = _Direction(weight_ih_back, weight_hh_back, bias_back, peephole_back)
    (h_forth, h_back), (c_forth, c_back) = initial_h.chunk(2, -1), initial_c.chunk(2, -1)
    steps_forth, h_forth, c_forth = forth.run(x, h_forth, c_forth, activations, clip)
    steps_back, h_back, c_back = back.run(x.flip(0), h_back, c_back, activations, clip)
    if flag(output_sequence):
        steps_back.reverse()
    steps = [torch.cat(pair, -1) for pair in zip(steps_forth, steps_back, strict=True)]
    return _result(steps, output_sequence), torch.cat((h_forth, h_back), -1), torch.cat((c_forth, c_back), -1)


class _Activations:
    """What the gates, the cell on its way in and the cell on its way out go through, by name."""

    def __init__(self, gate: str, into: str, out: str) -> None:
        self.gate, self.into, self.out = (ACTIVATIONS[name.lower()] for name in (gate, into, out))


@dataclass(frozen=True, slots=True)
class _Direction:
    """The weights of an LSTM in one direction; gates stand in the order input, forget, output, cell."""

    input_weight: Tensor
    state_weight: Tensor
    bias: Tensor | None
    peephole: Tensor | None

    def run(
        self, sequence: Tensor, h: Tensor, c: Tensor, activations: _Activations, clip: Tensor | None
    ) -> tuple[list[Tensor], Tensor, Tensor]:
        """All states, and the last state and cell. The peephole of the output gate sees the new cell."""
        size = self.state_weight.shape[1]
        peep = (self.peephole if self.peephole is not None else self.state_weight.new_zeros(3 * size)).split(size)
        steps = []
        for given in F.linear(sequence, self.input_weight, self.bias):
            gates = given + F.linear(h, self.state_weight)
            to_input, to_forget, to_output, to_cell = gates.split(size, -1)
            kept = activations.gate(to_forget + c * peep[1]) * c
            c = kept + activations.gate(to_input + c * peep[0]) * activations.into(to_cell)
            if clip is not None:
                c = c.clamp(-clip, clip)
            h = activations.gate(to_output + c * peep[2]) * activations.out(c)
            steps.append(h)
        return steps, h, c


def _in_order(sequence: Tensor, direction: str) -> Tensor:
    return {"forward": sequence, "reverse": sequence.flip(0)}[direction]


def _result(steps: list[Tensor], output_sequence: Tensor | bool) -> Tensor:
    """Every step, or the last (1, B, H)."""
    return torch.stack(steps if flag(output_sequence) else steps[-1:])
