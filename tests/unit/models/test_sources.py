"""Every kind of model reference becomes a model with the right inputs, outputs, labels and weights."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from PIL import Image

from edge import probe, runfolder
from edge.card import TensorSpec
from edge.errors import ToolchainMissingError, UnknownNameError, UsageError, WeightsError
from edge.models import efficientformer, hub
from edge.models.sources import resolve, resolve_fresh
from edge.models.weights import Naming, save_weights, state_sha256
from edge.reference import ModelRequest
from edge.runfolder import RunCard

MINI = "efficientformer_mini"


def labels_file(folder: Path, count: int) -> Path:
    path = folder / "labels.txt"
    path.write_text("".join(f"Ziffer {i} ß\n" for i in range(count)), encoding="utf-8")
    return path


def test_a_name_becomes_a_network_that_takes_a_picture() -> None:
    model = resolve(ModelRequest(MINI))
    assert model.inputs == (TensorSpec("image", (1, 3, 32, 32), "float32", "NCHW"),)
    assert model.outputs == (TensorSpec("logits", (1, 10)),)
    assert not model.module.training


def test_without_weights_the_card_says_what_they_are_good_for() -> None:
    weights = resolve(ModelRequest(MINI, seed=5)).weights
    assert weights.source == "random weights, seed 5: for latency and verification only"
    assert len(weights.sha256) == 64


def test_random_weights_give_an_output_that_varies() -> None:
    model = resolve(ModelRequest(MINI))
    with torch.no_grad():
        assert model.module(*model.example_inputs()).std() > 1e-2


def test_the_same_seed_gives_the_same_network() -> None:
    torch.manual_seed(1)
    first = resolve(ModelRequest(MINI, seed=3)).weights
    torch.manual_seed(2)
    assert resolve(ModelRequest(MINI, seed=3)).weights == first


def test_resolving_leaves_the_random_state_as_it_was() -> None:
    before = torch.random.get_rng_state()
    resolve(ModelRequest(MINI))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_training_starts_from_the_networks_own_initialisation() -> None:
    fresh = resolve_fresh(ModelRequest(MINI)).module.state_dict()
    assert torch.equal(fresh["norm.weight"], torch.ones_like(fresh["norm.weight"]))


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve(ModelRequest("efficientformer_mimi"))
    assert MINI in caught.value.hint


def test_classes_and_a_wide_image_size_are_the_users() -> None:
    model = resolve(ModelRequest(MINI, num_classes=4, image_size=(32, 64)))
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((1, 3, 32, 64), (1, 4))
    assert model.preprocess is not None
    assert (model.preprocess.height, model.preprocess.width) == (32, 64)


def test_mean_and_std_are_the_users() -> None:
    preprocess = resolve(ModelRequest(MINI, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))).preprocess
    assert preprocess is not None
    assert (preprocess.mean, preprocess.std) == ((0.1, 0.2, 0.3), (1.0, 2.0, 3.0))


def test_a_std_of_zero_is_refused() -> None:
    with pytest.raises(UsageError, match="std above zero"):
        resolve(ModelRequest(MINI, std=(1.0, 0.0, 1.0)))


@pytest.mark.parametrize("naming", Naming)
def test_weights_come_from_a_file_in_either_naming(naming: Naming, tmp_path: Path) -> None:
    torch.manual_seed(9)
    trained = efficientformer.build(MINI)
    save_weights(trained, tmp_path / "w.safetensors", naming)
    model = resolve(ModelRequest(MINI, weights=tmp_path / "w.safetensors"))
    assert model.weights.source == "file w.safetensors"
    assert model.weights.sha256 == state_sha256(trained)


def test_weights_of_another_head_name_the_option_that_helps(tmp_path: Path) -> None:
    save_weights(efficientformer.build(MINI), tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="the weights have 10 classes, the model 7") as caught:
        resolve(ModelRequest(MINI, weights=tmp_path / "w.safetensors", num_classes=7))
    assert "--num-classes 10" in caught.value.hint


def test_weights_move_to_another_image_size(tmp_path: Path) -> None:
    save_weights(efficientformer.build(MINI), tmp_path / "w.safetensors")
    model = resolve(ModelRequest(MINI, weights=tmp_path / "w.safetensors", image_size=(64, 48)))
    assert model.outputs[0].shape == (1, 10)


def test_offline_published_weights_are_one_line_that_names_the_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda _: None)
    with pytest.raises(WeightsError, match="cannot be fetched: HF_HUB_OFFLINE is set") as caught:
        resolve(ModelRequest("efficientformer_l1", pretrained=True))
    assert "--weights" in caught.value.hint
    assert "\n" not in str(caught.value)


def test_published_weights_in_the_cache_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(9)
    trained = efficientformer.build("efficientformer_l1")
    save_weights(trained, tmp_path / "model.safetensors")
    asked = []
    monkeypatch.setattr(hub, "cached", lambda repository: asked.append(repository) or tmp_path / "model.safetensors")
    model = resolve(ModelRequest("efficientformer_l1", pretrained=True))
    assert asked == ["timm/efficientformer_l1.snap_dist_in1k"]
    assert model.weights.licence == "apache-2.0"
    assert model.weights.sha256 == state_sha256(trained)


def test_weights_that_are_not_on_the_hub_say_where_they_are() -> None:
    with pytest.raises(WeightsError) as caught:
        resolve(ModelRequest("vanillanet_5", pretrained=True))
    assert "release `ckpt` of github.com/huawei-noah/VanillaNet" in caught.value.hint


def test_a_small_network_has_no_published_weights() -> None:
    with pytest.raises(WeightsError, match="nobody has published weights"):
        resolve(ModelRequest(MINI, pretrained=True))


def test_labels_come_from_a_file(tmp_path: Path) -> None:
    labels = resolve(ModelRequest(MINI, labels=labels_file(tmp_path, 10))).labels
    assert labels[9] == "Ziffer 9 ß"
    assert len(labels) == 10


def test_labels_that_are_not_one_per_class_name_both_counts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there are 9 labels, but the model has 10 classes"):
        resolve(ModelRequest(MINI, labels=labels_file(tmp_path, 9)))


@pytest.mark.parametrize(("content", "reason"), [(b"\xff\xfe\x00", "not UTF-8"), (b"a\n\nb\n", "line 2 of")])
def test_unusable_labels_say_why(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=reason):
        resolve(ModelRequest(MINI, labels=tmp_path / "labels.txt"))


def test_labels_written_on_windows_are_read(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(b"\xef\xbb\xbf" + b"".join(b"%d\r\n" % i for i in range(10)))
    assert resolve(ModelRequest(MINI, labels=tmp_path / "labels.txt")).labels == tuple("0123456789")


def test_a_missing_file_of_labels_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the labels in .*: No such file"):
        resolve(ModelRequest(MINI, labels=tmp_path / "none.txt"))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    torch.manual_seed(9)
    folder = tmp_path / "run"
    labels = ("null", "eins")
    card = RunCard(MINI, 2, (32, 48), labels, (0.1,) * 3, (0.5,) * 3, 1.0, "bilinear", "digits", licence="CC0")
    runfolder.write(folder, card)
    network = efficientformer.build(MINI, num_classes=2, image_size=(32, 48))
    save_weights(network, folder / "weights.safetensors")
    return folder


def test_a_run_folder_is_a_model_with_its_labels_and_preprocessing(run: Path) -> None:
    model = resolve(ModelRequest(str(run)))
    assert model.reference == str(run)
    assert model.labels == ("null", "eins")
    assert model.preprocess == runfolder.read(run).preprocess()
    assert (model.weights.source, model.weights.licence) == ("trained on digits", "CC0")


def test_the_weights_of_a_run_are_the_trained_ones(run: Path) -> None:
    torch.manual_seed(9)
    trained = efficientformer.build(MINI, num_classes=2, image_size=(32, 48))
    assert resolve(ModelRequest(str(run))).weights.sha256 == state_sha256(trained)


def test_a_run_without_weights_says_so(run: Path) -> None:
    (run / "weights.safetensors").unlink()
    with pytest.raises(WeightsError, match="does not exist"):
        resolve(ModelRequest(str(run)))


def test_a_network_of_timm_brings_its_preprocessing() -> None:
    model = resolve(ModelRequest("timm:mobilenetv3_small_050.lamb_in1k"))
    assert model.inputs[0].shape == (1, 3, 224, 224)
    assert model.outputs == (TensorSpec("logits", (1, 1000)),)
    assert model.preprocess is not None
    assert model.preprocess.interpolation == "bicubic"


def test_a_network_of_timm_takes_another_head_and_size() -> None:
    model = resolve(ModelRequest("timm:mobilenetv3_small_050", num_classes=3, image_size=(64, 96)))
    assert (model.inputs[0].shape, model.outputs[0].shape) == ((1, 3, 64, 96), (1, 3))


def test_a_network_of_timm_without_weights_has_outputs_that_vary() -> None:
    model = resolve(ModelRequest("timm:efficientvit_m0"))
    with torch.no_grad():
        assert model.module(*model.example_inputs()).std() > 1e-2


@pytest.mark.parametrize(
    ("name", "near"), [("resnet81", "resnet18"), ("resnet18.nobody", "resnet18.a2_in1k"), ("", "timm.list_models()")]
)
def test_an_unknown_name_of_timm_suggests_what_there_is(name: str, near: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        resolve(ModelRequest(f"timm:{name}"))
    assert near in caught.value.hint
    assert len(caught.value.hint) < 300


def test_an_image_size_that_a_network_of_timm_cannot_take_is_refused() -> None:
    with pytest.raises(UsageError, match="running timm:efficientformer_l1 on an input of 1x3x96x96 failed"):
        resolve(ModelRequest("timm:efficientformer_l1", image_size=(96, 96)))


def test_an_image_size_that_timm_cannot_build_is_refused() -> None:
    with pytest.raises(UsageError, match=r"timm cannot build nest_tiny_jx with img_size: .* must divide"):
        resolve(ModelRequest("timm:nest_tiny_jx", image_size=(65, 65)))


def test_published_weights_of_timm_with_another_head_are_refused() -> None:
    with pytest.raises(WeightsError, match="the weights have 1000 classes, the model 3"):
        resolve(ModelRequest("timm:resnet18", pretrained=True, num_classes=3))


def test_published_weights_of_timm_come_from_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained = resolve(ModelRequest("timm:mobilenetv3_small_050", seed=8))
    save_weights(trained.module, tmp_path / "model.safetensors")
    monkeypatch.setattr(hub, "cached", lambda _: tmp_path / "model.safetensors")
    model = resolve(ModelRequest("timm:mobilenetv3_small_050", pretrained=True))
    assert model.weights.sha256 == trained.weights.sha256
    assert model.weights.source == "huggingface.co/timm/mobilenetv3_small_050.lamb_in1k"


def _failing(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module

    def import_module(name: str) -> object:
        if name == "timm":
            raise error
        return real(name)

    monkeypatch.setattr(importlib, "import_module", import_module)


def test_a_missing_timm_is_one_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(ModuleNotFoundError("No module named 'timm'", name="timm"), monkeypatch)
    with pytest.raises(ToolchainMissingError, match="timm is not installed") as caught:
        resolve(ModelRequest("timm:resnet18"))
    assert caught.value.hint == "pip install 'edge-toolchain[timm]'"


def test_a_torchvision_that_does_not_load_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _failing(RuntimeError("operator torchvision::nms does not exist"), monkeypatch)
    with pytest.raises(ToolchainMissingError, match=r"torchvision::nms does not exist \(torchvision") as caught:
        resolve(ModelRequest("timm:resnet18"))
    assert "built together with your torch" in caught.value.hint


def with_a_lonely_expert(folder: Path) -> Path:
    """Weights of a small M3ViT whose first gate sends every token to experts 2 and 5."""
    module = resolve(ModelRequest("m3vit_mini_seg")).module
    state = module.state_dict()
    gate = next(key for key in state if "router" in key and key.endswith("choose.weight"))
    norm = next(key.rpartition(".mlp")[0] + ".norm2" for key in state if key == gate)
    state[f"{norm}.weight"] = torch.zeros_like(state[f"{norm}.weight"])
    state[f"{norm}.bias"] = torch.ones_like(state[f"{norm}.bias"])
    state[gate] = torch.zeros_like(state[gate])
    state[gate][2], state[gate][5] = 1.0, 0.5
    module.load_state_dict(state)
    save_weights(module, folder / "lonely.safetensors")
    return folder / "lonely.safetensors"


def test_experts_that_no_picture_visits_are_left_out_and_the_answers_to_those_pictures_stay(tmp_path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    Image.effect_noise((64, 64), 60).convert("RGB").save(pictures / "one.png")
    weights = with_a_lonely_expert(tmp_path)
    whole = resolve(ModelRequest("m3vit_mini_seg", weights))
    small = resolve(ModelRequest("m3vit_mini_seg", weights, experts_of=pictures))
    assert small.module.kept_experts[0] == (2, 5)
    assert "experts, those that 1 pictures visit" in small.weights.source
    picture = torch.from_numpy(whole.preprocess.normalise(probe.users(pictures, whole.preprocess)))
    with torch.no_grad():
        expected = whole.module(picture, "seg")
        torch.testing.assert_close(small.module(picture, "seg"), expected, atol=1e-5, rtol=1e-4)
    assert expected.std() > 1e-3


def test_a_network_without_experts_has_none_to_choose_from(tmp_path) -> None:
    with pytest.raises(UsageError, match="no experts"):
        resolve(ModelRequest(MINI, experts_of=tmp_path))
