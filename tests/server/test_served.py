"""What a user finds when ComfyUI is up: the nodes, a tooltip on everything, and workflows that open."""

import json

import pytest
from reliable_ads.devtools.client import GraphRefused
from reliable_ads.devtools.comfy import PACK, ROOT
from reliable_ads.devtools.graph import load, titled, to_api

from . import ads

NODES = {"RFProduct", "RFProductFolder", "RFLoadReviewer", "RFReview", "RFCyclicSampler", "RFCyclicSamplerAdvanced", "RFRemedies", "RFProfile", "RFPocketModels", "RFControlNetLoader"}


@pytest.fixture(scope="module")
def object_info(server):
    from reliable_ads.devtools.client import ComfyClient

    return ComfyClient(server.address).ask("/object_info")


def test_all_nodes_are_served_from_this_pack(object_info):
    served = {name for name, info in object_info.items() if info["python_module"] == f"custom_nodes.{PACK}"}
    assert served == NODES


@pytest.mark.parametrize("name", sorted(NODES))
def test_everything_has_a_tooltip(object_info, name):
    info = object_info[name]
    inputs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
    assert [key for key, spec in inputs.items() if not spec[1].get("tooltip")] == []
    assert all(info["output_tooltips"])
    assert info["description"]


def test_the_templates_are_listed(client):
    assert set(client.ask("/workflow_templates")[PACK]) == {"pocket_demo", "sd15_product_ad"}


def test_the_node_that_marks_a_mask_agrees_with_load_image(object_info):
    assert object_info["RFProduct"]["input"]["required"]["mask_marks"][1]["default"] == "background"


def test_the_big_workflow_lacks_nothing_but_the_big_models(client, object_info):
    graph = to_api(load(ROOT / "workflows" / "sd15_product_ad.json"), object_info)
    graph[titled(graph, "Product picture")]["inputs"]["image"] = "product.png"
    graph[titled(graph, "Reviewer")]["inputs"]["reviewer_name"] = "tiny_rfnet.safetensors"
    with pytest.raises(GraphRefused) as refusal:
        client.queue(graph)
    lines = str(refusal.value).splitlines()
    assert len(lines) == 2 and "ckpt_name" in str(refusal.value) and "control_net_name" in str(refusal.value)


def test_files_of_each_kind_are_told_apart_by_content(object_info):
    inputs = object_info["RFPocketModels"]["input"]["required"]
    assert "tiny_sd.safetensors" in inputs["checkpoint"][1]["options"]
    assert "tiny_canny.safetensors" not in inputs["checkpoint"][1]["options"]
    assert "tiny_canny.safetensors" in inputs["controlnet"][1]["options"]


def test_a_depth_model_of_the_users_own_can_be_chosen(client, object_info):
    assert object_info["RFLoadReviewer"]["input"]["optional"]["depth_model"][1]["options"] == ["built-in", "dpt/dpt-tiny"]
    graph = ads.ad(reviewer__depth_model="dpt/dpt-tiny", sampler__attempts=1)
    graph["review"] = ads.node("RFReview", images=["sampler", 0], reviewer=["reviewer", 0], product=["product", 0], threshold=ads.NEVER)
    graph["text"] = ads.node("PreviewAny", source=["review", 2])
    row = json.loads(client.outputs(graph)["text"]["text"][0])[0]
    assert any("dpt-tiny" in note and "trained with" in note for note in row["notes"])
