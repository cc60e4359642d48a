"""Compressed weights unpack to exactly what coremltools unpacks them to; several functions, and states, run as converted."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.errors import BadArtifactError
from exporters.coreml import package
from exporters.coreml.runtime.interpreter import Arithmetic
from exporters.coreml.runtime.model import load
from tests.parity.conftest import randomised

TARGETS = ("iOS16", "iOS18")
THRESHOLD = 256
"""Weights with fewer values stay as they are."""


class Channels(nn.Module):
    """Picture (1, 3, 16, 16) to logits (1, 32): every kind of layer that holds weights, in sizes that blocks divide."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm = nn.Conv2d(3, 32, 3, padding=1, bias=False), nn.BatchNorm2d(32)
        self.depthwise, self.pointwise = nn.Conv2d(32, 32, 3, padding=1, groups=32), nn.Conv2d(32, 64, 1)
        self.hidden, self.head = nn.Linear(64, 48), nn.Linear(48, 32)

    def forward(self, image: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(image)))
        x = self.pointwise(F.relu(self.depthwise(x))).mean((2, 3))
        return self.head(F.gelu(self.hidden(x)))


def settings(name: str, **options: Any) -> Any:
    """An `OptimizationConfig` of coremltools for all operators."""
    import coremltools.optimize.coreml as cto

    return cto.OptimizationConfig(global_config=getattr(cto, name)(weight_threshold=THRESHOLD, **options))


def linear(mode: str, **options: Any) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        import coremltools.optimize.coreml as cto

        return cto.linear_quantize_weights(model, settings("OpLinearQuantizerConfig", mode=mode, **options))

    return compress


def palette(bits: int, mode: str = "uniform", **options: Any) -> Callable[[Any], Any]:
    def compress(model: Any) -> Any:
        import coremltools.optimize.coreml as cto

        return cto.palettize_weights(model, settings("OpPalettizerConfig", mode=mode, nbits=bits, **options))

    return compress


def pruned(model: Any) -> Any:
    import coremltools.optimize.coreml as cto

    return cto.prune_weights(model, settings("OpMagnitudePrunerConfig", target_sparsity=0.5))


def pruned_and_int8(model: Any) -> Any:
    import coremltools.optimize.coreml as cto

    config = settings("OpLinearQuantizerConfig", mode="linear_symmetric")
    return cto.linear_quantize_weights(pruned(model), config, joint_compression=True)


def pruned_and_palette(model: Any) -> Any:
    import coremltools.optimize.coreml as cto

    config = settings("OpPalettizerConfig", mode="uniform", nbits=4)
    return cto.palettize_weights(pruned(model), config, joint_compression=True)


AFFINE, BLOCKWISE = "constexpr_affine_dequantize", "constexpr_blockwise_shift_scale"
TABLE, SPARSE = "constexpr_lut_to_dense", "constexpr_sparse_to_dense"
CONFIGURATIONS: dict[str, tuple[str, Callable[[Any], Any], set[str]]] = {
    "iOS16 int8 symmetric": ("iOS16", linear("linear_symmetric"), {AFFINE}),
    "iOS16 int8 asymmetric": ("iOS16", linear("linear"), {AFFINE}),
    "iOS16 palette of 4 bits": ("iOS16", palette(4), {TABLE}),
    "iOS16 palette of 6 bits": ("iOS16", palette(6), {TABLE}),
    "iOS16 palette of 1 bit": ("iOS16", palette(1), {TABLE}),
    "iOS16 palette of 2 bits": ("iOS16", palette(2), {TABLE}),
    "iOS16 palette of 8 bits": ("iOS16", palette(8), {TABLE}),
    "iOS16 pruned": ("iOS16", pruned, {SPARSE}),
    "iOS18 int8 symmetric": ("iOS18", linear("linear_symmetric"), {BLOCKWISE}),
    "iOS18 int8 asymmetric": ("iOS18", linear("linear"), {BLOCKWISE}),
    "iOS18 int4 in blocks of 8": (
        "iOS18",
        linear("linear_symmetric", dtype="int4", granularity="per_block", block_size=8),
        {BLOCKWISE},
    ),
    "iOS18 palette of 1 bit": ("iOS18", palette(1), {TABLE}),
    "iOS18 palette of 2 bits": ("iOS18", palette(2), {TABLE}),
    "iOS18 palette of 3 bits, 8 channels each": (
        "iOS18",
        palette(3, "kmeans", granularity="per_grouped_channel", group_size=8),
        {TABLE},
    ),
    "iOS18 palette of 4 bits": ("iOS18", palette(4), {TABLE}),
    "iOS18 palette of 6 bits": ("iOS18", palette(6), {TABLE}),
    "iOS18 palette of 8 bits": ("iOS18", palette(8), {TABLE}),
    "iOS18 pruned": ("iOS18", pruned, {SPARSE}),
    "iOS18 pruned and int8": ("iOS18", pruned_and_int8, {SPARSE, "constexpr_sparse_blockwise_shift_scale"}),
    "iOS18 pruned and palette of 4 bits": ("iOS18", pruned_and_palette, {SPARSE, "constexpr_lut_to_sparse"}),
}
"""The oldest system, what compresses, and the operators that must then be in the file."""


def converted(module: nn.Module, inputs: tuple[Tensor, ...], target: str, **options: Any) -> Any:
    import coremltools as ct

    program = torch.export.export(module.eval(), inputs).run_decompositions({})
    return ct.convert(program, minimum_deployment_target=getattr(ct.target, target), skip_model_load=True, **options)


@pytest.fixture(scope="session")
def dense() -> dict[str, Any]:
    """The network as coremltools' models, by their oldest system."""
    logging.getLogger("coremltools").setLevel(logging.ERROR)
    module = randomised(Channels())
    return {target: converted(module, (torch.randn(1, 3, 16, 16),), target) for target in TARGETS}


@pytest.fixture(scope="session")
def image() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((1, 3, 16, 16)).astype(np.float32)


def result(path: Path, given: dict[str, np.ndarray], arithmetic: Arithmetic = Arithmetic.DECLARED) -> np.ndarray:
    (found,) = load(path, arithmetic).predict(given).values()
    return found


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_a_compressed_package_computes_exactly_what_the_unpacked_one_computes(name, dense, image, tmp_path):
    import coremltools.optimize.coreml as cto

    target, compress, operators = CONFIGURATIONS[name]
    small = compress(dense[target])
    small.save(str(tmp_path / "small.mlpackage"))
    cto.decompress_weights(small).save(str(tmp_path / "unpacked.mlpackage"))
    assert operators <= kinds(tmp_path / "small.mlpackage")
    assert not any(kind.startswith("constexpr") for kind in kinds(tmp_path / "unpacked.mlpackage"))
    for arithmetic in (Arithmetic.EXACT, Arithmetic.DECLARED, Arithmetic.FP16):
        found, expected = (
            result(tmp_path / f"{each}.mlpackage", {"image": image}, arithmetic) for each in ("small", "unpacked")
        )
        assert np.abs(expected).max() > 0.1
        assert np.abs(found - expected).max() == 0


def kinds(path: Path) -> set[str]:
    return {operation.type for operation in package.operations(package.read(path))}


def test_compression_changes_the_result_so_that_equality_says_something(dense, image, tmp_path):
    for name, model in {"dense": dense["iOS18"], "small": palette(2)(dense["iOS18"])}.items():
        model.save(str(tmp_path / f"{name}.mlpackage"))
    found, expected = (result(tmp_path / f"{each}.mlpackage", {"image": image}) for each in ("small", "dense"))
    assert np.abs(found - expected).max() > 0.01


def test_each_function_of_a_package_of_several_runs(dense, image, tmp_path):
    import coremltools as ct

    dense["iOS18"].save(str(tmp_path / "dense.mlpackage"))
    palette(2)(dense["iOS18"]).save(str(tmp_path / "small.mlpackage"))
    several = ct.utils.MultiFunctionDescriptor()
    for name in ("dense", "small"):
        several.add_function(str(tmp_path / f"{name}.mlpackage"), "main", name)
    several.default_function_name = "small"
    ct.utils.save_multifunction(several, str(tmp_path / "several.mlpackage"))
    found = {
        name: load(tmp_path / "several.mlpackage", function_name=name).predict({"image": image})
        for name in ("", "dense", "small")
    }
    for name, alone in {"": "small", "dense": "dense", "small": "small"}.items():
        (value,) = found[name].values()
        assert (value == result(tmp_path / f"{alone}.mlpackage", {"image": image})).all()
    with pytest.raises(BadArtifactError, match="'main'"):
        load(tmp_path / "several.mlpackage", function_name="main")


class Accumulator(nn.Module):
    """Keeps the running sum of what it is given, twice of which it gives."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        self.total.add_(x)
        return self.total * 2


def test_a_model_with_states_remembers(tmp_path):
    import coremltools as ct

    kept = ct.StateType(wrapped_type=ct.TensorType(shape=(2, 3), dtype=np.float16), name="total")
    traced = torch.jit.trace(Accumulator().eval(), torch.zeros(2, 3))
    model = ct.convert(
        traced, inputs=[ct.TensorType(name="x", shape=(2, 3))], outputs=[ct.TensorType(name="y")], states=[kept],
        minimum_deployment_target=ct.target.iOS18, skip_model_load=True,
    )  # fmt: skip
    model.save(str(tmp_path / "state.mlpackage"))
    loaded = load(tmp_path / "state.mlpackage")
    state = loaded.make_state()
    given = np.full((2, 3), 1.5, np.float32)
    assert [loaded.predict({"x": given}, state)["y"][0, 0] for _ in range(3)] == [3, 6, 9]
    assert (loaded.predict({"x": given})["y"] == 3).all()
