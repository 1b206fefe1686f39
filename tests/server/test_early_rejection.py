"""Giving up early: profiles are measured, kept, chosen, and refused where they speak of something else."""

import json

import numpy as np
import pytest
import torch

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.ldm import load_pocket
from reliable_ads.pocket.training.style_lora import low_rank_updates, save_lora

from .ads import ALWAYS, CHECKPOINT, CONTROLNET, NEVER, ad, pixels, report_of
from .graphs import STEPS, profiling


@pytest.fixture(scope="module")
def strict(base, server):
    """A profile measured here, then given a threshold that nothing passes."""
    from reliable_ads.devtools.client import ComfyClient

    from . import ads

    client = ComfyClient(server.address, patience=120)
    client.upload("product.png", ads.png(ads.cut_out()))
    client.outputs(profiling("strict"))
    path = base / "models" / "rfnet" / "strict.gates.json"
    profile = json.loads(path.read_text())
    profile["gates"], profile["about"] = [{"progress": 0.5, "threshold": 1.0}], {"draws": 2}
    path.write_text(json.dumps(profile))
    yield path
    path.unlink()


def test_a_profile_keeps_its_draws_and_takes_more(client, base):
    first = json.loads(client.outputs(profiling("grows"))["profile"]["report"][0])
    second = json.loads(client.outputs(profiling("grows", seed=50, draws=3))["profile"]["report"][0])
    assert first["draws"] == 2 and second["draws"] == 5 and "profile with more draws" in second["note"]
    kept = json.loads((base / "models" / "rfnet" / "grows.gates.json").read_text())
    assert (
        len(kept["scores"]) == 5
        and all(0 <= score <= 1 for row in kept["scores"] for score in row)
        and kept["look"] > 0
    )
    with pytest.raises(RuntimeError, match="another steps"):
        client.outputs(profiling("grows", steps=30))


@pytest.mark.parametrize("preview_method, factors", [("preview", 3), ("vae", 0)])
def test_a_profile_keeps_how_it_made_previews(client, base, preview_method, factors):
    report = json.loads(
        client.outputs(profiling(f"by-{preview_method}", draws=1, preview_method=preview_method))["profile"]["report"][
            0
        ]
    )
    kept = json.loads((base / "models" / "rfnet" / f"by-{preview_method}.gates.json").read_text())
    assert report["draws"] == 1 and len(kept["preview"]) == factors and all(len(row) == 5 for row in kept["preview"])


def test_enough_draws_give_thresholds(client, base):
    report = json.loads(client.outputs(profiling("enough", draws=22))["profile"]["report"][0])
    assert report["accepted"] == 22 and "held_out" in report and "note" not in report
    (base / "models" / "rfnet" / "enough.gates.json").unlink()  # or auto would find it


@pytest.mark.parametrize("name", ["", "../outside", "auto", "a/b"])
def test_names_that_are_none(client, name):
    with pytest.raises(RuntimeError, match="can't name a profile"):
        client.outputs(profiling(name))


def test_auto_finds_the_profile_of_this_model(client, strict):
    graph = ad(sampler__steps=STEPS, sampler__threshold=ALWAYS, sampler__attempts=2)
    graph["stock"] = node(
        "KSampler",
        **{
            key: value
            for key, value in graph["sampler"]["inputs"].items()
            if key
            in (
                "model",
                "positive",
                "negative",
                "latent_image",
                "seed",
                "steps",
                "cfg",
                "sampler_name",
                "scheduler",
                "denoise",
            )
        },
    )
    outputs = client.outputs(graph)
    report = report_of(outputs)
    assert report["early_rejection"] == {"profile": "strict", "gates": [{"step": 5, "threshold": 1.0}]}
    assert [(a["dropped"], a["steps"]) for a in report["attempts"]] == [(True, 5), (True, 5), (False, 10)]
    best = max(report["attempts"][:2], key=lambda a: a["probabilities"]["available"])
    assert (
        report["attempts"][2]["seed"] == best["seed"] and report["steps"] == 20
    )  # the best of those stopped early, to its end
    assert len(outputs["sampler"]["images"]) == 3
    assert np.array_equal(pixels(client, outputs["save"]), pixels(client, outputs["sampler"], 2))


def test_other_settings_are_not_profiled(client, strict):
    report = report_of(
        client.outputs(
            ad(sampler__steps=STEPS, sampler__attempts=1, sampler__sampler_name="euler", sampler__threshold=ALWAYS)
        )
    )
    assert "no profile fits this model" in report["early_rejection"]["profile"] and not report["attempts"][0]["dropped"]
    with pytest.raises(RuntimeError, match="does not fit this graph: it was made with another sampler_name"):
        client.outputs(
            ad(
                sampler__steps=STEPS,
                sampler__attempts=1,
                sampler__sampler_name="euler",
                sampler__threshold=ALWAYS,
                sampler__early_rejection="strict",
            )
        )


def test_a_profile_speaks_of_a_model_with_its_loras_whatever_comfyui_has_loaded(client, base, strict):
    pockets, loras = base / "models" / "pocket", base / "models" / "loras"
    loras.mkdir(exist_ok=True)
    updates = low_rank_updates(load_pocket(pockets / CHECKPOINT, pockets / CONTROLNET).unet, 4)
    with torch.no_grad():
        for update in updates.values():
            update.up.fill_(0.01)
    save_lora(loras / "profiled.safetensors", updates)
    for number, (lora, found) in enumerate(
        ((0.7, False), (0.0, True), (0.7, False), (None, True))
    ):  # so that each meets the other's weights in memory
        graph = ad(sampler__steps=STEPS, sampler__attempts=1, sampler__threshold=ALWAYS, sampler__seed=100 + number)
        if lora is not None:
            graph["lora"] = node(
                "LoraLoaderModelOnly", model=["models", 0], lora_name="profiled.safetensors", strength_model=lora
            )
            graph["sampler"]["inputs"]["model"] = ["lora", 0]
        assert (report_of(client.outputs(graph))["early_rejection"]["profile"] == "strict") is found, lora


def test_off_draws_to_the_end(client, strict):
    report = report_of(
        client.outputs(
            ad(sampler__steps=STEPS, sampler__attempts=1, sampler__threshold=ALWAYS, sampler__early_rejection="off")
        )
    )
    assert report["early_rejection"]["profile"] == "off" and report["accepted"] and report["attempts"][0]["looks"] == []


def test_a_profile_that_is_not_there(client):
    with pytest.raises(RuntimeError, match=r"there is no profile .nowhere\.gates\.json"):
        client.outputs(ad(sampler__early_rejection="nowhere"))


def test_several_usable_pictures_come_out_as_one_batch(client):
    graph = ad(sampler__threshold=ALWAYS, sampler__usable=2)
    graph["decoded"] = node("VAEDecode", samples=["sampler", 1], vae=["models", 2])
    graph["shown"] = node("PreviewImage", images=["decoded", 0])
    outputs = client.outputs(graph)
    report = report_of(outputs)
    assert (
        report["accepted"]
        and report["usable"] == [1, 2]
        and len(outputs["save"]["images"]) == len(outputs["shown"]["images"]) == 2
    )


def test_a_budget_of_steps_ends_it(client):
    report = report_of(client.outputs(ad(sampler__threshold=NEVER, sampler__attempts=9, sampler__step_budget=5)))
    assert len(report["attempts"]) == 3 and report["steps"] == 6 and report["ended_by"] == "steps"
