"""EfficientFormer while it is searched: every block is its input, pools and attends at once, in shares (models.md §3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from edge.models.efficientformer import EfficientFormer, PoolBlock, Stage, TokenBlock, ToTokens


class MixedEfficientFormer(nn.Module):
    """Pictures (B, 3, H, W) to the answer of an EfficientFormer, as a mixture of two of equal widths and depths.

    `pools` has 4-D blocks only, and `attends` lends the 3-D blocks of its last stage. `shares`, by stage and block, are those of
    the identity, the 4-D block and, in the last stage, the 3-D block.
    """

    def __init__(self, pools: EfficientFormer, attends: EfficientFormer, shares: Sequence[Sequence[Tensor]]) -> None:
        super().__init__()
        self.pools = pools
        self.stages = nn.Sequential(
            *(
                MixedStage(pooling, attending, rows)  # type: ignore[arg-type]
                for pooling, attending, rows in zip(pools.stages, attends.stages, shares, strict=True)
            )
        )
        self.to_tokens = ToTokens()

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        x = self.to_tokens(self.stages(self.pools.stem(x)))
        return self.pools.classify(self.pools.norm(x).mean(1))


class MixedStage(nn.Module):
    """A stage of the one network and of the other as one: maps (B, C, H, W) to maps."""

    def __init__(self, pools: Stage, attends: Stage, shares: Sequence[Tensor]) -> None:
        super().__init__()
        self.downsample = pools.downsample
        tokens = [OnMap(block) for block in attends.blocks if isinstance(block, TokenBlock)]
        maps = [block for block in pools.blocks if isinstance(block, PoolBlock)]
        paths = zip(maps, tokens, strict=True) if tokens else zip(maps, strict=True)
        self.blocks = nn.Sequential(
            *(MetaPath((nn.Identity(), *forms), row) for forms, row in zip(paths, shares, strict=True))
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(self.downsample(x))


class MetaPath(nn.Module):
    """The sum of what `paths` make of the same input, each times its share (n,)."""

    def __init__(self, paths: Sequence[nn.Module], shares: Tensor) -> None:
        super().__init__()
        self.paths, self.shares = nn.ModuleList(paths), shares

    def forward(self, x: Tensor) -> Tensor:
        first, *others = (share * path(x) for share, path in zip(self.shares, self.paths, strict=True))
        return sum(others, first)


class OnMap(nn.Module):
    """A block of tokens (B, N, C) for a map (B, C, H, W), which becomes tokens and a map again."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.to_tokens = ToTokens()

    def forward(self, x: Tensor) -> Tensor:
        return self.block(self.to_tokens(x)).transpose(1, 2).reshape(x.shape)
