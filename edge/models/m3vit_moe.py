"""The mixture-of-experts layer of M3ViT: routers, experts, and the routing they leave behind.

Shapes: B pictures of N tokens of width d; E experts with h = ratio·d hidden channels; each token visits k of them. All
rules are those of the moe_fpga sheet §1.1 and §1.2. No expert has a capacity: one may get every token.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.m3vit_config import MoEConfig, RouterKind, ScoreRule


class Task(NamedTuple):
    """What is asked of the network: the task's name and, for conditioned gates, its embedding (m,)."""

    name: str
    embedding: Tensor | None


@dataclass(frozen=True, slots=True, eq=False)
class Routing:
    """Where one layer sent its B·N tokens, picture by picture in token order.

    `experts` (B·N, k) int64, best first; `scores` (B·N, k); `load` (E,): the tokens of each expert, smooth where the gate
    was noisy (then it has a gradient), else counted.
    """

    experts: Tensor
    scores: Tensor
    load: Tensor

    @property
    def importance(self) -> Tensor:
        """The sum of the scores that each expert was given: (E,)."""
        return torch.zeros_like(self.load).index_add(0, self.experts.flatten(), self.scores.flatten())


class Fed(NamedTuple):
    """Tokens (B, N, d) as a feed-forward layer leaves them, with the routing where there was one."""

    tokens: Tensor
    routing: Routing | None


class Gate(nn.Module):
    """Sends tokens (N, width) to experts. In inference it is deterministic; of equal logits the lowest index wins."""

    def __init__(self, width: int, moe: MoEConfig) -> None:
        super().__init__()
        self.moe = moe
        self.choose = nn.Linear(width, moe.experts, bias=False)  # torch's default is Kaiming-uniform with a = √5
        self.spread: nn.Linear | None = None
        if moe.rule is ScoreRule.TOP_K_FIRST:
            self.spread = nn.Linear(width, moe.experts, bias=False)
            nn.init.zeros_(self.spread.weight)

    def forward(self, tokens: Tensor) -> Routing:
        clean: Tensor = self.choose(tokens)
        deviation = self._deviation(tokens, clean) if self.training else None
        logits = clean if deviation is None else clean + torch.randn_like(clean) * deviation
        ranked, order = logits.sort(dim=-1, descending=True, stable=True)
        chosen = order[:, : self.moe.top_k]
        if deviation is None or self.moe.top_k == self.moe.experts:
            load = counts(chosen, self.moe.experts).to(clean.dtype)
        else:
            load = smooth_load(clean, logits, ranked, deviation, self.moe.top_k)
        return Routing(chosen, self._scores(logits, ranked, chosen), load)

    def _deviation(self, tokens: Tensor, clean: Tensor) -> Tensor | None:
        """The deviation of the training noise of each logit, None for none; 0.01 keeps a learned one above zero (§1.2)."""
        if self.spread is not None:
            return F.softplus(self.spread(tokens)) + 0.01
        return torch.full_like(clean, self.moe.noise / self.moe.experts) if self.moe.noise else None

    def _scores(self, logits: Tensor, ranked: Tensor, chosen: Tensor) -> Tensor:
        if self.moe.rule is ScoreRule.SOFTMAX_FIRST:
            return logits.softmax(-1).gather(-1, chosen)
        return ranked[:, : self.moe.top_k].softmax(-1)


def counts(chosen: Tensor, experts: int) -> Tensor:
    """How many tokens each expert got, (E,) int64, from the chosen experts (N, k)."""
    return torch.bincount(chosen.flatten(), minlength=experts)


def smooth_load(clean: Tensor, noisy: Tensor, ranked: Tensor, deviation: Tensor, top_k: int) -> Tensor:
    """Σ over tokens of P(an expert is among its token's k when only its own noise is drawn again): (E,), for k < E.

    All arguments but `top_k` are (N, E); `ranked` is `noisy`, largest first. Everything compared is a noisy logit: the
    released gate compared logits with thresholds that were softmaxed, a defect (§1.2). Formula: Shazeer et al. 2017, app. A.
    """
    kth, next_best = ranked[:, top_k - 1 : top_k], ranked[:, top_k : top_k + 1]
    to_beat = torch.where(noisy > next_best, next_best, kth)  # who is in must stay above the best that is out
    return torch.special.ndtr((clean - to_beat) / deviation).sum(0)


class MultiGate(nn.Module):
    """One gate for each task; the task's name picks it."""

    def __init__(self, width: int, tasks: Iterable[str], moe: MoEConfig) -> None:
        super().__init__()
        self.gates = nn.ModuleDict({task: Gate(width, moe) for task in tasks})

    def forward(self, tokens: Tensor, task: Task) -> Routing:
        routing: Routing = self.gates[task.name](tokens)
        return routing

    def bound(self, task: Task) -> nn.Linear:
        """The logits of `task` as one linear layer from tokens alone, (…, d) to (…, E)."""
        return _linear(self.gates[task.name].get_submodule("choose").get_parameter("weight"))

    def keep(self, task: str) -> None:
        """Forget the gates of all tasks but one."""
        self.gates = nn.ModuleDict({task: self.gates[task]})


class ConditionedGate(nn.Module):
    """One gate for all tasks, of the token with the embedded task behind it."""

    def __init__(self, width: int, moe: MoEConfig) -> None:
        super().__init__()
        self.width = width
        self.gate = Gate(width + moe.task_width, moe)

    def forward(self, tokens: Tensor, task: Task) -> Routing:
        assert task.embedding is not None
        beside = task.embedding.expand(len(tokens), -1)
        routing: Routing = self.gate(torch.cat((tokens, beside), dim=1))
        return routing

    def bound(self, task: Task) -> nn.Linear:
        """The logits of `task` as one linear layer from tokens alone: the task's share is a constant."""
        assert task.embedding is not None
        of_token, of_task = self.gate.choose.weight.split((self.width, len(task.embedding)), dim=1)
        return _linear(of_token, of_task @ task.embedding)

    def keep(self, task: str) -> None:
        """Nothing to forget: the gate is everybody's."""


class TaskEmbedding(nn.Module):
    """A task's name as a vector (m,) for the conditioned gates, made once per forward (§1.2)."""

    def __init__(self, tasks: Iterable[str], width: int) -> None:
        super().__init__()
        self.tasks = tuple(tasks)
        self.fc1 = nn.Linear(len(self.tasks), width)
        self.fc2 = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, task: str) -> Tensor:
        one_hot = torch.zeros_like(self.fc1.weight[0])
        one_hot[self.tasks.index(task)] = 1
        embedding: Tensor = self.norm(self.fc2(F.gelu(self.fc1(one_hot))))
        return embedding


class FeedForward(nn.Module):
    """Two linear layers around a GELU, (…, d) to the same: the dense layer of an even block, and one expert of an odd."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        fed: Tensor = self.fc2(F.gelu(self.fc1(tokens)))
        return fed


class MoE(nn.Module):
    """A layer of experts over tokens (B, N, d): each token's output is the sum of its k experts' times their scores."""

    def __init__(self, width: int, tasks: Iterable[str], moe: MoEConfig) -> None:
        super().__init__()
        self.moe = moe
        conditioned = moe.router is RouterKind.TASK_CONDITIONED
        self.router = ConditionedGate(width, moe) if conditioned else MultiGate(width, tasks, moe)
        self.experts = nn.ModuleList(FeedForward(width, moe.hidden_ratio * width) for _ in range(moe.experts))

    def forward(self, tokens: Tensor, task: Task) -> Fed:
        flat = tokens.flatten(0, 1)
        routing: Routing = self.router(flat, task)
        return Fed(expert_by_expert(self.experts, flat, routing).view_as(tokens), routing)


def expert_by_expert(experts: nn.ModuleList, tokens: Tensor, routing: Routing) -> Tensor:
    """The mixture (N, d) of `tokens` (N, d): each expert with a queue computes that queue at once, in expert order.

    The queues hold tokens in token order, as those of the hardware do (§3.2), so `routing` is their trace.
    """
    visits = routing.experts.flatten()
    by_expert = visits.argsort(stable=True)
    owners = by_expert // routing.experts.shape[1]
    queues = tokens[owners].split(counts(visits, len(experts)).tolist())
    computed = torch.cat([expert(queue) for expert, queue in zip(experts, queues, strict=True) if len(queue)])
    scored = computed * routing.scores.flatten()[by_expert].unsqueeze(1)
    return torch.zeros_like(tokens).index_add(0, owners, scored)


class DenseMoE(nn.Module):
    """The same function for exporters: no shape depends on a value, and no tensor has more than four dimensions.

    Every expert in `kept` computes every token, as one wide layer, and the scores of tokens that did not choose it are
    zero; so it costs E/k times the arithmetic of the sparse form. A visit to an expert that was not kept adds nothing.
    Gates are bound to their tasks, and deterministic.
    """

    earlier: Tensor

    def __init__(self, layer: MoE, tasks: Sequence[Task], kept: Sequence[int]) -> None:
        super().__init__()
        self.moe, self.kept = layer.moe, tuple(kept)
        order = [*kept, *sorted(set(range(layer.moe.experts)) - set(kept))]  # those kept come first, to be one slice
        self.gates = nn.ModuleDict({task.name: _reordered(layer.router.bound(task), order) for task in tasks})
        experts = [layer.experts[index] for index in kept]
        firsts, seconds = ([expert.get_submodule(name) for expert in experts] for name in ("fc1", "fc2"))
        self.fc1 = _linear(_joined(firsts, "weight", dim=0), _joined(firsts, "bias", dim=0))
        self.fc2 = _linear(_joined(seconds, "weight", dim=1))
        self.biases = _linear(torch.stack([second.get_parameter("bias") for second in seconds], dim=1))
        index = torch.tensor(order)
        self.register_buffer("earlier", (index.unsqueeze(0) < index.unsqueeze(1)).float())

    def forward(self, tokens: Tensor, task: Task) -> Fed:
        scores = self.scores(self.gates[task.name](tokens))[..., : len(self.kept)]
        hidden = F.gelu(self.fc1(tokens)).unflatten(-1, (len(self.kept), -1))
        scored = (hidden * scores.unsqueeze(-1)).flatten(-2)
        return Fed(self.fc2(scored) + self.biases(scores), None)

    def scores(self, logits: Tensor) -> Tensor:
        """The scores (B, N, E) for logits of the same shape, zero for the experts that a token did not choose."""
        own, rivals = logits.unsqueeze(-1), logits.unsqueeze(-2)
        ahead = (rivals > own).to(logits.dtype) + (rivals == own).to(logits.dtype) * self.earlier
        chosen = (ahead.sum(-1) < self.moe.top_k).to(logits.dtype)
        kept = logits.softmax(-1) * chosen
        return kept if self.moe.rule is ScoreRule.SOFTMAX_FIRST else kept / kept.sum(-1, keepdim=True)


BALANCE_WEIGHT = 0.01
"""How much the balance loss counts beside the tasks' losses (§1.2)."""


def balance_loss(routings: Iterable[Routing]) -> Tensor:
    """Σ over routings of CV²(importance) + CV²(load), a scalar without `BALANCE_WEIGHT`; zero means evenly used experts.

    A load that was counted has no gradient. Raises `ValueError` without any routing.
    """
    parts = [squared_variation(routing.importance) + squared_variation(routing.load) for routing in routings]
    if not parts:
        raise ValueError("a balance loss needs the routing of at least one layer")
    return torch.stack(parts).sum()


def squared_variation(values: Tensor) -> Tensor:
    """Unbiased variance over squared mean of `values` (E,): a scalar, zero for one expert; 1e-10 as in §1.2."""
    if len(values) == 1:
        return torch.zeros_like(values[0])
    return values.var() / (values.mean().square() + 1e-10)


def _linear(weight: Tensor, bias: Tensor | None = None) -> nn.Linear:
    made = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made


def _reordered(linear: nn.Linear, order: Sequence[int]) -> nn.Linear:
    return _linear(linear.weight[order], None if linear.bias is None else linear.bias[order])


def _joined(linears: Iterable[nn.Module], name: str, *, dim: int) -> Tensor:
    return torch.cat([linear.get_parameter(name) for linear in linears], dim)
