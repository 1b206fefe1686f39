"""What made a picture reads back from its infotext, by the API's field and by png-info; scores are in the answer."""

import msgspec
import pytest

from reliable_ads.devtools.thin_models import MODELS
from reliable_ads.rfnet.painters import read_painter
from reliable_ads.rfnet.risks import NOT_CERTIFIED, UNKNOWN_PAINTER
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, change_metadata

from .ads import ALWAYS, CAPTION, DRAW, NEVER, by_seed, draw, in_infotext, same

ALL = ["contrast", "guidance", "control", "dilation", "surface", "position", "scale", "avoid"]


@pytest.fixture(scope="module")
def changed(web):
    """Three attempts, the later ones with more and more remedies."""
    return draw(web, {"attempts": 3, "remedies": ALL, "keep_rejected": True})


def test_the_answer_says_what_was_seen(web, changed):
    report = changed.report
    assert [row["accepted"] for row in report["attempts"]] == [False] * 3 and report["returned"] == 3
    for row in report["attempts"]:
        assert sum(row["probabilities"].values()) == pytest.approx(1, abs=1e-3)
        assert row["label"] in row["probabilities"] and row["steps"] == DRAW["steps"] and row["seconds"] > 0
    assert report["settings"]["control_net"].startswith("thin_canny") and report["ended_by"] == "attempts"
    order = [3, 1, 2]  # the one that is given back comes first
    for number, text in zip(order, changed.infotexts):
        said = report["attempts"][number - 1]["probabilities"]["available"]
        assert float(in_infotext(text, "RF available")) == pytest.approx(said, abs=1e-4)
        assert in_infotext(text, "RF attempt") == f"{number} of 3"
        assert in_infotext(text, "RF verdict").startswith("rejected - ")


def test_remedies_answer_the_defect(changed):
    first, second, third = changed.report["attempts"]
    assert first["remedies"] == [] and len(second["remedies"]) >= 2
    assert {each["remedy"] for each in second["remedies"]} <= {each["remedy"] for each in third["remedies"]}


def test_infotext_alone_draws_every_attempt_again(web, changed):
    for seed, drawn in by_seed(changed).items():
        text = changed.infotexts[changed.info["all_seeds"].index(seed)]
        accepting = text.replace(f"RF threshold: {NEVER}", f"RF threshold: {ALWAYS}")
        assert accepting != text
        again = redrawn(web, accepting)
        assert again.info["all_seeds"] == [seed] and same(again.pictures[0], drawn), text
        assert same_but_for_the_verdict(again.infotexts[0], accepting)


def redrawn(web, text: str):
    """What the API draws of an infotext, and of nothing else."""
    more = {"styles": []} if web.host.kind == "Forge" else {}  # with any infotext, its API asks for them
    return web.draw(infotext=text, **more)


def same_but_for_the_verdict(one: str, other: str) -> bool:
    heads = [text.partition(", RF attempt: ")[0] for text in (one, other)]
    return len(heads[0]) < len(one) and sorted(heads[0].split(", ")) == sorted(heads[1].split(", "))


@pytest.mark.parametrize("caption", ['a "red", box: 1', "12x34", ""])
def test_an_accepted_picture_needs_nothing_but_its_infotext(web, caption):
    settings = {"image_scale": 0.6, "control_weight": 0.8, "caption": caption}
    answer = draw(web, {"threshold": ALWAYS, "attempts": 4, **settings})
    assert answer.report["ended_by"] == "accepted" and len(answer.report["attempts"]) == 1
    assert (in_infotext(answer.infotexts[0], "RF caption") or "") == caption
    again = redrawn(web, answer.infotexts[0])
    assert (in_infotext(again.infotexts[0], "RF caption") or "") == caption
    assert same(again.pictures[0], answer.pictures[0]) and again.report["attempts"][0]["accepted"]


def test_the_picture_carries_its_infotext(web, changed):
    picture, text = changed.pictures[0], changed.infotexts[0]
    assert picture.info["parameters"] == text
    assert in_infotext(text, "RF caption") == CAPTION and in_infotext(text, "RF enabled") == "True"
    assert "ControlNet 0" not in text  # pasted, that unit would have no picture


def test_settings_by_their_order(web):
    """As the page gives them."""
    from reliable_ads.sdwebui.settings import DEFAULTS, NAMES

    from .ads import ours

    named = ours()["reliable ads"]["args"][0]
    values = [named.get(name, getattr(DEFAULTS, name)) for name in NAMES]
    values[0] = True
    answer = web.draw(**DRAW, alwayson_scripts={"reliable ads": {"args": values}})
    assert same(answer.pictures[0], draw(web).pictures[0])


def test_a_risk_says_whether_it_is_certified_for_this_painter(web, data):
    painter = msgspec.to_builtins(
        read_painter(MODELS / "thin_sd.safetensors", data / "models" / "ControlNet" / "thin_canny.safetensors")
    )
    numbers = {"threshold": 1e-6, "accepted": 59, "bad": 0, "bound": 0.0496, "confidence": 0.95}
    (data / "models" / "rfnet").mkdir(exist_ok=True)
    change_metadata(
        DEFAULT_WEIGHTS,
        data / "models" / "rfnet" / "certified.safetensors",
        {"risks": {"0.05": {**numbers, "painter": painter}, "0.1": numbers}},
    )
    settings = {"reviewer_name": "certified.safetensors", "threshold": NEVER}
    for accept, prompt, holds, said in (
        ("5 % risk", "a box", True, None),
        ("5 % risk", "a box <lora:none:1>", None, UNKNOWN_PAINTER.replace(",", "")),
        ("10 % risk", "a box", False, NOT_CERTIFIED),
    ):
        answer = draw(web, {**settings, "accept": accept}, prompt=prompt)
        assert answer.report["accepted"] and answer.report["certificate"]["certified_for_this_painter"] is holds
        assert in_infotext(answer.infotexts[0], "RF certificate") == said
        notes = [note.partition(":")[0].replace(",", "") for note in answer.report.get("notes", [])]
        assert notes == ([said] if said else [])
