"""Files of weights: both namings, containers, and everything that can be wrong with one."""

from __future__ import annotations

import argparse
import os
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from edge.errors import WeightsError
from edge.models.weights import Naming, load_state, load_weights, save_weights, state_sha256


class Toy(nn.Module):
    """A network with two namings: `scale.gamma` (4,) is `layer_scale` (4, 1, 1) to its authors."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.norm = nn.BatchNorm2d(4)
        self.scale = nn.Module()
        self.scale.gamma = nn.Parameter(torch.rand(4))
        self.head = nn.Linear(4, classes)

    def official_names(self) -> dict[str, str]:
        names = {"conv": "c", "norm": "n", "head": "h"}
        own = {key: key.replace(key.split(".")[0], names.get(key.split(".")[0], "")) for key in self.state_dict()}
        return own | {"scale.gamma": "layer_scale"}

    def official_state(self) -> dict[str, Tensor]:
        state = {self.official_names()[key]: tensor for key, tensor in self.state_dict().items()}
        return state | {
            "layer_scale": state["layer_scale"].reshape(4, 1, 1),
            "attn.attention_bias_idxs": torch.zeros(2, 2, dtype=torch.int64),
        }


class Payload:
    """Unpickled without care, it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.fixture
def toy() -> Toy:
    torch.manual_seed(0)
    return Toy()


@pytest.fixture
def other() -> Toy:
    torch.manual_seed(1)
    return Toy()


def test_the_native_naming_comes_back_from_a_file(toy: Toy, other: Toy, tmp_path: Path) -> None:
    save_weights(toy, tmp_path / "w.safetensors")
    load_weights(other, load_state(tmp_path / "w.safetensors"))
    assert state_sha256(other) == state_sha256(toy)


def test_the_official_naming_comes_back_from_a_file(toy: Toy, other: Toy, tmp_path: Path) -> None:
    save_weights(toy, tmp_path / "w.safetensors", Naming.OFFICIAL)
    assert load_file(tmp_path / "w.safetensors")["layer_scale"].shape == (4, 1, 1)
    load_weights(other, load_state(tmp_path / "w.safetensors"))
    assert state_sha256(other) == state_sha256(toy)


@pytest.mark.parametrize("container", ["model_ema", "model", "state_dict"])
def test_a_container_is_unwrapped(container: str, toy: Toy, tmp_path: Path) -> None:
    torch.save({container: toy.state_dict(), "epoch": 3}, tmp_path / "w.pth")
    assert load_state(tmp_path / "w.pth").keys() == toy.state_dict().keys()


def test_averaged_weights_win_over_the_last_ones(toy: Toy, other: Toy, tmp_path: Path) -> None:
    torch.save({"model": other.state_dict(), "model_ema": toy.state_dict()}, tmp_path / "w.pth")
    assert torch.equal(load_state(tmp_path / "w.pth")["head.weight"], toy.head.weight)


def test_an_empty_container_is_passed_over(toy: Toy, tmp_path: Path) -> None:
    torch.save({"model": toy.state_dict(), "model_ema": None}, tmp_path / "w.pth")
    assert "head.weight" in load_state(tmp_path / "w.pth")


def test_the_prefix_of_data_parallel_training_is_dropped(toy: Toy, tmp_path: Path) -> None:
    torch.save({f"module.{name}": tensor for name, tensor in toy.state_dict().items()}, tmp_path / "w.pth")
    assert load_state(tmp_path / "w.pth").keys() == toy.state_dict().keys()


def test_options_beside_the_weights_do_not_hinder_reading_them(toy: Toy, tmp_path: Path) -> None:
    torch.save({"model": toy.state_dict(), "args": argparse.Namespace(lr=0.1)}, tmp_path / "w.pth")
    assert "head.weight" in load_state(tmp_path / "w.pth")


def test_counters_of_batches_may_be_absent(toy: Toy, other: Toy) -> None:
    state = {name: value for name, value in toy.state_dict().items() if not name.endswith("num_batches_tracked")}
    load_weights(other, state)
    assert state_sha256(other) == state_sha256(toy)


def test_equal_weights_are_equal_bytes(toy: Toy, tmp_path: Path) -> None:
    save_weights(toy, tmp_path / "a.safetensors")
    save_weights(toy, tmp_path / "b.safetensors")
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_failed_save_leaves_the_old_file_whole(toy: Toy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        save_weights(toy, path)
    assert [file.name for file in tmp_path.iterdir()] == ["w.safetensors"]
    assert path.read_bytes() == b"old"


def test_the_hash_sees_one_changed_value(toy: Toy) -> None:
    before = state_sha256(toy)
    with torch.no_grad():
        toy.head.bias[0] += 1
    assert state_sha256(toy) != before


def _holding(tensor: Tensor) -> nn.Module:
    module = nn.Module()
    module.register_buffer("values", tensor)
    return module


def test_the_hash_sees_another_dtype_of_the_same_bytes() -> None:
    assert state_sha256(_holding(torch.zeros(2))) != state_sha256(_holding(torch.zeros(2, dtype=torch.int32)))


def test_the_hash_sees_another_shape_of_the_same_bytes() -> None:
    assert state_sha256(_holding(torch.zeros(2, 3))) != state_sha256(_holding(torch.zeros(3, 2)))


def test_a_network_without_an_official_naming_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Linear has no official naming"):
        save_weights(nn.Linear(2, 2), tmp_path / "w.safetensors", Naming.OFFICIAL)


def test_keys_that_do_not_fit_are_summed_up_not_dumped(toy: Toy) -> None:
    state = {f"blocks.{i}.weight": torch.zeros(1) for i in range(500)}
    with pytest.raises(WeightsError) as caught:
        load_weights(toy, state)
    message = str(caught.value)
    assert "9 missing (conv.bias, conv.weight, head.bias, …)" in message
    assert "500 unexpected (blocks.0.weight, blocks.1.weight, blocks.10.weight, …)" in message
    assert len(message) < 300


def test_a_tensor_of_another_shape_is_named_with_both_shapes(toy: Toy) -> None:
    state = toy.state_dict() | {"conv.weight": torch.zeros(4, 5, 1, 1), "conv.bias": torch.zeros(7)}
    with pytest.raises(WeightsError, match=r"conv\.weight \(4, 5, 1, 1\) instead of \(4, 3, 1, 1\)"):
        load_weights(toy, state)


def test_a_transposed_tensor_is_not_reshaped_into_place(toy: Toy) -> None:
    with pytest.raises(WeightsError, match="of another shape"):
        load_weights(toy, toy.state_dict() | {"head.weight": torch.zeros(4, 3)})


def test_another_number_of_classes_is_recognised(toy: Toy) -> None:
    with pytest.raises(WeightsError, match="the weights have 1000 classes, the model 3") as caught:
        load_weights(toy, Toy(1000).state_dict())
    assert "--num-classes 1000" in caught.value.hint


def test_weights_that_do_not_fit_change_nothing(toy: Toy) -> None:
    before = state_sha256(toy)
    with pytest.raises(WeightsError):
        load_weights(toy, toy.state_dict() | {"head.weight": torch.zeros(4, 3), "head.bias": torch.ones(3)})
    assert state_sha256(toy) == before


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_code_in_a_bare_pickle_is_refused_by_name_and_does_not_run(protocol: int, tmp_path: Path) -> None:
    (tmp_path / "w.pth").write_bytes(pickle.dumps({"model": Payload(tmp_path / "ran")}, protocol))
    with pytest.raises(WeightsError, match=r"code: it asks for posix\.system") as caught:
        load_state(tmp_path / "w.pth")
    assert "safetensors" in caught.value.hint
    assert not (tmp_path / "ran").exists()


def test_code_in_a_checkpoint_of_torch_is_refused_by_name_and_does_not_run(toy: Toy, tmp_path: Path) -> None:
    torch.save({"model": toy.state_dict(), "extra": Payload(tmp_path / "ran")}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"code: it asks for posix\.system"):
        load_state(tmp_path / "w.pth")
    assert not (tmp_path / "ran").exists()


def test_a_pickled_module_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"torch\.nn\.modules\.linear\.Linear"):
        load_state(tmp_path / "w.pth")


def test_a_checkpoint_that_unpacks_to_far_more_than_its_size_is_refused(toy: Toy, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data/0", bytes(10_000_000))
    with pytest.raises(WeightsError, match="would unpack to"):
        load_state(tmp_path / "w.pth")


def _sound(tmp_path: Path, suffix: str) -> bytes:
    path = tmp_path / f"sound{suffix}"
    if suffix == ".pth":
        torch.save({"a": torch.zeros(1000)}, path)
    else:
        save_file({"a": torch.zeros(1000)}, path)
    return path.read_bytes()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("kept", [1, 7, 60, 1000, 2000, -1])
def test_a_truncated_file_is_one_line(suffix: str, kept: int, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(_sound(tmp_path, suffix)[:kept])
    with pytest.raises(WeightsError) as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("seed", range(5))
def test_random_bytes_are_one_line(suffix: str, seed: int, tmp_path: Path) -> None:
    path = tmp_path / f"w{suffix}"
    path.write_bytes(torch.randint(0, 256, (4000,), generator=torch.Generator().manual_seed(seed)).byte().numpy())
    with pytest.raises(WeightsError) as caught:
        load_state(path)
    assert "\n" not in str(caught.value)


def test_a_safetensors_header_that_claims_more_than_the_file_holds_is_refused(tmp_path: Path) -> None:
    header = b'{"a":{"dtype":"F32","shape":[1000000000000],"data_offsets":[0,4000000000000]}}'
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    with pytest.raises(WeightsError, match="not a sound safetensors file"):
        load_state(tmp_path / "w.safetensors")


def test_a_file_that_does_not_exist_says_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_state(tmp_path / "w.pth")


def test_an_empty_file_says_so(tmp_path: Path) -> None:
    (tmp_path / "w.pth").touch()
    with pytest.raises(WeightsError, match="is empty"):
        load_state(tmp_path / "w.pth")


def test_a_folder_is_no_file_of_weights(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="is a folder"):
        load_state(tmp_path)


@pytest.mark.parametrize("content", [{"net": {"a": 1}, "epoch": 3}, [1, 2], torch.zeros(3), {}])
def test_a_checkpoint_without_a_state_dict_says_what_it_holds(content: object, tmp_path: Path) -> None:
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="holds no state dict; it holds"):
        load_state(tmp_path / "w.pth")


def test_a_sparse_tensor_is_refused(tmp_path: Path) -> None:
    torch.save({"a": torch.eye(3).to_sparse()}, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="a is no dense tensor"):
        load_state(tmp_path / "w.pth")
