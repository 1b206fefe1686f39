"""Bad input: the run ends with a sentence that says what is wrong and what to do, and the next run works."""

import json
import urllib.error

import numpy as np
import pytest
from PIL import Image

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import GraphRefused

from .ads import ALWAYS, CHECKPOINT, CONTROLNET, ad, cut_out, fails, png, report_of


@pytest.mark.parametrize(
    "picture, words",
    [
        (cut_out().convert("RGB"), "no transparency"),
        (Image.new("RGBA", (200, 200), (9, 9, 9, 0)), "is empty"),
        (Image.new("RGBA", (200, 200), (9, 9, 9, 255)), "fills"),
        (Image.new("RGBA", (1, 1), (9, 9, 9, 255)), "1x1"),
    ],
    ids=["no alpha", "empty alpha", "full alpha", "1x1"],
)
def test_pictures_that_are_no_product(client, picture, words):
    client.upload("bad.png", png(picture))
    message = fails(client, ad(picture__image="bad.png"))
    assert any(word in message for word in words.split("|")), message


def test_a_mask_of_another_size(client):
    client.upload("other.png", png(cut_out(100, 90)))
    graph = ad(product__mask=["other", 1])
    graph["other"] = node("LoadImage", image="other.png")
    message = fails(client, graph)
    assert "100x90" in message and "200x260" in message


def test_a_mask_that_marks_the_product(client):
    graph = ad(product__mask=["inverted", 0], product__mask_marks="product", sampler__threshold=ALWAYS)
    graph["inverted"] = node("InvertMask", mask=["picture", 1])
    assert client.outputs(graph)["save"]["images"]


@pytest.mark.parametrize(
    "caption", ["", "一个红色的手提包", "a very long caption " * 500], ids=["empty", "chinese", "very long"]
)
def test_any_caption_will_do(client, caption):
    assert client.outputs(ad(product__caption=caption, sampler__attempts=1))["save"]["images"]


def test_a_model_outside_of_the_models_folder(client):
    message = fails(client, ad(reviewer__depth_model="../../secret"))
    assert "below the models folder" in message and "dpt/dpt-tiny" in message


def test_while_queueing_a_node_is_told_its_fault_once_and_the_text_is_the_sentence(client):
    body = json.dumps({"prompt": ad(sampler__attempts=0, sampler__cfg=-3)}).encode()
    with pytest.raises(urllib.error.HTTPError) as refusal:
        client.post("/prompt", body)
    (fault,) = json.loads(refusal.value.read())["node_errors"]["sampler"]["errors"]
    assert fault["details"] == "cfg is -3.0, and must lie between 0.0 and 100.0."


def test_at_run_time_no_path_stands_before_the_sentence(client):
    client.upload("bad.png", png(cut_out().convert("RGB")))
    error = list(client.run(ad(picture__image="bad.png")))[-1].data
    assert error["exception_type"] == "Reliable Ads" and error["exception_message"].startswith(
        "the product picture has no transparency"
    )


def test_no_attempts(client):
    with pytest.raises(GraphRefused, match="attempts"):
        client.outputs(ad(sampler__attempts=0))


@pytest.mark.parametrize("count", [1, 2])
def test_a_latent_of_another_size(client, count):
    graph = ad(masked__samples=["empty", 0])
    graph["empty"] = node("EmptyLatentImage", width=64, height=64, batch_size=count)
    message = fails(client, graph)
    assert "64x64" in message and "128x128" in message


def test_a_batch_of_latents_is_drawn_picture_by_picture(client):
    graph = ad(sampler__latent_image=["empty", 0], sampler__attempts=1)
    graph["empty"] = node("EmptyLatentImage", width=128, height=128, batch_size=2)
    outputs = client.outputs(graph)
    assert [row["picture"] for row in report_of(outputs)["attempts"]] == [1, 2] and len(outputs["save"]["images"]) == 2


def test_a_product_of_another_graph(client):
    graph = ad(sampler__product=["bigger", 0])
    graph["bigger"] = node("RFProduct", **{**graph["product"]["inputs"], "width": 256, "height": 256})
    message = fails(client, graph)
    assert "256x256" in message and "128x128" in message


def test_pictures_to_review_of_another_size(client):
    graph = {name: value for name, value in ad().items() if name in ("picture", "product", "reviewer")}
    graph["review"] = node(
        "RFReview", images=["picture", 0], reviewer=["reviewer", 0], product=["product", 0], threshold=0.0
    )
    graph["shown"] = node("PreviewImage", images=["review", 3])
    message = fails(client, graph)
    assert "200x260" in message and "128x128" in message


def test_a_risk_that_the_reviewer_is_not_certified_for(client):
    events = list(client.run(ad(sampler__accept="5 % risk", sampler__seed=60)))
    assert "never certified to accept at 5 % risk: run `rfnet calibrate" in events[-1].data["exception_message"]
    assert not [event for event in events if event.kind == "preview"]  # refused before anything was drawn
    graph = {name: value for name, value in ad().items() if name in ("picture", "product", "reviewer")}
    graph["review"] = node(
        "RFReview",
        images=["product", 1],
        reviewer=["reviewer", 0],
        product=["product", 0],
        threshold=0.0,
        accept="10 % risk",
    )
    graph["shown"] = node("PreviewImage", images=["review", 3])
    assert "never certified to accept at 10 % risk" in fails(client, graph)


def test_a_latent_with_nan(client, base):
    from safetensors.numpy import save_file

    save_file(
        {"latent_tensor": np.full((1, 4, 16, 16), np.nan, np.float32), "latent_format_version_0": np.zeros(0)},
        base / "input" / "nan.latent",
    )
    graph = ad(masked__samples=["nan", 0])
    graph["nan"] = node("LoadLatent", latent="nan.latent")
    assert "NaN" in fails(client, graph)


def test_weights_that_are_no_weights(client, base):
    good = (base / "models" / "rfnet" / "tiny_rfnet.safetensors").read_bytes()
    canny = (base / "models" / "pocket" / "tiny_canny.safetensors").read_bytes()
    for name, content in {
        "cut.safetensors": good[: len(good) // 2],
        "pickle.safetensors": b"\x80\x04\x95" + bytes(64),
        "other.safetensors": canny,
    }.items():
        (base / "models" / "rfnet" / name).write_bytes(content)
        message = fails(client, ad(reviewer__reviewer_name=name))
        assert name in message, message
        (base / "models" / "rfnet" / name).unlink()


def test_a_vae_that_decodes_to_nan(client, base, tmp_path):
    from .tiny_models import write_pocket

    write_pocket(
        base / "models" / "pocket" / "nan_sd.safetensors", tmp_path / "unused.safetensors", broken_decoder=True
    )
    assert "3 attempts gave NaN" in fails(client, ad(models__ckpt_name="nan_sd.safetensors"))

    graph = ad(models__ckpt_name="nan_sd.safetensors", sampler__on_exhausted="stop")
    attempts = report_of(client.outputs(graph))["attempts"]
    assert len(attempts) == 3 and all("NaN" in attempt["error"] for attempt in attempts)


def test_pocket_files_in_each_others_place(client):
    assert "is a ControlNet, and was given as the checkpoint" in fails(client, ad(models__ckpt_name=CONTROLNET))
    assert "is a checkpoint, and was given as the ControlNet" in fails(client, ad(models__control_net_name=CHECKPOINT))


@pytest.mark.parametrize(
    "change",
    [{"reviewer__reviewer_name": "gone.safetensors"}, {"models__ckpt_name": "gone.safetensors"}],
    ids=["reviewer", "checkpoint"],
)
def test_weights_that_are_gone(client, change):
    message = fails(client, ad(**change))
    assert "no file gone.safetensors in models/" in message and "tiny_" in message


def test_after_all_that_a_good_run_still_works(client):
    assert client.outputs(ad(sampler__attempts=1, sampler__seed=99))["save"]["images"]
