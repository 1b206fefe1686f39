"""Depth and saliency from elsewhere: their conventions, their names in the weights, and what a review says when others
are fed.
"""

import json
import sys
import warnings

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from reliable_ads.rfnet import map_sources
from reliable_ads.rfnet.depth_model import DepthInput, DepthModel
from reliable_ads.rfnet.map_names import MapError, map_name, parse_maps
from reliable_ads.rfnet.map_sources import MapPair, Opener, open_maps
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.reviewer import Reviewer, ReviewError
from reliable_ads.rfnet.saliency_model import SaliencyModel, saliency_input, saliency_output
from reliable_ads.rfnet.weights import WeightsError, load_reviewer, save_reviewer

from ..tiny_depth import PREPARED, write_dpt
from .rfnet_examples import SMALL, small_networks


@pytest.fixture(scope="module")
def dpt(tmp_path_factory):
    return write_dpt(tmp_path_factory.mktemp("models") / "dpt-tiny")


def test_names_survive_the_metadata():
    assert map_name() == "builtin" and parse_maps("builtin") == {"depth": "builtin", "saliency": "builtin"}
    assert parse_maps(map_name("dpt-large", "u2net")) == {"depth": "dpt-large", "saliency": "u2net"}
    for text in (
        "",
        "{",
        '{"depth": "a"}',
        '{"depth": "a", "saliency": 1}',
        '{"depth": "a", "saliency": "b", "smell": "c"}',
    ):
        with pytest.raises(ValueError):
            parse_maps(text)


def test_a_depth_model_gives_inverse_depth_for_each_image_by_itself(dpt, images):
    depth = DepthModel(dpt)
    found = depth(images)
    assert depth.name == "dpt-tiny" and found.shape == (3, 1, 96, 128)
    assert found.min() >= 0 and found.max() <= 1 and (found.flatten(1).max(1).values > 0.8).all()
    assert torch.allclose(torch.cat([depth(image[None]) for image in images]), found, atol=1e-5)


def test_relative_depth_is_what_transformers_predicts_stretched(dpt):
    from transformers import DPTForDepthEstimation

    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        raw = DPTForDepthEstimation.from_pretrained(dpt)(pixel_values=images * 2 - 1).predicted_depth
    found = DepthModel(dpt)(images)[:, 0]
    low, high = raw.amin((1, 2), keepdim=True), raw.amax((1, 2), keepdim=True)
    assert torch.allclose(found, (raw - low) / (high - low), atol=1e-4)
    metric = DepthModel(dpt, metric=True)(images)[
        :, 0
    ]  # metres: what was near the top of the range is now the farthest
    assert ((found - 0.5) * (metric - metric.median()) <= 0).float().mean() > 0.5 and metric.flatten()[
        raw.flatten().argmax()
    ] < 0.01


def test_depth_carries_gradients_to_the_image(dpt, images):
    images.requires_grad_()
    DepthModel(dpt)(images)[:, :, :48].sum().backward()
    assert torch.isfinite(images.grad).all() and images.grad.abs().sum() > 0


def test_depth_anything_is_read_too(tmp_path):
    from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

    backbone = Dinov2Config(
        hidden_size=32,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=[f"stage{i}" for i in range(1, 5)],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        patch_size=14,
        reassemble_hidden_size=32,
        neck_hidden_sizes=[8, 16, 16, 16],
        fusion_hidden_size=16,
        head_hidden_size=8,
        depth_estimation_type="metric",
        max_depth=20,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(tmp_path)
    prepared = {**PREPARED, "size": {"height": 56, "width": 56}, "keep_aspect_ratio": True, "ensure_multiple_of": 14}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    depth = DepthModel(tmp_path)
    assert depth.metric and depth(torch.rand(2, 3, 64, 96)).shape == (2, 1, 64, 96)


@pytest.mark.parametrize("keep, multiple", [(False, 1), (True, 14), (True, 32)])
@pytest.mark.parametrize("height, width", [(480, 640), (640, 480), (512, 512), (200, 1000)])
def test_images_are_resized_as_transformers_does(height, width, keep, multiple):
    from transformers import DPTImageProcessor

    theirs = DPTImageProcessor(
        size={"height": 384, "width": 384}, keep_aspect_ratio=keep, ensure_multiple_of=multiple, do_pad=False
    )
    shape = theirs(np.zeros((height, width, 3), np.uint8), return_tensors="pt")["pixel_values"].shape[-2:]
    assert DepthInput((384, 384), (0.5,) * 3, (0.5,) * 3, keep, multiple).shape(height, width) == tuple(shape)


def test_folders_that_are_no_depth_model_are_refused(dpt, tmp_path):
    from transformers import RobertaConfig

    with pytest.raises(MapError, match=r"no folder with a config.json"):
        DepthModel(tmp_path / "none")
    RobertaConfig(hidden_size=8).save_pretrained(tmp_path / "roberta")
    with pytest.raises(MapError, match='"roberta" is a roberta model: use DPT or Depth-Anything'):
        DepthModel(tmp_path / "roberta")
    pickled = tmp_path / "pickled"
    pickled.mkdir()
    for name in ("config.json", "preprocessor_config.json"):
        (pickled / name).write_bytes((dpt / name).read_bytes())
    torch.save(load_file(dpt / "model.safetensors"), pickled / "pytorch_model.bin")
    with pytest.raises(MapError, match="can't be read as a depth model"):
        DepthModel(pickled)
    (pickled / "model.safetensors").write_bytes((dpt / "model.safetensors").read_bytes())
    (pickled / "preprocessor_config.json").unlink()
    with pytest.raises(MapError, match=r"preprocessor_config.json"):
        DepthModel(pickled)


def test_saliency_networks_are_fed_as_rembg_feeds_them():
    images = torch.rand(2, 3, 320, 320, generator=torch.Generator().manual_seed(0)) * 0.8
    fed = saliency_input(images, 320).numpy()
    for ours, image in zip(fed, images.permute(0, 2, 3, 1).numpy()):
        expected = (image / image.max() - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
        np.testing.assert_allclose(ours, expected.transpose(2, 0, 1), atol=1e-4)
    assert saliency_input(torch.zeros(1, 3, 100, 60), 320).isfinite().all()


@pytest.mark.parametrize("logits", [False, True])
def test_saliency_is_stretched_in_each_image(logits):
    raw = torch.tensor([[-3.0, 0.0, 3.0, 1.0], [0.2, 0.3, 0.2, 0.2], [0.5] * 4]).view(3, 1, 2, 2)
    found = saliency_output(raw, logits, 2, 2).flatten(1)
    assert torch.allclose(found[:2].amin(1), torch.zeros(2)) and torch.allclose(
        found[:2].amax(1), torch.ones(2), atol=1e-4
    )
    assert torch.equal(found[2], torch.zeros(4))  # nothing stands out
    middle = torch.tensor(0.0).sigmoid() - torch.tensor(-3.0).sigmoid() if logits else torch.tensor(3.0)
    whole = torch.tensor(3.0).sigmoid() - torch.tensor(-3.0).sigmoid() if logits else torch.tensor(6.0)
    assert found[0, 1] == pytest.approx((middle / whole).item(), abs=1e-4)
    assert saliency_output(raw, logits, 30, 20).shape == (3, 1, 30, 20)


def test_saliency_files_that_can_not_be_used_are_refused(tmp_path, monkeypatch):
    with pytest.raises(MapError, match=r"no .onnx file that exists"):
        SaliencyModel(tmp_path / "u2net.onnx")
    for name in ("u2net.onnx", "u2net_cloth_seg.onnx", "birefnet-general.onnx"):
        (tmp_path / name).write_bytes(b"no onnx")
    with pytest.raises(MapError, match="input and output aren't known here: use u2net"):
        SaliencyModel(tmp_path / "u2net_cloth_seg.onnx")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for name in ("u2net.onnx", "birefnet-general.onnx"):
        with pytest.raises(MapError, match=f'"{name}" needs onnxruntime.*pip install onnxruntime'):
            SaliencyModel(tmp_path / name)


@pytest.mark.parametrize("name, side", [("u2net", 320), ("BiRefNet-general-epoch_244", 64)])
def test_an_onnx_file_gives_saliency(tmp_path, name, side):
    onnx, _runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT

    def described(label, channels):
        return helper.make_tensor_value_info(label, kind, [1, channels, side, side])

    mean = helper.make_node("ReduceMean", ["image"], ["d0"], axes=[1], keepdims=1)
    graph = helper.make_graph([mean], "mean", [described("image", 3)], [described("d0", 1)])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), tmp_path / f"{name}.onnx"
    )
    saliency = SaliencyModel(tmp_path / f"{name}.onnx")
    images = torch.zeros(2, 3, 48, 80)
    images[0, :, :, 40:], images[1, :, :24] = 1, 1
    found = saliency(images)
    assert saliency.side == side and saliency.name == name.lower() and found.shape == (2, 1, 48, 80)
    assert (
        found[0, 0, :, 60].min() > 0.9
        and found[0, 0, :, 20].max() < 0.1
        and found[1, 0, 12].min() > 0.9
        and found[1, 0, 36].max() < 0.1
    )
    (tmp_path / "u2netp.onnx").write_bytes(b"no onnx")
    with pytest.raises(MapError, match="can't be opened by onnxruntime"):
        SaliencyModel(tmp_path / "u2netp.onnx")


def test_a_pair_leaves_the_rest_to_the_built_in_maps(dpt, images):
    mapnet = MapNet().eval()
    pair = open_maps(mapnet, depth=dpt)
    depth, saliency = pair(images)
    assert parse_maps(pair.name) == {"depth": "dpt-tiny", "saliency": "builtin"}
    assert torch.equal(saliency, mapnet(images)[1]) and torch.equal(depth, pair.depth(images))
    assert MapPair(mapnet).name == mapnet.name == "builtin"


def test_maps_given_from_outside_are_what_is_looked_at(canvas, images):
    reviewer = Reviewer(*small_networks())
    own = reviewer.review(images, canvas)
    assert own.notes == [] and "notes" not in own.rows()[0]
    with pytest.warns(UserWarning, match="(depth|saliency) maps come from"):
        same = reviewer.review(images, canvas, depth=own.depth, saliency=own.saliency)
    assert torch.allclose(same.probabilities, own.probabilities, atol=1e-6)
    other = reviewer.review(images, canvas, depth=torch.rand(1, 1, 20, 30))
    assert not torch.allclose(other.probabilities, own.probabilities, atol=1e-6)
    assert (
        other.depth.shape == (3, 1, 96, 128)
        and torch.equal(other.depth[0], other.depth[2])
        and torch.equal(other.saliency, own.saliency)
    )


def test_maps_that_the_weights_do_not_know_are_noted_and_warned_about_once(canvas, images):
    reviewer = Reviewer(*small_networks(), {"maps": map_name("builtin", "u2net")})
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        reviews = [reviewer.review(images, canvas, depth=images[:, :1]) for _ in range(2)]
    assert len(caught) == 2 and all("reviewer was trained with" in str(warning.message) for warning in caught)
    assert reviews[0].notes == reviews[1].notes == [str(warning.message) for warning in caught]
    assert 'depth maps come from "another node"' in reviews[0].notes[0] and '"u2net"' in reviews[0].notes[1]
    assert reviews[0].rows()[0]["notes"] == reviews[0].notes


def test_an_input_that_is_switched_off_is_not_worth_a_note(canvas, images):
    from dataclasses import replace

    reviewer = Reviewer(*small_networks(config=replace(SMALL, inputs=("product", "generated", "saliency", "caption"))))
    assert reviewer.review(images, canvas, depth=images[:, :1]).notes == []


@pytest.mark.parametrize("shape", [(2, 1, 96, 128), (3, 3, 96, 128), (3, 96, 128)])
def test_maps_of_another_shape_are_refused(canvas, images, shape):
    with pytest.raises(ReviewError, match=r"saliency maps have shape .*must be \(3, 1, height, width\)"):
        Reviewer(*small_networks()).review(images, canvas, saliency=torch.zeros(shape))


def test_maps_with_nan_are_refused(canvas, images):
    with pytest.raises(ReviewError, match="depth maps hold NaN"):
        Reviewer(*small_networks()).review(images, canvas, depth=torch.full((1, 1, 8, 8), torch.nan))


def test_weights_record_their_maps_and_the_loader_takes_others(canvas, images, dpt, tmp_path):
    path = tmp_path / "w.safetensors"
    save_reviewer(path, *small_networks(), {"maps": map_name("dpt-tiny", "builtin")})
    reviewer = load_reviewer(path, depth=dpt)
    review = reviewer.review(images, canvas)
    assert review.notes == [] and torch.allclose(review.depth, reviewer.maps.depth(images), atol=1e-6)
    with pytest.warns(
        UserWarning, match='depth maps come from "builtin", but this reviewer was trained with "dpt-tiny" ones'
    ):
        load_reviewer(path).review(images, canvas)


def test_a_record_of_maps_that_can_not_be_read_is_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    save_reviewer(path, *small_networks())
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    save_file(load_file(path), path, texts | {"maps": '{"depth": 1}'})
    with pytest.raises(WeightsError, match=r'"w.safetensors" has "maps" in its metadata'):
        load_reviewer(path)


def test_a_source_of_ones_own_is_one_entry(tmp_path, monkeypatch):
    class Brightness:
        def __init__(self, path):
            self.name = path.stem

        def __call__(self, images):
            return images.mean(1, keepdim=True)

    mine = Opener("depth", lambda path: path.suffix == ".brightness", Brightness)
    monkeypatch.setattr(map_sources, "OPENERS", [*map_sources.OPENERS, mine])
    (tmp_path / "near_is_bright.brightness").touch()
    source = open_maps(MapNet(), depth=tmp_path / "near_is_bright.brightness")
    images = torch.rand(2, 3, 32, 32)
    assert parse_maps(source.name) == {"depth": "near_is_bright", "saliency": "builtin"}
    assert torch.equal(source(images)[0], images.mean(1, keepdim=True))
