"""The former pocket family's files beside the one that ships are refused before anything is drawn, by a sentence that
names both; ComfyUI by itself would draw on without them.
"""

import json

import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.ldm import CHECKPOINT as SHIPPED
from reliable_ads.pocket.ldm import CONTROLNET as SHIPPED_CANNY
from reliable_ads.pocket.ldm import load_pocket

from ..former_family import write_adapter, write_family, write_lora
from .ads import ad, fails, ours
from .graphs import with_remedies

OLD, NEW = "64-64-128 channels, pictures of 128 pixels", "64-128-256 channels, pictures of 256 pixels"
NEW_MODELS = {"models__ckpt_name": SHIPPED.name, "models__control_net_name": SHIPPED_CANNY.name}


@pytest.fixture(scope="module", autouse=True)
def files(base):
    """Files of both families, where a user has them."""
    models, new = base / "models", load_pocket()
    for folder in ("controlnet", "loras"):
        (models / folder).mkdir(exist_ok=True)
    write_family(models / "pocket")
    write_adapter(models / "pocket" / "new_tuned.safetensors", new, SHIPPED_CANNY)
    write_lora(models / "loras" / "new_style.safetensors", new)
    (models / "pocket" / "old_style.safetensors").rename(models / "loras" / "old_style.safetensors")


def test_a_checkpoint_with_the_other_familys_controlnet(client):
    said = fails(client, ad(models__ckpt_name=SHIPPED.name, models__control_net_name="old_canny.safetensors"))
    assert f"old_canny.safetensors ({OLD}) is of another pocket family than" in said and f"({NEW})" in said
    said = fails(client, ad(models__ckpt_name="old_sd.safetensors", models__control_net_name=SHIPPED_CANNY.name))
    assert f"{SHIPPED_CANNY.name} ({NEW}) is of another pocket family than" in said and f"({OLD})" in said


@pytest.mark.parametrize(
    "models, name, families", [({}, SHIPPED_CANNY.stem, (NEW, OLD)), (NEW_MODELS, "old_canny", (OLD, NEW))]
)
def test_a_controlnet_of_the_other_family_on_the_prompts(client, models, name, families):
    graph = ad(**models, control__control_net=["other", 0])
    graph["other"] = ours(name)
    said = fails(client, graph)
    assert f"the ControlNet is of another model family ({families[0]}, prompts 128 wide)" in said
    assert f"than the model ({families[1]}, prompts 128 wide)" in said


@pytest.mark.parametrize("models, lora, family", [({}, "new", OLD), (NEW_MODELS, "old", NEW)])
def test_a_lora_of_the_other_family(client, models, lora, family):
    graph = ad(**models, sampler__model=["lora", 0])
    graph["lora"] = node(
        "LoraLoaderModelOnly", model=["models", 0], lora_name=f"{lora}_style.safetensors", strength_model=1.0
    )
    said = fails(client, graph)
    assert "a LoRA on the model was made for another model family" in said and f"than the model ({family}" in said


@pytest.mark.parametrize("base_name, adapter", [("old_canny", "new_tuned"), (SHIPPED_CANNY.stem, "old_tuned")])
def test_an_adapter_of_the_other_family(client, base_name, adapter):
    graph = ad(control__control_net=["other", 0])
    graph["other"] = ours(base_name, adapter)
    said = fails(client, graph)
    assert f'"{adapter}.safetensors" is an adapter for ControlNets of 64-' in said
    assert f'"{base_name}.safetensors" is one of 64-' in said


def test_a_tuned_controlnet_of_the_other_family(client):
    graph = with_remedies(only=["tuned"])
    graph["other"] = ours(SHIPPED_CANNY.stem)
    graph["remedies"]["inputs"]["tuned_control_net"] = ["other", 0]
    said = fails(client, graph)
    assert f"the tuned ControlNet is of another model family ({NEW}" in said and f"the graph's own ({OLD}" in said


def test_a_training_with_two_families(client):
    graph = {
        "train": node(
            "RFTrainer",
            ckpt_name=SHIPPED.name,
            control_net_name="old_canny.safetensors",
            reviewer_name="rfnet_compact.safetensors",
            folder="demo_products",
            prompts="on sand",
            result_name="two_families",
            steps=1,
            learning_rate=1e-4,
            loss="consistent condition",
            beta=0.05,
            training_seed=0,
        ),
        "show": node("PreviewAny", source=["train", 4]),
    }
    assert f"old_canny.safetensors ({OLD}) is of another pocket family than" in fails(client, graph)


def test_words_to_avoid_do_nothing_without_guidance(client):
    """So they are left out, and the report says why."""
    graph = with_remedies(only=["avoid"])
    graph["sampler"]["inputs"] |= {"cfg": 1.0, "attempts": 1}
    report = json.loads(client.outputs(graph)["sampler"]["report"][0])
    assert "draws without guidance" in report["remedies"]["left_out"]["avoid"]
