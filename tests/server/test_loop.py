"""The loop around other samplers, several draws at once, and remedies, on the real server."""

import json

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.family import POCKET, build_pocket
from reliable_ads.pocket.ldm import save_controlnet
from reliable_ads.rfnet.product import default_dilation

from .ads import ALWAYS, SIZE, ad, latent, pixels, report_of
from .graphs import advanced, with_remedies


def test_the_advanced_sampler_is_stock_sampler_custom_advanced_to_the_last_bit(client, base):
    graph = advanced(attempts=2, on_exhausted="last")
    graph["noise8"] = node("RandomNoise", noise_seed=8)
    graph["stock"] = node(
        "SamplerCustomAdvanced",
        noise=["noise8", 0],
        guider=["guider", 0],
        sampler=["which", 0],
        sigmas=["sigmas", 0],
        latent_image=["masked", 0],
    )
    graph["keep_stock"] = node("SaveLatent", samples=["stock", 0], filename_prefix="stock_advanced")
    graph["keep_ours"] = node("SaveLatent", samples=["sampler", 1], filename_prefix="ours_advanced")
    report = report_of(client.outputs(graph))
    assert (
        [attempt["seed"] for attempt in report["attempts"]] == [7, 8]
        and report["settings"]["sampler_name"] == "dpmpp_2m"
        and report["settings"]["steps"] == 2
    )
    assert np.array_equal(latent(base, "ours_advanced"), latent(base, "stock_advanced"))


def test_sigmas_without_a_step_are_refused(client):
    graph = advanced()
    graph["cut"] = node("SplitSigmas", sigmas=["sigmas", 0], step=0)
    graph["sampler"]["inputs"]["sigmas"] = ["cut", 0]
    with pytest.raises(RuntimeError, match="the sigmas hold no step"):
        client.outputs(graph)


@pytest.mark.parametrize("make", [ad, advanced])
def test_several_at_once_draw_what_one_at_a_time_draws(client, base, make):
    for name, parallel in (("alone", 1), ("at_once", 3)):
        graph = make()
        graph["sampler"]["inputs"] |= {"threshold": ALWAYS, "usable": 3, "parallel": parallel}
        if make is ad:
            graph["sampler"]["inputs"]["sampler_name"] = (
                "euler"  # ddim draws noise of its own around a mask, for the whole batch
            )
        graph["keep"] = node("SaveLatent", samples=["sampler", 1], filename_prefix=f"{name}_{make.__name__}")
        assert [attempt["seed"] for attempt in report_of(client.outputs(graph))["attempts"]] == [7, 8, 9]
    alone, at_once = (latent(base, f"{name}_{make.__name__}") for name in ("alone", "at_once"))
    rounding, seeds = np.abs(alone - at_once).max(), np.abs(alone[0] - alone[1]).max()
    assert alone.shape[0] == 3 and rounding < 0.02 * seeds  # a batch's sums run in another order


def test_several_usable_ones_of_one_batch_are_no_more_than_asked_for(client):
    found = client.outputs(ad(sampler__threshold=ALWAYS, sampler__parallel=3))
    assert len(report_of(found)["attempts"]) == 3 and len(found["save"]["images"]) == 1


def test_a_rejected_attempt_is_answered_and_the_answer_changes_the_picture(client):
    plain, answered = client.outputs(ad()), client.outputs(with_remedies())
    report = report_of(answered)
    assert report["remedies"]["left_out"] == {} and len(report["remedies"]["allowed"]) == 9
    assert (
        report["attempts"][0]["remedies"] == []
        and report["attempts"][1]["remedies"]
        and report["attempts"][2]["remedies"]
    )
    assert np.array_equal(pixels(client, plain["sampler"], 0), pixels(client, answered["sampler"], 0))
    assert not np.array_equal(pixels(client, plain["sampler"], 1), pixels(client, answered["sampler"], 1))


@pytest.mark.parametrize(
    "name, after",
    [
        ("contrast", 1),
        ("guidance", 1.5),
        ("control", 1.3),
        ("dilation", -12),
        ("surface", 1),
        ("position", 0.09),
        ("scale", 0.7),
        ("avoid", 1),
        ("tuned", 1),
    ],
)
def test_each_remedy_changes_the_draw_and_a_report_draws_it_again(client, name, after):
    changes = [{"remedy": name, "before": 0, "after": after}]
    pictures = []
    for number, begin_at in enumerate(("", json.dumps(changes), json.dumps(changes))):
        graph = with_remedies(begin_at=begin_at)
        graph["sampler"]["inputs"] |= {
            "attempts": 1,
            "steps": 4,
            "seconds": 600 + number,
        }  # or the second of two equal graphs is not run
        found = client.outputs(graph)
        pictures.append(pixels(client, found["sampler"]))
        assert [change["after"] for change in report_of(found)["attempts"][0]["remedies"]] == (
            [after] if begin_at else []
        )
    assert np.array_equal(pictures[1], pictures[2])
    if name not in (
        "control",
        "tuned",
    ):  # the tiny ControlNet of the tests ends in zeros: its strength changes nothing, and it stands in for itself
        assert not np.array_equal(pictures[0], pictures[1])


def test_guidance_is_left_out_where_more_of_it_would_spoil_the_picture(client):
    graph = advanced(remedies=["remedies", 0])
    graph["remedies"] = with_remedies()["remedies"]
    graph["guider"] = node("BasicGuider", model=["models", 0], conditioning=["control", 0])
    report = report_of(client.outputs(graph))
    assert "no negative prompt" in report["remedies"]["left_out"]["guidance"]
    assert all(change["remedy"] != "guidance" for attempt in report["attempts"] for change in attempt["remedies"])
    graph = with_remedies()
    graph["sampler"]["inputs"]["cfg"] = 1.0
    assert "cfg is 1" in report_of(client.outputs(graph))["remedies"]["left_out"]["guidance"]


def test_what_a_graph_does_not_offer_is_left_out_with_a_reason(client):
    graph = with_remedies()
    graph["remedies"]["inputs"].pop("clip")
    graph["remedies"]["inputs"].pop("tuned_control_net")
    graph["product"]["inputs"]["position"] = "keep"
    graph["sampler"]["inputs"] |= {"positive": ["prompt", 0], "negative": ["negative", 0]}
    left_out = report_of(client.outputs(graph))["remedies"]["left_out"]
    assert (
        set(left_out) == {"contrast", "surface", "avoid", "control", "position", "scale", "tuned"}
        and "no CLIP" in left_out["surface"]
        and "no ControlNet" in left_out["control"]
        and "no tuned" in left_out["tuned"]
    )
    graph["sampler"]["inputs"]["latent_image"] = ["encode", 0]
    assert "noise mask" in report_of(client.outputs(graph))["remedies"]["left_out"]["dilation"]


def shipped(graph: dict) -> dict:
    """The graph with the pocket family, whose ControlNet has an effect, and its tuned one at "tuned"."""
    graph["models"]["inputs"] = {"ckpt_name": "pocket_sd.safetensors", "control_net_name": "pocket_canny.safetensors"}
    graph["tuned"] = node(
        "RFControlNetLoader",
        control_net_name="pocket_canny.safetensors",
        adapter="pocket_canny_reliable.safetensors",
        strength=1.0,
    )
    if "remedies" in graph:
        graph["remedies"]["inputs"]["tuned_control_net"] = ["tuned", 0]
    return graph


def chained(graph: dict, image: list) -> dict:
    """The graph with a second ControlNet behind the first, which looks at another image."""
    graph["second"] = node(
        "ControlNetApplyAdvanced",
        positive=["control", 0],
        negative=["control", 1],
        control_net=["models", 3],
        image=image,
        strength=0.7,
        start_percent=0.0,
        end_percent=1.0,
    )
    graph["sampler"]["inputs"] |= {"positive": ["second", 0], "negative": ["second", 1]}
    return graph


@pytest.mark.parametrize("chain", [False, True], ids=["alone", "before another"])
def test_the_tuned_controlnet_takes_over_after_a_rejection_and_draws_what_it_draws_alone(client, chain):
    """To the last bit what a graph draws whose Apply ControlNet has the tuned one; the first attempt stays the graph's
    own.
    """
    found = {}
    for name in ("plain", "remedied", "applied"):
        graph = shipped(with_remedies(only=["tuned"]) if name == "remedied" else ad())
        graph = chained(graph, ["product", 1]) if chain else graph
        if name == "applied":
            graph["control"]["inputs"]["control_net"] = ["tuned", 0]
        graph["control"]["inputs"] |= {"strength": 0.9, "end_percent": 0.8}
        graph["sampler"]["inputs"]["attempts"] = 2
        found[name] = client.outputs(graph)
    pictures = {
        name: [pixels(client, outputs["sampler"], attempt) for attempt in (0, 1)] for name, outputs in found.items()
    }
    assert [row["remedies"] for row in report_of(found["remedied"])["attempts"]] == [
        [],
        [{"remedy": "tuned", "before": 0.0, "after": 1.0}],
    ]
    assert np.array_equal(pictures["remedied"][0], pictures["plain"][0]) and not np.array_equal(
        pictures["plain"][0], pictures["applied"][0]
    )
    assert np.array_equal(pictures["remedied"][1], pictures["applied"][1])


def test_a_remedy_of_another_package_changes_the_draw_as_its_entry_says(client):
    """The second attempt is drawn with half of cfg, as a graph with half of cfg draws it."""

    def graph(known: bool) -> dict:
        made = with_remedies(only=[])
        made["own"] = node("TestOwnRemedy", remedies=["remedies", 0], known=known)
        made["sampler"]["inputs"] |= {"remedies": ["own", 0], "attempts": 2}
        return made

    by_hand = client.outputs(ad(sampler__seed=8, sampler__attempts=1, sampler__cfg=2.5))
    try:
        found = client.outputs(graph(known=True))
        switches = client.ask("/object_info/RFRemedies")["RFRemedies"]["input"]["optional"]
    finally:
        client.outputs(graph(known=False))
    report = report_of(found)
    assert report["remedies"]["allowed"] == ["calm"] and switches["calm"][1]["tooltip"] == "Lowers cfg."
    assert report["attempts"][1]["remedies"] == [{"remedy": "calm", "before": 1.0, "after": 0.5}]
    assert np.array_equal(pixels(client, found["sampler"], 1), pixels(client, by_hand["sampler"]))


def test_a_remedy_of_the_mask_leaves_the_hint_of_another_controlnet_alone(client):
    """Dilation by report draws what RF Product's own smaller mask_dilation draws."""
    by_remedy = chained(
        shipped(with_remedies(begin_at=json.dumps([{"remedy": "dilation", "before": 0, "after": -12}]))), ["product", 1]
    )
    by_hand = chained(shipped(ad()), ["product", 1])
    by_hand["product"]["inputs"]["mask_dilation"] = max(0, default_dilation(SIZE, SIZE) + round(-12 * SIZE / 512))
    pictures = []
    for graph in (by_remedy, by_hand):
        graph["sampler"]["inputs"]["attempts"] = 1
        pictures.append(pixels(client, client.outputs(graph)["sampler"]))
    assert np.array_equal(*pictures)


def test_two_networks_on_one_hint_have_no_place_for_a_third(client):
    graph = chained(shipped(with_remedies()), ["product", 3])
    graph["second"]["inputs"]["control_net"] = ["tuned", 0]
    assert "several ControlNets" in report_of(client.outputs(graph))["remedies"]["left_out"]["tuned"]


@pytest.mark.parametrize(
    "asked",
    [{}, {"only": ["avoid"], "begin_at": '[{"remedy": "tuned", "before": 0, "after": 1}]'}],
    ids=["by its switch", "by a report"],
)
def test_a_tuned_controlnet_of_another_family_is_refused_before_anything_is_drawn(client, base, asked):
    save_controlnet(
        base / "models" / "pocket" / "wide_canny.safetensors",
        build_pocket({**POCKET, "unet": {**POCKET["unet"], "context": 160}}),
    )
    graph = with_remedies(**asked)
    graph["other"] = node("RFControlNetLoader", control_net_name="wide_canny.safetensors", adapter="none", strength=1.0)
    graph["remedies"]["inputs"]["tuned_control_net"] = ["other", 0]
    with pytest.raises(
        RuntimeError, match=r"tuned ControlNet is of another model family .* connect one of the same family"
    ):
        client.outputs(graph)


def test_remedies_that_no_report_lists_are_refused_before_anything_is_drawn(client):
    with pytest.raises(RuntimeError, match="no list of remedies"):
        client.outputs(with_remedies(begin_at="[scale"))
    with pytest.raises(RuntimeError, match=r"between 0.7 and 1.0"):
        client.outputs(with_remedies(begin_at='[{"remedy": "scale", "after": 0.1}]'))
    graph = with_remedies(begin_at='[{"remedy": "surface", "after": 1}]')
    graph["remedies"]["inputs"].pop("clip")
    with pytest.raises(RuntimeError, match="asks for surface, which this graph does not offer"):
        client.outputs(graph)
