"""RF Opinions asks a model that ComfyUI itself runs: its own classes, small, with weights that say one word."""

import json

import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.fusion import Fusion, Opinion
from reliable_ads.rfnet.weights import change_metadata

from .ads import NEVER, REVIEWER, ad, with_opinions

DEFECTS = {"space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination"}


def asked(client, family: str, yes: float, no: float) -> dict:
    """RF Review's row of one drawn picture, with this model's opinion."""
    (row,) = json.loads(client.outputs(asking(client, family, yes, no))["show"]["text"][0])
    return row


def asking(client, family: str, yes: float, no: float) -> dict:
    """The graph of that. Skips where ComfyUI can't write text."""
    if not client.ask("/object_info/TestTextModel"):
        pytest.skip("this ComfyUI writes no text")
    graph = with_opinions(sampler__seed=34, sampler__attempts=1, opinions__text_model=["text", 0])
    del graph["sampler"]["inputs"]["opinions"]
    graph["text"] = node("TestTextModel", family=family, yes=yes, no=no)
    inputs = {"images": ["sampler", 6], "reviewer": ["reviewer", 0], "product": ["product", 0], "threshold": NEVER}
    graph["review"] = node("RFReview", **inputs, opinions=["opinions", 0])
    graph["show"] = node("PreviewAny", source=["review", 2])
    return graph


@pytest.mark.parametrize("family", ["qwen3vl", "gemma3"])  # which take two pictures, and one
def test_the_evidence_is_that_of_yes_against_no_as_the_first_word(client, family):
    row = asked(client, family, 20.0, 21.5)
    assert row["opinions"]["text_model"].keys() == DEFECTS
    assert all(value == pytest.approx(-1.5, abs=0.1) for value in row["opinions"]["text_model"].values())
    assert any("text_model was not fitted" in note or "decide nothing" in note for note in row["notes"])


def test_a_model_that_would_say_other_things_does_not_know(client):
    assert asked(client, "qwen3vl", 2.0, 1.0)["opinions"]["text_model"] == {}


def test_a_plain_word_counts_where_probabilities_are_out_of_reach(client):
    assert set(asked(client, "plain", 20.0, 0.0)["opinions"]["text_model"].values()) == {2.0}


def test_prose_leaves_it_out_and_the_run_goes_on(client):
    row = asked(client, "plain", 0.0, 0.0)
    assert row["opinions"].keys() == {"contact", "own_label"}
    assert any(note.startswith("The opinion text_model was left out: it answered") for note in row["notes"])


def test_a_model_that_sees_nothing_is_refused_before_anything_is_drawn(client):
    with pytest.raises(RuntimeError, match="writes text but sees no pictures: load a model"):
        asked(client, "qwen3", 0.0, 0.0)


def test_a_clip_that_writes_nothing_is_refused_before_anything_is_drawn(client):
    """The text encoder of a painter; older ComfyUIs can't have any CLIP write."""
    clip = ad()["prompt"]["inputs"]["clip"]
    with pytest.raises(RuntimeError, match=r"writes no text( with a CLIP: update it|: load a model that writes text)"):
        client.outputs(with_opinions(opinions__text_model=clip))


def test_its_answers_are_kept_beside_the_label_and_decide_once_they_are_fitted(client, base):
    graph = asking(client, "qwen3vl", 20.0, 19.0)
    labelling = {"images": ["sampler", 6], "product": ["product", 0], "dataset": "asked", "blind": True}
    graph["label"] = node("RFLabel", **labelling, report=["review", 2])
    client.outputs(graph)
    (answers,) = LabelFolder(base / "output" / "labels" / "asked").read().answers.values()
    assert answers.keys() == {"contact", "own_label", "text_model"} and answers["text_model"].evidence.keys() == DEFECTS
    assert answers["text_model"].model.startswith("tiny ")

    weight, centre = [100.0, 0, 0, 0], [-20.0, 0, 0, 0]  # whatever it says speaks for space_mismatch
    fitted = Opinion(model=answers["text_model"].model, weight=weight, centre=centre, spread=[1.0] * 4)
    fusion = Fusion(rfnet=1.0, bias=[0.0] * 4, opinions={"text_model": fitted}, threshold=0.01)
    models = base / "models" / "rfnet"
    change_metadata(models / REVIEWER, models / "asked.safetensors", {"fusion": fusion.to_json()})
    for family, decider in (("qwen3vl", "text_model"), ("gemma3", "rfnet")):
        graph = asking(client, family, 20.0, 19.0)
        graph["reviewer"]["inputs"]["reviewer_name"] = "asked.safetensors"
        graph["review"]["inputs"]["threshold"] = 0.01
        (row,) = json.loads(client.outputs(graph)["show"]["text"][0])
        assert row["decided_by"] == decider
