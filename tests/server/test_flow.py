"""Flow-matching models on the real server, with small random weights: both cyclic samplers draw what stock draws, to
the last bit, and early rejection sees the predicted clean picture.
"""

import json

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node

from .ads import NEVER, fails, latent, pixels, report_of
from .flow_graphs import FAMILIES, begun_at, flow_ad, kept, with_advanced, with_reference, with_stock


def drawn_alike(client, base, graph: dict) -> np.ndarray:
    """Draws with our samplers and the stock ones; all four have to give one latent, which comes back."""
    graph = kept(with_stock(with_advanced(graph)), sampler=1, advanced=1, stock=0, custom=0)
    client.outputs(graph)
    stock = latent(base, "flow_stock")
    for name in ("sampler", "advanced", "custom"):
        assert np.array_equal(latent(base, f"flow_{name}"), stock), name
    assert np.isfinite(stock).all()
    return stock


@pytest.mark.parametrize("family", FAMILIES)
def test_both_samplers_draw_what_stock_draws(client, base, family):
    stock = drawn_alike(client, base, flow_ad(family))
    assert stock.ndim == (5 if family == "qwen_image" else 4)


@pytest.mark.parametrize("family", ["flux", "qwen_image"])
def test_a_reference_picture_guides_the_draw(client, base, family):
    """Flux.1 Kontext and Qwen-Image-Edit: the product stands in the conditioning."""
    with_picture = drawn_alike(client, base, with_reference(flow_ad(family)))
    without = drawn_alike(client, base, flow_ad(family))
    assert not np.array_equal(with_picture, without)


@pytest.fixture
def strict(base):
    """A function that measures the sampler of a graph, and then gives its profile a threshold that nothing passes."""
    paths = []

    def measured(client, graph: dict, name: str, preview_method: str) -> dict:
        ours = graph.pop("sampler")["inputs"]
        ours = {key: value for key, value in ours.items() if key not in ("attempts", "on_exhausted")}
        about = {"profile_name": name, "draws": 1, "share": 0.03, "preview_method": preview_method}
        graph["profile"] = node("RFProfile", **ours, **about)
        client.outputs(graph)
        paths.append(base / "models" / "rfnet" / f"{name}.gates.json")
        profile = json.loads(paths[-1].read_text())
        profile["gates"], profile["about"] = [{"progress": 0.5, "threshold": 1.0}], {"draws": 1}
        paths[-1].write_text(json.dumps(profile))
        return profile

    yield measured
    for path in paths:
        path.unlink()


STEPS = {"sampler__steps": 10}


@pytest.mark.parametrize("family", ["sd35", "flux", "qwen_image", "z_image"])
def test_a_preview_check_sees_the_models_own_predicted_clean_picture(client, base, strict, family):
    """It is what stock SamplerCustomAdvanced gives as denoised_output where its sigmas end there."""
    strict(client, flow_ad(family, **STEPS), f"seen-{family}", "vae")
    graph = with_advanced(flow_ad(family, **STEPS, sampler__on_exhausted="last"))
    del graph["advanced"]
    graph["half"] = node("SplitSigmas", sigmas=["sigmas", 0], step=5)
    graph["custom"]["inputs"]["sigmas"] = ["half", 0]
    graph["decoded"] = node("VAEDecode", samples=["custom", 1], vae=["models", 1])
    graph["clean"] = node("SaveImage", images=["decoded", 0], filename_prefix="clean")

    outputs = client.outputs(graph)

    report = report_of(outputs)
    assert report["early_rejection"]["profile"] == f"seen-{family}"
    assert [(attempt["dropped"], attempt["steps"]) for attempt in report["attempts"][:1]] == [(True, 5)]
    seen, clean = pixels(client, outputs["sampler"]), pixels(client, outputs["clean"])
    beside = np.s_[:, :8]  # the product stands in the middle, where its own pixels are pasted back
    assert np.array_equal(seen[beside], clean[beside]) and len(np.unique(clean[beside])) > 5


@pytest.mark.parametrize("family, channels", [("flux", 16), ("flux2", 128), ("qwen_image", 16)])
def test_previews_are_read_off_the_latents_of_these_vaes(client, strict, family, channels):
    profile = strict(client, flow_ad(family, **STEPS), f"fast-{family}", "preview")
    assert [len(row) for row in profile["preview"]] == 3 * [channels + 1]
    report = report_of(client.outputs(flow_ad(family, **STEPS)))
    assert report["early_rejection"]["profile"] == f"fast-{family}" and report["attempts"][0]["dropped"]


def shifted(family: str, shift: float) -> dict:
    graph = flow_ad(family, **STEPS, sampler__model=["shift", 0])
    graph["shift"] = node("ModelSamplingAuraFlow", model=["models", 0], shift=shift)
    return graph


def with_guidance(graph: dict, guidance: float) -> dict:
    """A distilled model is told its guidance by the prompt."""
    graph["told"] = node("FluxGuidance", conditioning=["models", 2], guidance=guidance)
    graph["sampler"]["inputs"]["positive"] = ["told", 0]
    return graph


def test_a_profile_holds_for_one_shift_of_the_schedule_and_one_guidance(client, strict):
    strict(client, shifted("z_image", 3.0), "shift", "preview")
    strict(client, with_guidance(flow_ad("flux", **STEPS), 3.5), "told", "preview")

    def profile(graph):
        return report_of(client.outputs(graph))["early_rejection"]["profile"]

    none = "off: no profile fits this model"
    assert profile(shifted("z_image", 3.0)) == "shift"
    assert profile(shifted("z_image", 6.0)).startswith(none)
    assert profile(flow_ad("z_image", **STEPS)).startswith(none)
    assert profile(with_guidance(flow_ad("flux", **STEPS), 3.6)) == "told"
    assert profile(with_guidance(flow_ad("flux", **STEPS), 5.0)).startswith(none)
    assert profile(flow_ad("flux", **STEPS)).startswith(none)


def test_attempts_at_once_draw_what_they_draw_one_by_one(client, base):
    for family in ("flux", "qwen_image"):
        graphs = [flow_ad(family, sampler__threshold=NEVER, sampler__attempts=2, sampler__parallel=n) for n in (1, 2)]
        one, two = (report_of(client.outputs(graph)) for graph in graphs)
        assert [attempt["seed"] for attempt in two["attempts"]] == [7, 8]
        for first, second in zip(one["attempts"], two["attempts"]):
            chances = [attempt["probabilities"]["available"] for attempt in (first, second)]
            assert abs(chances[0] - chances[1]) < 1e-3


def test_a_distilled_model_is_told_more_guidance_after_a_rejected_picture(client, base):
    """Without cfg there is nothing else to raise; a prompt that tells none doesn't offer the remedy."""
    graph = with_guidance(flow_ad("flux", sampler__threshold=NEVER, sampler__attempts=2), 3.0)
    graph = begun_at(graph, "guidance", 1.0, 1.0)
    graph["sampler"]["inputs"]["on_exhausted"] = "last"
    graph["more"] = node("FluxGuidance", conditioning=["models", 2], guidance=4.5)
    report = report_of(client.outputs(kept(with_stock(graph, seed=8, positive=["more", 0]), sampler=1, stock=0)))

    assert report["attempts"][1]["remedies"] == [{"remedy": "guidance", "before": 1.0, "after": 1.5}]
    assert report["settings"]["guidance"] == 3.0
    assert np.array_equal(latent(base, "flow_sampler"), latent(base, "flow_stock"))

    del graph["more"], graph["stock"], graph["keep_stock"]
    graph["sampler"]["inputs"]["positive"] = ["models", 2]
    assert "asks for guidance, which this graph does not offer (cfg is 1: the graph draws" in fails(client, graph)
