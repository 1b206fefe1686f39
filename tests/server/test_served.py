"""What a user finds when ComfyUI is up: the nodes, a tooltip on everything, and workflows that open."""

import json
import re

import pytest

from reliable_ads.devtools.client import GraphRefused
from reliable_ads.devtools.comfy import PACK
from reliable_ads.devtools.graph import GraphError, load, shipped, to_api, workflow

from . import ads
from .ads import NODES

WORKFLOWS = shipped()


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


def test_few_inputs_are_in_sight_and_the_others_are_advanced(object_info):
    inputs = {
        **object_info["RFCyclicSampler"]["input"]["required"],
        **object_info["RFCyclicSampler"]["input"]["optional"],
    }
    widgets = {name for name, spec in inputs.items() if spec[0] in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")}
    assert widgets - {name for name, spec in inputs.items() if spec[1].get("advanced")} == {
        "seed",
        "steps",
        "cfg",
        "sampler_name",
        "scheduler",
        "attempts",
    }


def test_where_comfyui_knows_them_nodes_have_further_names_and_show_results_again(object_info):
    if "search_aliases" not in object_info["RFProduct"]:
        return  # an older ComfyUI
    assert all(object_info[name]["search_aliases"] for name in NODES)
    assert {"product ad", "background", "inpaint product"} <= set(
        object_info["RFProduct"]["search_aliases"]
    ) and "quality check" in object_info["RFReview"]["search_aliases"]
    assert (
        object_info["RFProductFolder"]["has_intermediate_output"] and not object_info["RFProductFolder"]["output_node"]
    )
    assert all(
        object_info[name]["output_node"] for name in ("RFCyclicSampler", "RFCyclicSamplerAdvanced", "RFReview")
    )  # a graph may end with them


def test_the_templates_are_listed(client):
    assert set(client.ask("/workflow_templates")[PACK]) == {path.stem for path in WORKFLOWS}
    assert len(WORKFLOWS) >= 8
    assert [path.name for path in WORKFLOWS if not path.with_suffix(".jpg").is_file()] == []


def test_the_node_that_marks_a_mask_agrees_with_load_image(object_info):
    assert object_info["RFProduct"]["input"]["required"]["mask_marks"][1]["default"] == "background"


SD15 = {("v1-5-pruned-emaonly.safetensors", "checkpoints"), ("control_v11p_sd15_canny.safetensors", "controlnet")}
BIG = {
    "2 Product ad with SD 1.5": SD15,
    "3 Product ad with SDXL": {
        ("sd_xl_base_1.0.safetensors", "checkpoints"),
        ("diffusers_xl_canny_full.safetensors", "controlnet"),
    },
    "9 Product ad with Flux.1": {
        ("flux1-dev.safetensors", "diffusion_models"),
        ("clip_l.safetensors", "text_encoders"),
        ("t5xxl_fp16.safetensors", "text_encoders"),
        ("ae.safetensors", "vae"),
        ("FLUX.1-dev-Controlnet-Inpainting-Beta.safetensors", "controlnet"),
    },
    "10 Product ad with Qwen-Image": {
        ("qwen_image_fp8_e4m3fn.safetensors", "diffusion_models"),
        ("qwen_2.5_vl_7b_fp8_scaled.safetensors", "text_encoders"),
        ("qwen_image_vae.safetensors", "vae"),
        ("Qwen-Image-InstantX-ControlNet-Inpainting.safetensors", "controlnet"),
    },
    "11 Product ad with Z-Image": {
        ("z_image_turbo_bf16.safetensors", "diffusion_models"),
        ("qwen_3_4b.safetensors", "text_encoders"),
        ("ae.safetensors", "vae"),
        ("Z-Image-Turbo-Fun-Controlnet-Union-2.1.safetensors", "model_patches"),
    },
    "8 Trained ControlNet and LoRAs": {
        *SD15,
        ("canny_reliable.safetensors", "controlnet"),
        ("add_detail.safetensors", "loras"),
        ("epi_noiseoffset2.safetensors", "loras"),
    },
}


@pytest.mark.parametrize("name", BIG)
def test_a_big_workflow_lacks_nothing_but_its_models_and_each_is_named_with_its_folder(client, object_info, name):
    if "Z-Image" in name and "ZImageFunControlnet" not in object_info:  # older than that
        with pytest.raises(GraphError, match=r"ZImageFunControlnet.* is unknown to this ComfyUI"):
            to_api(load(workflow(name)), object_info)
        return
    graph = to_api(load(workflow(name)), object_info)
    with pytest.raises(GraphRefused) as refusal:
        client.queue(graph)
    said = [
        re.search(
            r"^\w+ \(node \d+\): .*there is no (?:file )?(\S+) in models/(\w+)\b.*: put it there, or choose another",
            line,
        ).groups()
        for line in str(refusal.value).splitlines()
    ]
    for node in graph.values():  # a node of ours names its first fault only
        if node["class_type"] == "RFControlNetLoader":
            said += [(node["inputs"][key], "controlnet") for key in ("control_net_name", "adapter")]
            with pytest.raises(
                RuntimeError, match=f"there is no file {node['inputs']['adapter']} in models/controlnet"
            ):
                client.outputs(
                    {
                        "loader": {**node, "inputs": {**node["inputs"], "control_net_name": ads.CONTROLNET}},
                        "show": ads.node("PreviewAny", source=["loader", 0]),
                    }
                )
    assert set(said) == BIG[name] and all("/" not in file for file, _ in said)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_note_says_what_to_change_and_which_models_it_needs(path):
    note = " ".join(node["widgets_values"][0] for node in load(path)["nodes"] if node["type"] == "MarkdownNote")
    assert len(note) > 100
    assert "`" not in note  # the front end's colours for code have a contrast of 2:1 to 4:1, whatever the note's own
    for file, folder in BIG.get(path.stem, ()):
        assert f"**{file}**" in note and f"**models/{folder}**" in note


def test_what_a_shipped_workflow_opens_lies_in_the_input_folder(base, server):
    assert (base / "input" / "demo_product.png").is_file() and len(
        list((base / "input" / "demo_products").glob("*.png"))
    ) == 4


def test_files_of_each_kind_are_told_apart_by_content(object_info):
    inputs = object_info["RFPocketModels"]["input"]["required"]
    assert "tiny_sd.safetensors" in inputs["ckpt_name"][1]["options"]
    assert "tiny_canny.safetensors" not in inputs["ckpt_name"][1]["options"]
    assert "tiny_canny.safetensors" in inputs["control_net_name"][1]["options"]


def test_a_depth_model_of_the_users_own_can_be_chosen(client, object_info):
    assert object_info["RFLoadReviewer"]["input"]["optional"]["depth_model"][1]["options"] == [
        "built-in",
        "dpt/dpt-tiny",
    ]
    graph = ads.ad(reviewer__depth_model="dpt/dpt-tiny", sampler__attempts=1)
    graph["review"] = ads.node(
        "RFReview", images=["sampler", 0], reviewer=["reviewer", 0], product=["product", 0], threshold=ads.NEVER
    )
    graph["text"] = ads.node("PreviewAny", source=["review", 2])
    row = json.loads(client.outputs(graph)["text"]["text"][0])[0]
    assert any("dpt-tiny" in note and "trained with" in note for note in row["notes"])
