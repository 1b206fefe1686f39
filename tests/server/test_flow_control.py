"""Remedies with the ControlNets of flow-matching models, on the real server: what they change is what stock nodes give
when they are set so, to the last bit.
"""

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node

from .ads import NEVER, fails, latent, report_of
from .flow_graphs import applied, begun_at, controlled, flow_ad, kept, patched, patcher, with_stock

CONTROLS = ["sd35", "flux", "flux_inpaint", "qwen_image", "qwen_image_inpaint"]
PATCHES = ["qwen_image", "z_image"]


def model_of(control: str) -> str:
    return control.removesuffix("_inpaint")


def alike(client, base, graph: dict, **stock) -> None:
    """The first attempt is what stock KSampler draws with these inputs, and not what it draws without them."""
    with_stock(graph, **stock)
    values = graph["stock"]["inputs"]
    graph["plain"] = node("KSampler", **{**values, **{name: graph["sampler"]["inputs"][name] for name in stock}})
    report = report_of(client.outputs(kept(graph, sampler=1, stock=0, plain=0)))
    assert report["remedies"]["left_out"] == {}
    ours = latent(base, "flow_sampler")
    assert np.array_equal(ours, latent(base, "flow_stock")) and not np.array_equal(ours, latent(base, "flow_plain"))


@pytest.mark.parametrize("control", CONTROLS)
def test_more_strength(client, base, control):
    graph = begun_at(controlled(flow_ad(model_of(control)), control), "control", 1.0, 1.15)
    graph["more"] = applied(control, strength=1.15)
    alike(client, base, graph, positive=["more", 0], negative=["more", 1])


@pytest.mark.parametrize("control", CONTROLS)
def test_a_tuned_controlnet_takes_the_place_of_the_graphs_own(client, base, control):
    graph = controlled(flow_ad(model_of(control)), control)
    begun_at(graph, "tuned", 0.0, 1.0, tuned_control_net=["tuned", 0])
    graph["tuned"] = node("TestFlowControlNet", family=control, seed=2)
    graph["other"] = applied(control, control_net=["tuned", 0])
    alike(client, base, graph, positive=["other", 0], negative=["other", 1])


@pytest.mark.parametrize("control", ["flux_inpaint", "qwen_image_inpaint"])
def test_a_smaller_mask_reaches_the_inpainting_controlnet(client, base, control):
    graph = controlled(flow_ad(model_of(control), product__mask_dilation=6), control)
    begun_at(graph, "dilation", 0.0, -12.0)  # at 512 pixels; the canvas has 64
    less = {**graph["product"]["inputs"], "mask_dilation": 4}
    graph["smaller"] = node("RFProduct", **less)
    graph["masked_less"] = node("SetLatentNoiseMask", samples=["encode", 0], mask=["smaller", 2])
    graph["less"] = applied(control, image=["smaller", 1], mask=["smaller", 2])
    alike(client, base, graph, positive=["less", 0], negative=["less", 1], latent_image=["masked_less", 0])


def known(client, family: str) -> None:
    """Skips where this ComfyUI has no such ControlNets."""
    if family == "z_image" and not client.ask("/object_info/ZImageFunControlnet"):
        pytest.skip("this ComfyUI has no ControlNets for Z-Image")


@pytest.mark.parametrize("family", PATCHES)
def test_more_strength_of_a_model_patch(client, base, family):
    known(client, family)
    graph = begun_at(patched(flow_ad(family), family), "control", 1.0, 1.15)
    graph["more"] = patcher(family, strength=1.15)
    alike(client, base, graph, model=["more", 0])


@pytest.mark.parametrize("family", PATCHES)
def test_a_tuned_model_patch_takes_the_place_of_the_graphs_own(client, base, family):
    known(client, family)
    graph = begun_at(patched(flow_ad(family), family), "tuned", 0.0, 1.0, tuned_model_patch=["tuned", 0])
    graph["tuned"] = node("TestFlowModelPatch", family=family, seed=2)
    graph["other"] = patcher(family, model_patch=["tuned", 0])
    alike(client, base, graph, model=["other", 0])


def test_a_controlnet_of_another_architecture_is_refused(client):
    message = fails(client, controlled(flow_ad("qwen_image"), "flux"))
    assert "the ControlNet is of another model family (Flux.1) than the model (Qwen-Image)" in message


def test_a_tuned_controlnet_of_another_architecture_is_refused(client):
    graph = controlled(flow_ad("flux", sampler__threshold=NEVER), "flux")
    begun_at(graph, "tuned", 0.0, 1.0, tuned_control_net=["tuned", 0])
    graph["tuned"] = node("TestFlowControlNet", family="qwen_image", seed=2)
    assert "the tuned ControlNet is of another model family (Qwen-Image)" in fails(client, graph)
