"""Opinions that were asked in ComfyUI: their answers, kept beside the pictures, are what `rfnet fuse` fits."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.answers import Answer, answers_in
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import JOURNAL, LabelFolder
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.fusion import parse_fusion
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.training import fuse as fitting
from reliable_ads.rfnet.training.recorded import Recorded
from reliable_ads.rfnet.weights import load_reviewer, read_metadata, save_reviewer

from .opinion_examples import Said, boxed, on_table, shadows
from .rfnet_examples import small_networks

MODEL = "qwen 0123456789abcdef"


@pytest.fixture(scope="module", autouse=True)
def small_pictures():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "SIDE", 64)
        yield


def answer(labels: LabelFolder, key: str, **answers: Answer) -> bool:
    """As RF Label keeps what was said of a picture that is there already."""
    item = labels.read().items[key]
    picture, product = (Image.open(labels.picture(*each)) for each in ((key, "pictures"), (item.product, "products")))
    return labels.add(picture, product, item.product_id, item.caption, answers=answers)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """RF Label's dataset of boxes that stand or float, most of them with an answer that knows which do."""
    labels = shadows(tmp_path_factory.mktemp("recorded") / "labels")
    for number, (key, label) in enumerate(labels.read().labels.items()):
        if number % 10:
            floats = 4.0 if label == "space_mismatch" else -4.0
            answer(labels, key, text_model=Answer(MODEL, {"space_mismatch": floats + number / 100}))
    return labels


@pytest.fixture(scope="module")
def fused(dataset, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fused")
    save_reviewer(folder / "before.safetensors", *small_networks())
    out = folder / "fused.safetensors"
    where = [str(folder / "before.safetensors"), "--data", str(dataset.folder), "--out", str(out)]
    assert main(["fuse", *where, "--recorded", "text_model"]) == 0
    return out


def test_answers_are_read_from_a_report_and_nonsense_is_refused():
    row = {"opinions": {"contact": {}, "text_model": {"space_mismatch": 1.5}}, "models": {"text_model": MODEL}}
    assert answers_in(row) == {"contact": Answer(), "text_model": Answer(MODEL, {"space_mismatch": 1.5})}
    assert answers_in({}) == {}
    for wrong in ({"opinions": {"x": {"space_mismatch": "much"}}}, {"opinions": {"x": {"space_mismatch": 1e9}}}):
        with pytest.raises(ValueError):
            answers_in(wrong)


def test_a_journal_keeps_answers_once_and_labels_stay(tmp_path):
    labels = shadows(tmp_path, 2, products=1)
    key, other = labels.read().labels
    before = labels.read().rows()
    for value in (1.0, 1.0, 2.0):
        assert not answer(labels, key, said=Answer("a", {"space_mismatch": value}))
    assert not answer(labels, key, more=Answer())
    assert (tmp_path / JOURNAL).read_text().count('"answers"') == 3
    with open(tmp_path / JOURNAL, "a") as journal:
        journal.write('\n{"key": "' + other + '", "answers": {"said": {"model": 5}}}')
    found = LabelFolder(tmp_path).read()
    assert found.answers == {key: {"said": Answer("a", {"space_mismatch": 2.0}), "more": Answer()}}
    assert found.rows() == before


def test_what_was_said_in_comfyui_decides_where_it_helps(fused):
    fusion = parse_fusion(read_metadata(fused)["fusion"])
    said = fusion.opinions["text_model"]
    assert said.model == MODEL and said.weight[0] > 0.1 and said.weight[1:] == [0, 0, 0]
    assert fusion.about["n"] == 40
    canvas = boxed()
    picture = on_table(canvas, shadow=True)[0]
    reviewer = load_reviewer(fused)
    same, other = (
        Panel(reviewer, [Said(4.0, model=model, name="text_model")]).review(picture, canvas).rows()[0]
        for model in (MODEL, "another")
    )
    assert same["probabilities"]["space_mismatch"] > other["probabilities"]["space_mismatch"] + 0.1
    assert same["models"] == {"text_model": MODEL} and any("fitted with qwen" in note for note in other["notes"])


def test_distilling_takes_recorded_answers_too(fused, dataset, tmp_path, capsys):
    given = ["distill", str(fused), "--data", str(dataset.folder), "--out", str(tmp_path / "out.safetensors")]
    assert main([*given, "--opinions", "contact"]) == 1 and "after --opinions or --recorded" in capsys.readouterr().err
    main([*given, "--recorded", "text_model", "--epochs", "1", "--json"])
    assert json.loads(capsys.readouterr().out)["opinions"] == {"text_model": MODEL}


def test_answers_of_another_model_do_not_count(tmp_path):
    labels = shadows(tmp_path, 6)
    keys = list(labels.read().labels)
    for key, model in zip(keys, ("a", "a", "b")):
        answer(labels, key, said=Answer(model, {"size_mismatch": 1.0}))
    recorded = Recorded.read(tmp_path, ["said"])
    assert recorded.models == {"said": "a"}
    found = open_samples(tmp_path)
    about = {"labels": found.labels.astype(int), "products": found.product_ids, "samples": np.arange(6)}
    beside = recorded.beside(fitting.Evidence(torch.zeros(6, 5), {}, **about), found)
    assert (~beside.opinions["said"].isnan()).sum(0).tolist() == [0, 2, 0, 0]
    assert beside.notes == ["said: 4 of 6 pictures have no answer of a."]


def test_what_is_lacking_is_said_before_anything_is_asked(dataset, fused, tmp_path, capsys):
    with pytest.raises(DataError, match=r"no answer of server is kept beside the pictures \(kept: text_model\)"):
        Recorded.read(dataset.folder, ["server"])
    with pytest.raises(DataError, match="no dataset of RF Label"):
        Recorded.read(tmp_path, ["text_model"])
    given = ["fuse", str(fused), "--data", str(dataset.folder), "--out", str(tmp_path / "out.safetensors")]
    assert main(given) == 1 and "no opinion is named" in capsys.readouterr().err
    assert main([*given, "--opinions", "contact", "--recorded", "contact"]) == 1
    assert "the opinion contact is given twice" in capsys.readouterr().err
