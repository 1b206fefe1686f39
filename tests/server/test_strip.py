"""What the strip of verdicts in a node is sent, while it runs and afterwards."""

import base64
import io
import json
import re

import pytest
import torch
from PIL import Image

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.comfy import ROOT
from reliable_ads.rfnet.familiarity import fit_familiarity
from reliable_ads.rfnet.labels import PLAIN
from reliable_ads.rfnet.memory import Memory
from reliable_ads.rfnet.weights import load_networks, save_reviewer

from .ads import ALWAYS, NEVER, REVIEWER, ad

EVENT, KEY = "reliable_ads.verdicts", "reliable_ads"


def thumbnail(content: bytes) -> Image.Image:
    picture = Image.open(io.BytesIO(content))
    assert picture.format == "JPEG" and max(picture.size) <= 160
    return picture


def test_each_attempt_is_sent_as_it_is_reviewed_and_all_of_them_stay_with_the_node(client):
    graph = ad(sampler__seconds=6001.0, sampler__seed=2**60 + 1)
    sent = [event.data for event in client.run(graph) if event.kind == EVENT]
    assert [len(event["rows"]) for event in sent] == [0, 1, 1, 1] and {event["node"] for event in sent} == {"sampler"}
    assert [event["rows"][0]["seed"] for event in sent[1:]] == [
        str(2**60 + number) for number in (1, 2, 3)
    ]  # JavaScript's numbers end below
    for event in sent[1:]:
        thumbnail(base64.b64decode(event["rows"][0]["picture"].removeprefix("data:image/jpeg;base64,")))

    shown = client.history(client.prompt_id)["outputs"]["sampler"]
    (strip,) = shown[KEY]
    report = json.loads(shown["report"][0])
    assert strip["most"] == 3 and strip["product"] == "" and strip["results"] == [report["returned"]]
    for row, attempt in zip(strip["rows"], report["attempts"], strict=True):
        assert (row["number"], row["label"], row["accepted"]) == (
            attempt["attempt"],
            attempt["label"],
            attempt["accepted"],
        )
        assert row["probability"] == attempt["probabilities"][row["label"]]
        thumbnail(client.view(row["picture"]))


def test_a_result_from_the_cache_is_shown_again(client):
    graph = ad(sampler__seconds=6002.0, sampler__threshold=ALWAYS)
    first, again = (
        [event.data["output"] for event in client.run(graph) if event.kind == "executed" and event.node == "sampler"]
        for _ in range(2)
    )
    assert first == again and first[0][KEY][0]["rows"][0]["accepted"]


def test_a_picture_unlike_all_that_the_reviewer_learned_from_is_marked(client, base):
    models = base / "models" / "rfnet"
    rfnet, mapnet, metadata = load_networks(models / REVIEWER)
    features = torch.randn(40, rfnet.feature_width, generator=torch.Generator().manual_seed(0)) + 1000  # far from any
    familiarity = fit_familiarity([features], [[str(number) for number in range(40)]])
    save_reviewer(models / "narrow.safetensors", rfnet, mapnet, metadata, Memory(b"", familiarity))

    outputs = client.outputs(ad(sampler__seed=6005, sampler__attempts=1, reviewer__reviewer_name="narrow.safetensors"))
    (strip,) = outputs["sampler"][KEY]
    (attempt,) = json.loads(outputs["sampler"]["report"][0])["attempts"]
    assert strip["rows"][0]["unfamiliar"] is True and attempt["unfamiliar"] and "label a few" in attempt["notes"][0]


def test_a_review_without_anything_behind_it_shows_pictures_and_heat(client):
    graph = ad(sampler__seconds=6003.0, sampler__attempts=2)
    graph["review"] = node(
        "RFReview", images=["sampler", 6], reviewer=["reviewer", 0], product=["product", 0], threshold=NEVER
    )
    (strip,) = client.outputs(graph)["review"][KEY]
    assert [row["number"] for row in strip["rows"]] == [1, 2] and not any(row["accepted"] for row in strip["rows"])
    for row in strip["rows"]:
        assert row["defect"] != "available"
        assert thumbnail(client.view(row["picture"])).tobytes() != thumbnail(client.view(row["heat"])).tobytes()


@pytest.mark.parametrize("script, count", [("page", 5), ("verdicts", 22), ("label", 10)])
def test_every_word_of_the_page_is_translated(script, count):
    text = (ROOT / "web" / "js" / f"{script}.js").read_text(encoding="utf-8")
    words = re.search(r"(?:const WORDS = |^speak\()\{\n(.*?)^\}", text, re.MULTILINE | re.DOTALL)[1]
    english = dict(re.findall(r"^  (\w+): '(.*)',?$", words, re.MULTILINE))
    chinese = json.loads((ROOT / "locales" / "zh" / "main.json").read_text(encoding="utf-8"))["reliableAds"]
    assert script != "page" or english == PLAIN
    assert len(english) >= count and set(english) <= set(chinese)
    assert {word: set(re.findall(r"\$\w+", text)) for word, text in english.items()} == {
        word: set(re.findall(r"\$\w+", chinese[word])) for word in english
    }
