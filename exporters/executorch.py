"""ExecuTorch: a .pte for Android and iOS, delegated to XNNPACK, with the card as named data."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from edge.card import KEY, Card
from edge.errors import BadArtifactError, ConversionError, UsageError
from edge.exporter import Contents, Exporter, Runner
from edge.parts import Parts
from edge.spec import Precision, Recipe
from exporters._flatbuffer import damaged
from exporters._pte import Pte
from exporters._xnnpack_passes import only_passes_with_work

if TYPE_CHECKING:
    from torch.export import ExportedProgram

    from edge.passes.capture import Pass


class ExecuTorch(Exporter):
    """The vendor's lowering for XNNPACK, with the work left out that changes nothing."""

    suffix = ".pte"
    distributions = ("executorch",)
    runtime = "executorch"

    def passes(self) -> tuple[Pass, ...]:
        """What XNNPACK computes wrongly, and what it leaves outside: every operator there costs a border."""
        from edge.passes.explicit_pool_stride import explicit_pool_stride
        from edge.passes.flatten_softmax import flatten_softmax
        from edge.passes.hygiene import HYGIENE
        from edge.passes.layer_norm_to_linear import layer_norm_to_linear
        from edge.passes.matmul_to_bmm import matmul_to_bmm
        from edge.passes.mean_to_pool import mean_to_pool
        from edge.passes.merge_reshapes import merge_reshapes
        from edge.passes.split_to_slices import split_to_slices
        from edge.passes.unfold_to_convolution import unfold_to_convolution
        from edge.passes.volume_to_planes import volume_to_planes

        return (
            *HYGIENE,
            volume_to_planes,  # the kernels for volumes refuse to run
            unfold_to_convolution,
            explicit_pool_stride,
            split_to_slices,
            flatten_softmax,  # not for speed: without it a softmax behind a convolution is silently wrong
            layer_norm_to_linear,
            matmul_to_bmm,
            mean_to_pool,
            merge_reshapes,  # last: the others leave reshapes behind
        )

    def lower(self, program: ExportedProgram, recipe: Recipe, card: Card, path: Path) -> None:
        """Delegate to XNNPACK what it takes; the rest runs on portable kernels."""
        from edge.passes.capture import fault, rewrite

        if recipe.precision is Precision.FP16:
            from exporters._to_float16 import to_float16

            program = rewrite(program, (to_float16,))
        try:
            data = _lowered(program, card)
        except Exception as error:  # the vendor's many passes raise whatever they raise
            raise ConversionError(
                f"ExecuTorch cannot lower this model: {fault(error)}", hint="the log has the vendor's own words"
            ) from error
        path.write_bytes(data)

    def load(self, path: Path, threads: int = 1) -> Runner:
        """ExecuTorch's own runtime; float32 outputs. Its threads are those of the whole process."""
        Pte.read(path.read_bytes())
        import torch  # the library below finds torch's already loaded

        # the public executorch.runtime loads this same library, after 3 CPU seconds of importing the whole exporter
        from executorch.extension.pybindings import _portable_lib

        _portable_lib._unsafe_reset_threadpool(threads)  # unsafe while a model runs, and none does yet
        try:
            module = _portable_lib._load_for_executorch(str(path))
            module.method_meta("forward")
        except (RuntimeError, KeyError) as error:
            raise damaged(_first_line(error)) from error

        def run(tensors: Sequence[NDArray[Any]]) -> tuple[NDArray[np.float32], ...]:
            try:
                # not cloned, for what follows copies: each needless step costs a small model a per cent
                outputs = module.forward(
                    [torch.from_numpy(np.ascontiguousarray(tensor)) for tensor in tensors], clone_outputs=False
                )
            except RuntimeError as error:
                raise BadArtifactError(
                    f"{path.name} does not run: {_first_line(error)}", hint="export it again"
                ) from error
            return tuple(np.array(output.numpy(), np.float32) for output in outputs)

        return run

    def take_apart(self, path: Path) -> Parts:
        raise UsageError(
            f"the values between the operators of {path.name} cannot be obtained: XNNPACK computes them as one piece "
            "and gives only the last",
            hint="bisect another target of the same model, onnx or coreml",
        )

    def card(self, path: Path) -> Card:
        """Read from the named data; the runtime is not loaded."""
        text = Pte.read(path.read_bytes()).named_data(KEY)
        if text is None:
            raise BadArtifactError(f"{path.name} carries no card, so edge did not write it", hint="give an edge export")
        return Card.from_json(text)

    def contents(self, path: Path) -> Contents:
        """Operators outside by their ATen names, those inside by XNNPACK's; a partition is a call of a delegate."""
        pte = Pte.read(path.read_bytes())
        outside, inside = pte.kernels(), pte.delegated()
        return Contents(Counter(outside + inside), pte.delegate_calls(), len(inside), len(outside))


def _lowered(program: ExportedProgram, card: Card) -> bytes:
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.backends.xnnpack.utils.configs import get_transform_passes
    from executorch.exir import to_edge_transform_and_lower

    with _no_garbage_collection(), only_passes_with_work():
        manager = to_edge_transform_and_lower(
            program, transform_passes=get_transform_passes(), partitioner=[XnnpackPartitioner()]
        )
        # 1.4.1 offers named data to backends only; this is the store that it merges theirs into
        manager._named_data_store.add_named_data(KEY, card.to_json().encode())
        return bytes(manager.to_executorch().buffer)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """A tenth of a lowering's CPU time goes into looking for garbage among graphs that are all in use."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _first_line(error: BaseException) -> str:
    return str(error).strip().partition("\n")[0]
