"""The experts of M3ViT are chosen, weighed, computed and balanced by the rules of the moe_fpga sheet."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from edge.errors import UsageError
from edge.models.m3vit_config import MoEConfig, RouterKind, ScoreRule
from edge.models.m3vit_moe import (
    ConditionedGate,
    DenseMoE,
    Gate,
    MoE,
    Routing,
    Task,
    TaskEmbedding,
    balance_loss,
    smooth_load,
    squared_variation,
)

WIDTH, TOKENS = 12, 40
SEG = Task("seg", None)
SMALL = MoEConfig(experts=6, top_k=2, hidden_ratio=2)


def tokens(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, WIDTH, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def randomised(module, seed: int = 0):
    """In double precision and inference form, with weights under which experts and tokens differ widely."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.double().parameters():
        nn.init.normal_(parameter, std=0.5, generator=generator)
    return module.eval()


def layer(moe: MoEConfig = SMALL, tasks: tuple[str, ...] = ("seg",)) -> MoE:
    return randomised(MoE(WIDTH, tasks, moe))


def gate_with_logits_of_its_input(moe: MoEConfig) -> Gate:
    """A gate whose logits are the tokens themselves."""
    gate = Gate(moe.experts, moe).double().eval()
    nn.init.eye_(gate.choose.weight)
    return gate


def token_by_token(moe: MoE, flat: Tensor, routing: Routing) -> Tensor:
    """The mixture as its definition reads: each token in turn, its experts best first."""
    rows = []
    for token, chosen, scores in zip(flat, routing.experts, routing.scores, strict=True):
        rows.append(sum(score * moe.experts[int(index)](token) for index, score in zip(chosen, scores, strict=True)))
    return torch.stack(rows)


@pytest.mark.parametrize("moe", [SMALL, MoEConfig(experts=16), MoEConfig(experts=3, top_k=3)])
@torch.no_grad()
def test_expert_order_computes_what_token_order_does(moe):
    mixture, x = layer(moe), tokens(2, TOKENS)
    fed = mixture(x, SEG)
    assert fed.tokens.std() > 0.1
    torch.testing.assert_close(
        fed.tokens.flatten(0, 1), token_by_token(mixture, x.flatten(0, 1), fed.routing), atol=1e-12, rtol=1e-12
    )


@torch.no_grad()
def test_all_experts_with_equal_scores_are_averaged():
    mixture, x = layer(MoEConfig(experts=6, top_k=6)), tokens(1, TOKENS)
    nn.init.zeros_(mixture.router.gates["seg"].choose.weight)
    mean = torch.stack([expert(x) for expert in mixture.experts]).mean(0)
    torch.testing.assert_close(mixture(x, SEG).tokens, mean, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rule", ScoreRule)
@pytest.mark.parametrize("top_k", [1, 2, 6])
@torch.no_grad()
def test_the_dense_form_computes_what_the_sparse_one_does(rule, top_k):
    mixture, x = layer(MoEConfig(experts=6, top_k=top_k, rule=rule)), tokens(2, TOKENS)
    dense = DenseMoE(mixture, [SEG], range(6)).double()
    torch.testing.assert_close(dense(x, SEG).tokens, mixture(x, SEG).tokens, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("rule", ScoreRule)
@torch.no_grad()
def test_with_the_experts_in_use_alone_the_dense_form_computes_the_same(rule):
    mixture, x = layer(MoEConfig(experts=16, top_k=2, rule=rule)), tokens(1, 5)
    used = mixture(x, SEG).routing.experts.unique().tolist()
    assert 2 < len(used) < 11
    dense = DenseMoE(mixture, [SEG], used).double()
    torch.testing.assert_close(dense(x, SEG).tokens, mixture(x, SEG).tokens, atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_a_visit_to_an_expert_that_was_not_kept_adds_nothing():
    mixture, x = layer(), tokens(1, TOKENS)
    routing = mixture(x, SEG).routing
    without = DenseMoE(mixture, [SEG], (0, 2, 3, 4, 5)).double()
    silenced = Routing(routing.experts, routing.scores * (routing.experts != 1), routing.load)
    torch.testing.assert_close(
        without(x, SEG).tokens[0], token_by_token(mixture, x[0], silenced), atol=1e-12, rtol=1e-12
    )


@torch.no_grad()
def test_of_equal_logits_the_lowest_indices_win_in_both_forms():
    moe = MoEConfig(experts=6, top_k=3)
    logits = torch.tensor([[0.0, 2, 1, 1, 1, 1], [1, 1, 1, 1, 1, 1], [0, 0, 0, 3, 0, 3]], dtype=torch.float64)
    routing = gate_with_logits_of_its_input(moe)(logits)
    assert routing.experts.tolist() == [[1, 2, 3], [0, 1, 2], [3, 5, 0]]
    mixture = layer(moe)
    for kept in (range(6), (1, 3, 5)):
        dense = DenseMoE(mixture, [SEG], kept)
        scores = dense.scores(logits[:, order_of(kept)].unsqueeze(0))[0]
        chosen = [{order_of(kept)[place] for place in row.nonzero().flatten().tolist()} for row in scores]
        assert chosen == [{1, 2, 3}, {0, 1, 2}, {0, 3, 5}]


def order_of(kept: range | tuple[int, ...]) -> list[int]:
    return [*kept, *(index for index in range(6) if index not in kept)]


@torch.no_grad()
def test_softmax_first_keeps_the_scores_as_they_are():
    gate, x = randomised(Gate(WIDTH, SMALL)), tokens(TOKENS)
    routing = gate(x)
    expected = gate.choose(x).softmax(-1).topk(2)
    assert routing.experts.tolist() == expected.indices.tolist()
    torch.testing.assert_close(routing.scores, expected.values)
    assert (routing.scores.sum(-1) < 1).all()


@torch.no_grad()
def test_top_k_first_gives_scores_that_sum_to_one():
    routing = randomised(Gate(WIDTH, MoEConfig(experts=6, top_k=2, rule=ScoreRule.TOP_K_FIRST)))(tokens(TOKENS))
    torch.testing.assert_close(routing.scores.sum(-1), torch.ones(TOKENS, dtype=torch.float64))
    assert routing.scores.std() > 0.1


@torch.no_grad()
def test_importance_and_load_are_sums_over_the_tokens():
    routing = randomised(Gate(WIDTH, SMALL))(tokens(TOKENS))
    for expert in range(6):
        visits = routing.experts == expert
        assert routing.load[expert] == visits.sum()
        assert routing.importance[expert] == pytest.approx(float(routing.scores[visits].sum()))
    assert routing.load.sum() == TOKENS * 2


@torch.no_grad()
def test_a_task_whose_columns_are_zero_has_no_say():
    moe = MoEConfig(experts=6, top_k=2, router=RouterKind.TASK_CONDITIONED, task_width=5)
    conditioned, plain, x = randomised(ConditionedGate(WIDTH, moe)), Gate(WIDTH, SMALL).double(), tokens(TOKENS)
    embed = randomised(TaskEmbedding(("seg", "depth"), 5))
    plain.choose.weight.copy_(conditioned.gate.choose.weight[:, :WIDTH])
    seg, depth = (conditioned(x, Task(name, embed(name))) for name in ("seg", "depth"))
    assert (seg.experts != depth.experts).any()
    conditioned.gate.choose.weight[:, WIDTH:] = 0
    silent = conditioned(x, Task("depth", embed("depth")))
    assert torch.equal(silent.experts, plain(x).experts)
    torch.testing.assert_close(silent.scores, plain(x).scores, atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_a_conditioned_gate_is_bound_to_a_task_without_a_change():
    moe = MoEConfig(experts=6, top_k=2, router=RouterKind.TASK_CONDITIONED, task_width=5)
    mixture, embed, x = layer(moe), randomised(TaskEmbedding(("seg", "depth"), 5)), tokens(1, TOKENS)
    tasks = [Task(name, embed(name)) for name in ("seg", "depth")]
    dense = DenseMoE(mixture, tasks, range(6)).double()
    for task in tasks:
        torch.testing.assert_close(dense(x, task).tokens, mixture(x, task).tokens, atol=1e-12, rtol=1e-12)


def routing_of(chosen: list[list[int]], experts: int) -> Routing:
    indices = torch.tensor(chosen)
    scores = torch.full(indices.shape, 0.25, requires_grad=True)
    return Routing(indices, scores, torch.bincount(indices.flatten(), minlength=experts).float())


def test_evenly_used_experts_cost_nothing():
    even = routing_of([[0, 1], [2, 3], [1, 0], [3, 2]], experts=4)
    assert balance_loss([even, even]).item() == 0


def test_a_collapsed_routing_costs():
    collapsed = routing_of([[0, 1]] * 4, experts=4)
    # two experts with 4 visits, two with none: variance 16/3, mean 2; importances are a quarter of that
    assert balance_loss([collapsed]).item() == pytest.approx(2 * (16 / 3) / 4)
    assert balance_loss([collapsed] * 3).item() == pytest.approx(3 * 2 * (16 / 3) / 4)


def test_one_expert_is_always_balanced():
    assert squared_variation(torch.tensor([7.0])).item() == 0


def test_a_balance_loss_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one layer"):
        balance_loss([])


def test_a_counted_load_has_no_gradient_but_importance_has():
    gate = randomised(Gate(WIDTH, SMALL)).train()
    routing = gate(tokens(TOKENS))
    assert not routing.load.requires_grad
    squared_variation(routing.importance).backward()
    assert gate.choose.weight.grad.abs().max() > 0


NOISY = MoEConfig(experts=6, top_k=2, noise=3.0)


def test_a_noisy_load_has_a_gradient_and_sums_to_about_the_visits():
    torch.manual_seed(0)
    gate = randomised(Gate(WIDTH, NOISY)).train()
    routing = gate(tokens(400))
    squared_variation(routing.load).backward()
    assert gate.choose.weight.grad.abs().max() > 0
    assert routing.load.sum().item() == pytest.approx(400 * 2, rel=0.05)


def test_the_smooth_load_is_the_probability_of_staying_among_the_best():
    generator = torch.Generator().manual_seed(3)
    clean, noise, deviation = torch.randn(3, 1, 6, dtype=torch.float64, generator=generator)
    deviation = deviation.abs() + 0.3
    noisy = clean + deviation * noise
    ranked = noisy.sort(descending=True).values
    for expert in range(6):
        drawn = noisy.repeat(20_000, 1)
        drawn[:, expert] = clean[:, expert] + deviation[:, expert] * torch.randn(
            20_000, dtype=torch.float64, generator=generator
        )
        share = (drawn.topk(2).indices == expert).any(-1).double().mean()
        # four deviations of a share of 20,000 draws are at most 0.0142
        assert smooth_load(clean, noisy, ranked, deviation, 2)[expert].item() == pytest.approx(share.item(), abs=0.0142)


@pytest.mark.parametrize("moe", [NOISY, MoEConfig(experts=6, top_k=2, rule=ScoreRule.TOP_K_FIRST)])
def test_noise_is_for_training_alone(moe):
    gate, x = randomised(Gate(WIDTH, moe)), tokens(TOKENS)
    assert torch.equal(gate(x).experts, gate(x).experts)
    gate.train()
    assert not torch.equal(gate(x).experts, gate(x).experts)


def test_without_noise_training_routes_as_inference_does():
    gate, x = randomised(Gate(WIDTH, SMALL)), tokens(TOKENS)
    inference = gate(x)
    assert torch.equal(gate.train()(x).experts, inference.experts)


@pytest.mark.parametrize(
    "sizes",
    [
        {"experts": 4, "top_k": 5},
        {"experts": 0},
        {"top_k": 0},
        {"hidden_ratio": 0},
        {"noise": -0.1},
        {"task_width": 0},
    ],
)
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(UsageError):
        MoEConfig(**sizes)


def test_too_many_experts_per_token_are_refused_with_what_would_work():
    with pytest.raises(UsageError, match="visit 5 of 4") as caught:
        MoEConfig(experts=4, top_k=5)
    assert "at most 4" in caught.value.hint
