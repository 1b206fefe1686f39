"""RF Opinions asks a model that ComfyUI itself runs: its own classes, small, with weights that say one word."""

import json

import pytest

from reliable_ads.devtools.api_graph import node

from .ads import NEVER, ad, with_opinions

DEFECTS = {"space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination"}


def asked(client, family: str, yes: float, no: float) -> dict:
    """RF Review's row of one drawn picture, with this model's opinion. Skips where ComfyUI can't write text."""
    if not client.ask("/object_info/TestTextModel"):
        pytest.skip("this ComfyUI writes no text")
    graph = with_opinions(sampler__seed=34, sampler__attempts=1, opinions__text_model=["text", 0])
    del graph["sampler"]["inputs"]["opinions"]
    graph["text"] = node("TestTextModel", family=family, yes=yes, no=no)
    inputs = {"images": ["sampler", 6], "reviewer": ["reviewer", 0], "product": ["product", 0], "threshold": NEVER}
    graph["review"] = node("RFReview", **inputs, opinions=["opinions", 0])
    graph["show"] = node("PreviewAny", source=["review", 2])
    (row,) = json.loads(client.outputs(graph)["show"]["text"][0])
    return row


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
