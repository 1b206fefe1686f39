"""RF Opinions on the real server: what the report and the strip say of them, and what becomes of those that fail."""

import json
import math

import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import GraphRefused
from reliable_ads.rfnet.fusion import Fusion, Opinion
from reliable_ads.rfnet.opinions.panel import UNFITTED
from reliable_ads.rfnet.sizes import SizeReader
from reliable_ads.rfnet.weights import change_metadata, load_networks

from .ads import ALWAYS, NEVER, REVIEWER, ad, report_of, with_opinions

KEY = "reliable_ads"


@pytest.fixture(scope="module")
def overturning(base) -> str:
    """A reviewer whose layer lets contact say space_mismatch of every picture."""
    contact = Opinion(weight=[100.0, 0, 0, 0], centre=[-20.0, 0, 0, 0], spread=[1.0] * 4)
    fusion = Fusion(rfnet=1.0, bias=[0.0] * 4, opinions={"contact": contact}, threshold=0.5)
    models = base / "models" / "rfnet"
    change_metadata(models / REVIEWER, models / "overturning.safetensors", {"fusion": fusion.to_json()})
    return "overturning.safetensors"


@pytest.fixture(scope="module")
def reading(base) -> str:
    """A reviewer that reads every product as 80 cm large."""
    models = base / "models" / "rfnet"
    width = load_networks(models / REVIEWER)[0].feature_width
    sizes = SizeReader(weight=[0.0] * width, bias=math.log(0.8), sigma=0.4)
    change_metadata(models / REVIEWER, models / "reading.safetensors", {"sizes": sizes.to_json()})
    return "reading.safetensors"


def test_unfitted_opinions_are_in_the_report_and_change_no_verdict(client):
    alone = report_of(client.outputs(ad(sampler__seed=31)))["attempts"]
    advised = report_of(client.outputs(with_opinions(sampler__seed=31)))["attempts"]
    for before, after in zip(alone, advised, strict=True):
        assert after["probabilities"] == pytest.approx(before["probabilities"], abs=1e-5)
        assert after["decided_by"] == "rfnet" and UNFITTED in after["notes"] and "decided_by" not in before
        assert after["opinions"].keys() == {"contact", "own_label"}
        assert after["opinions"]["own_label"] == {"shape_hallucination": -6.0}  # the sampler pasted the product


def test_a_fitted_opinion_decides_and_the_strip_names_it(client, overturning):
    graph = with_opinions(sampler__seed=32, sampler__threshold=ALWAYS, reviewer__reviewer_name=overturning)
    graph["sampler"]["inputs"]["threshold"] = 0.01
    outputs = client.outputs(graph)
    for attempt in report_of(outputs)["attempts"]:
        assert not attempt["accepted"] and attempt["label"] == "space_mismatch" and attempt["decided_by"] == "contact"
    (strip,) = outputs["sampler"][KEY]
    assert {row["decided"] for row in strip["rows"]} == {"contact"}


def test_size_compares_with_what_is_usual_by_the_caption(client, reading):
    def attempt(**changes) -> dict:
        graph = with_opinions(sampler__attempts=1, reviewer__reviewer_name=reading, opinions__size=True, **changes)
        return report_of(client.outputs(graph))["attempts"][0]

    row = attempt(sampler__seed=34, product__caption="a red mug")
    assert row["opinions"]["size"]["size_mismatch"] > 0
    assert row["said"]["size"].startswith("too large: it looks 80 cm large")
    unknown = attempt(sampler__seed=34)  # the caption names a box, which may be of any size
    assert "size" not in unknown["opinions"]
    assert any("nobody knows how large" in note for note in unknown["notes"])


def test_a_segmentation_model_of_comfyuis_own_is_asked_for_expansion(client):
    if not client.ask("/object_info/TestSegmentationModel"):
        pytest.skip("this ComfyUI removes no backgrounds")
    graph = with_opinions(sampler__seed=35, sampler__attempts=1, opinions__segmentation_model=["segmenter", 0])
    graph["segmenter"] = node("TestSegmentationModel")
    (row,) = report_of(client.outputs(graph))["attempts"]
    assert row["models"]["expansion"].startswith("birefnet ")
    # it takes everything for the product before plain grey, too, so that nothing has grown
    assert row["opinions"]["expansion"]["shape_hallucination"] == pytest.approx(1.5 * math.log(1 / 20), abs=0.01)


def test_review_shows_opinions_and_a_server_that_fails_ends_nothing(client, base):
    folder = base / "models" / "rfnet" / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "gone.json").write_text(json.dumps({"url": "http://127.0.0.1:1/v1", "model": "x", "timeout": 5}))
    graph = with_opinions(sampler__seed=33, sampler__attempts=1, opinions__server="rfnet/servers/gone.json")
    del graph["sampler"]["inputs"]["opinions"]
    graph["review"] = node(
        "RFReview",
        images=["sampler", 6],
        reviewer=["reviewer", 0],
        product=["product", 0],
        threshold=NEVER,
        opinions=["opinions", 0],
    )
    graph["show"] = node("PreviewAny", source=["review", 2])
    (row,) = json.loads(client.outputs(graph)["show"]["text"][0])
    assert row["opinions"].keys() == {"contact", "own_label"} and row["evidence"]
    assert any(note.startswith("The opinion server was left out: its server can't be reached") for note in row["notes"])


@pytest.mark.parametrize("name", ["../../secret.json", "rfnet/servers/none.json", "/etc/passwd"])
def test_a_file_that_is_not_in_the_list_is_refused_while_queueing(client, name):
    with pytest.raises(GraphRefused, match="below the models folder"):
        client.queue(with_opinions(opinions__server=name))


def test_a_server_elsewhere_is_not_asked_without_leave(client, base):
    folder = base / "models" / "rfnet" / "servers"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "away.json").write_text(json.dumps({"url": "https://example.com/v1", "model": "x"}))
    with pytest.raises(RuntimeError, match="which is not this machine"):
        client.outputs(with_opinions(opinions__server="rfnet/servers/away.json"))
