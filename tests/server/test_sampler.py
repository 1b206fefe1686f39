"""The cyclic sampler against stock KSampler, its endings, and what it shows while it runs."""

import json

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.devtools.api_graph import node
from reliable_ads.rfnet.painters import read_painter

from .ads import ALWAYS, CHECKPOINT, CONTROLNET, NEVER, REVIEWER, SIZE, ad, latent, pixels, report_of


@pytest.mark.parametrize(
    "sampler_name, scheduler", [("ddim", "ddim_uniform"), ("euler_ancestral", "normal"), ("dpmpp_2m_sde", "karras")]
)
def test_attempt_one_is_stock_ksampler_to_the_last_bit(client, base, sampler_name, scheduler):
    graph = ad(sampler__threshold=ALWAYS, sampler__sampler_name=sampler_name, sampler__scheduler=scheduler)
    stock = {
        key: value
        for key, value in graph["sampler"]["inputs"].items()
        if key not in ("vae", "reviewer", "product", "attempts", "on_exhausted", "threshold")
    }
    graph["stock"] = node("KSampler", **stock)
    graph["keep_stock"] = node("SaveLatent", samples=["stock", 0], filename_prefix="stock")
    graph["keep_ours"] = node("SaveLatent", samples=["sampler", 1], filename_prefix="ours")

    report = report_of(client.outputs(graph))

    assert [attempt["seed"] for attempt in report["attempts"]] == [7]
    assert np.array_equal(latent(base, "ours"), latent(base, "stock"))


def test_later_attempts_take_the_next_seeds(client, base):
    graph = ad(sampler__on_exhausted="last")
    graph["stock"] = node(
        "KSampler",
        **{
            key: graph["sampler"]["inputs"][key]
            for key in (
                "model",
                "positive",
                "negative",
                "latent_image",
                "steps",
                "cfg",
                "sampler_name",
                "scheduler",
                "denoise",
            )
        },
        seed=9,
    )
    graph["keep_stock"] = node("SaveLatent", samples=["stock", 0], filename_prefix="stock9")
    graph["keep_ours"] = node("SaveLatent", samples=["sampler", 1], filename_prefix="ours9")

    report = report_of(client.outputs(graph))

    assert [attempt["seed"] for attempt in report["attempts"]] == [7, 8, 9]
    assert np.array_equal(latent(base, "ours9"), latent(base, "stock9"))


def test_seeds_wrap_at_the_end_of_64_bits(client):
    report = report_of(client.outputs(ad(sampler__seed=2**64 - 1, sampler__attempts=2, sampler__sampler_name="euler")))
    assert [attempt["seed"] for attempt in report["attempts"]] == [2**64 - 1, 0]


def test_the_products_own_pixels_are_in_the_result(client):
    graph = ad(sampler__threshold=ALWAYS)
    graph["placed"] = node("SaveImage", images=["product", 1], filename_prefix="placed")
    graph["mask"] = node("MaskToImage", mask=["product", 2])
    graph["show_mask"] = node("SaveImage", images=["mask", 0], filename_prefix="mask")

    outputs = client.outputs(graph)

    result, placed, paint = (
        pixels(client, outputs["save"]),
        pixels(client, outputs["placed"]),
        pixels(client, outputs["show_mask"])[..., 0],
    )
    assert result.shape == (SIZE, SIZE, 3)
    product = paint == 0  # the dilated mask leaves only pixels that lie well inside the product
    assert product.sum() > 1000
    assert np.array_equal(result[product], placed[product])
    assert not np.array_equal(result[~product], placed[~product])


def test_it_stops_at_the_first_accepted_picture(client):
    every = report_of(client.outputs(ad(sampler__attempts=5)))
    chances = [attempt["probabilities"]["available"] for attempt in every["attempts"]]
    winner = int(np.argmax(chances))
    threshold = chances[winner] - 2e-6  # the report rounds to six digits
    first = next(index for index, chance in enumerate(chances) if chance >= threshold)

    graph = ad(sampler__attempts=5, sampler__threshold=threshold)
    graph["shown"] = node("PreviewAny", source=["sampler", 4])
    outputs = client.outputs(graph)

    report = report_of(outputs)
    assert report["accepted"] is True
    assert [attempt["accepted"] for attempt in report["attempts"]] == [False] * first + [True]
    assert outputs["shown"]["text"] == [str(7 + first)]
    assert len(outputs["sampler"]["images"]) == first + 1


@pytest.mark.parametrize("ending", ["best", "last"])
def test_when_none_passes_the_best_or_the_last_is_given(client, ending):
    graph = ad(sampler__on_exhausted=ending)
    graph["shown"] = node("PreviewAny", source=["sampler", 4])
    outputs = client.outputs(graph)

    report = report_of(outputs)
    chances = [attempt["probabilities"]["available"] for attempt in report["attempts"]]
    index = int(np.argmax(chances)) if ending == "best" else 2
    assert report["accepted"] is False
    assert outputs["shown"]["text"] == [str(7 + index)]
    assert np.array_equal(pixels(client, outputs["save"]), pixels(client, outputs["sampler"], index))


def test_when_none_passes_the_branch_stops_but_the_report_goes_on(client):
    graph = ad(sampler__on_exhausted="stop")
    graph["report"] = node("PreviewAny", source=["sampler", 5])
    graph["attempts"] = node("PreviewImage", images=["sampler", 6])
    outputs = client.outputs(graph)

    assert "save" not in outputs
    assert "available" in outputs["report"]["text"][0]
    assert len(outputs["attempts"]["images"]) == 3


def test_when_none_passes_an_error_says_what_to_do(client):
    with pytest.raises(RuntimeError, match="3 attempts"):
        client.outputs(ad(sampler__on_exhausted="error"))


def test_progress_verdicts_and_previews_are_shown(client):
    events = list(client.run(ad()))
    texts = [event.data["text"] for event in events if event.kind == "progress_text"]
    report = report_of(client.history(client.prompt_id)["outputs"])
    verdicts = [
        f"attempt {attempt['attempt']}/3 · {attempt['label']} {attempt['probabilities'][attempt['label']]:.2f}"
        for attempt in report["attempts"]
    ]
    assert texts == ["attempt 1/3 · sampling", *verdicts]
    previews = [event for event in events if event.kind == "preview" and event.node == "sampler"]
    assert len(previews) >= 3 and previews[0].data["image"][:2] == b"\xff\xd8"
    bar = [
        (event.data["value"], event.data["max"])
        for event in events
        if event.kind == "progress" and event.node == "sampler"
    ]
    assert bar == sorted(bar) and bar[-1] == (6, 6)


def test_a_review_sorts_a_batch(client):
    graph = ad(sampler__threshold=NEVER)
    graph["review"] = node(
        "RFReview", images=["sampler", 6], reviewer=["reviewer", 0], product=["product", 0], threshold=NEVER
    )
    graph["rejected"] = node("PreviewImage", images=["review", 1])
    graph["accepted"] = node("PreviewImage", images=["review", 0])
    graph["annotated"] = node("PreviewImage", images=["review", 3])
    outputs = client.outputs(graph)

    assert len(outputs["rejected"]["images"]) == len(outputs["annotated"]["images"]) == 3
    assert "accepted" not in outputs  # nothing was accepted, so nothing behind that output ran


def test_a_review_shows_where_its_verdicts_come_from(client):
    graph = ad(sampler__threshold=NEVER)
    graph["review"] = node(
        "RFReview", images=["sampler", 6], reviewer=["reviewer", 0], product=["product", 0], threshold=NEVER
    )
    graph["heat"] = node("PreviewImage", images=["review", 4])
    graph["report"] = node("PreviewAny", source=["review", 2])
    outputs = client.outputs(graph)

    rows = json.loads(outputs["report"]["text"][0])
    assert len(outputs["heat"]["images"]) == len(rows) == 3
    for row in rows:  # all were rejected
        x0, y0, x1, y1 = row["evidence"]["box"]
        assert 0 <= x0 < x1 <= SIZE and 0 <= y0 < y1 <= SIZE
        assert abs(sum(row["evidence"]["inputs"].values()) - 1) < 1e-3


def certified(base, name: str, **entry) -> dict:
    """The certificate for 5 % of a reviewer that is written under this name, which accepts everything at that risk."""
    from reliable_ads.rfnet.weights import change_metadata

    numbers = {"threshold": 1e-6, "accepted": 59, "bad": 0, "bound": 0.0496, "confidence": 0.95}
    folder = base / "models" / "rfnet"
    risks = {"0.05": {**numbers, **entry}}
    change_metadata(folder / REVIEWER, folder / name, {"risks": risks})
    return risks["0.05"]


def at_risk(reviewer: str, **changes) -> dict:
    return ad(reviewer__reviewer_name=reviewer, sampler__accept="5 % risk", sampler__threshold=NEVER, **changes)


@pytest.fixture
def painter(base) -> dict:
    """As a certificate names it: the models of these graphs."""
    folder = base / "models" / "pocket"
    return msgspec.to_builtins(read_painter(folder / CHECKPOINT, folder / CONTROLNET))


def test_accepting_at_a_risk_that_is_certified_for_this_painter(client, base, painter):
    entry = certified(base, "certified.safetensors", about="pictures of a test", painter=painter)
    outputs = client.outputs(at_risk("certified.safetensors"))
    report = report_of(outputs)
    assert report["accepted"] and len(report["attempts"]) == 1 and "notes" not in report
    assert report["settings"]["accept"] == "5 % risk" and report["settings"]["threshold"] == 1e-6
    assert report["certificate"] == {**entry, "certified_for_this_painter": True}
    assert outputs["sampler"]["reliable_ads"][0]["certified"] is True


def test_a_risk_that_is_certified_for_another_painter_decides_and_is_marked(client, base, painter):
    certified(base, "others.safetensors", painter={**painter, "controlnet": None})
    certified(base, "scenes.safetensors", about="rendered scenes")
    for reviewer, measured in (("others", f'pictures by "{CHECKPOINT}"'), ("scenes", '"rendered scenes"')):
        events = list(client.run(at_risk(f"{reviewer}.safetensors")))
        outputs = client.history(client.prompt_id)["outputs"]
        report = report_of(outputs)
        assert report["accepted"] and report["certificate"]["certified_for_this_painter"] is False
        assert report["notes"] == [f"not certified for this painter: the risk was measured on {measured}."]
        assert outputs["sampler"]["reliable_ads"][0]["certified"] is False
        rows = [event.data for event in events if event.kind == "reliable_ads.verdicts" and event.data["rows"]]
        assert [row["certified"] for row in rows] == [False]  # while it runs, too


def test_another_controlnet_a_lora_or_a_patched_model_is_another_painter(client, base, painter):
    certified(base, "certified.safetensors", painter=painter)
    lora = base / "models" / "loras" / "painter.safetensors"
    lora.parent.mkdir(exist_ok=True)
    layer = "lora_unet_input_blocks_1_0_out_layers_3"
    weights = {"lora_up": torch.ones(64, 1, 1, 1), "lora_down": torch.ones(1, 64, 3, 3)}
    save_file({f"{layer}.{name}.weight": value for name, value in weights.items()}, lora)
    with_lora = node("LoraLoaderModelOnly", model=["models", 0], lora_name="painter.safetensors", strength_model=1.0)
    patched = node("ModelSamplingDiscrete", model=["models", 0], sampling="v_prediction", zsnr=False)
    plain = at_risk("certified.safetensors")
    graphs = {
        "without ControlNet": (
            False,
            at_risk("certified.safetensors", sampler__positive=["prompt", 0], sampler__negative=["negative", 0]),
        ),
        "with a LoRA": (False, {**at_risk("certified.safetensors", sampler__model=["more", 0]), "more": with_lora}),
        "patched": (None, {**at_risk("certified.safetensors", sampler__model=["more", 0]), "more": patched}),
        "with nothing": (True, plain),
    }
    for name, (expected, graph) in graphs.items():
        assert report_of(client.outputs(graph))["certificate"]["certified_for_this_painter"] is expected, name


def test_a_review_does_not_know_what_painted(client, base, painter):
    certified(base, "certified.safetensors", painter=painter)
    graph = at_risk("certified.safetensors")
    graph["review"] = node(
        "RFReview",
        images=["sampler", 0],
        reviewer=["reviewer", 0],
        product=["product", 0],
        threshold=NEVER,
        accept="5 % risk",
    )
    graph["report"] = node("PreviewAny", source=["review", 2])
    outputs = client.outputs(graph)
    (row,) = json.loads(outputs["report"]["text"][0])
    assert row["accepted"] and row["notes"][0].startswith("painter unknown, so not certified: the risk was measured on")
    assert outputs["review"]["reliable_ads"][0]["certified"] is None


def test_the_same_seed_gives_the_same_picture(client):
    first = client.outputs(ad(sampler__attempts=2))
    client.post("/free", b'{"unload_models": true, "free_memory": true}')
    second = client.outputs(ad(sampler__attempts=2, save__filename_prefix="again"))
    assert np.array_equal(pixels(client, first["save"]), pixels(client, second["save"]))


def test_pictures_are_not_lost_when_the_node_cannot_show_them(client, base):
    (base / "temp").rename(base / "temp_away")
    (base / "temp").write_text("a file where the folder should be, as good as a full disk")
    try:
        outputs = client.outputs(ad(sampler__attempts=2, sampler__seed=50))
    finally:
        (base / "temp").unlink()
        (base / "temp_away").rename(base / "temp")
    assert outputs["sampler"]["images"] == [] and len(report_of(outputs)["attempts"]) == 2
    assert outputs["save"]["images"]
