"""Drawings for blind labelling: they show no verdict, a stopped run goes on, and labels join them in a shard that
training reads.
"""

import json

import numpy as np
import pytest
from PIL import Image

from reliable_ads.pocket.family import build_pocket
from reliable_ads.pocket.training.cli import main
from reliable_ads.pocket.training.draw import Drawing, chosen, draw
from reliable_ads.pocket.training.label import label, majority
from reliable_ads.pocket.training.label_sheets import CUT_OUT, GREY, PICTURE, cell
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.synthetic.product_files import write_products

from .pocket_examples import SMALL
from .rfnet_examples import bottle

QUICK = Drawing(steps=1, cfg=2.0, size=64)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("draw")
    rows = [(f"val-bottle-{n:05d}", "bottle", "a green bottle", 0.3, bottle().rgba) for n in range(4)]
    write_products(folder / "products.zip", rows)
    return draw(chosen(folder / "products.zip", 3), folder / "out", build_pocket(SMALL).eval(), QUICK)


def pixels(file) -> np.ndarray:
    return np.asarray(Image.open(file), int)


def table(folder):
    return [json.loads(line) for line in (folder / "drawn.jsonl").read_text().splitlines()]


def test_a_stopped_drawing_goes_on_with_the_same_pictures(drawn):
    lines = table(drawn)
    assert [line["number"] for line in lines] == [0, 1, 2] and (drawn / "sheet-000.png").exists()
    assert {line["kind"] for line in lines} == {"bottle"} and len({line["prompt"] for line in lines}) > 1
    kept, lost = drawn / lines[0]["image"], drawn / lines[1]["image"]
    first, when = pixels(lost), kept.stat().st_mtime_ns
    lost.unlink()
    products = drawn.parent / "products.zip"
    draw(chosen(products, 3), drawn, build_pocket(SMALL).eval(), QUICK)
    assert np.abs(pixels(lost) - first).max() <= 1  # alone in its batch: some CPUs then round otherwise
    assert kept.stat().st_mtime_ns == when
    with pytest.raises(DataError, match="holds 3 products from number 1 on, 9 were asked for"):
        chosen(products, 9, first=1)


def test_other_models_or_settings_do_not_draw_into_the_same_folder(drawn):
    products = chosen(drawn.parent / "products.zip", 3)
    with pytest.raises(DataError, match=r"drawn otherwise .*1 steps.*, not .*2 steps.*choose another --out"):
        draw(products, drawn, build_pocket(SMALL).eval(), Drawing(steps=2, cfg=2.0, size=64))
    with pytest.raises(DataError, match="drawn otherwise"):
        draw(products, drawn, build_pocket(SMALL, seed=1).eval(), QUICK)


def test_another_set_begins_with_another_product(drawn, tmp_path):
    draw(chosen(drawn.parent / "products.zip", 2, 2), tmp_path, build_pocket(SMALL).eval(), QUICK, first=2)
    first, second = table(tmp_path)
    assert (first["number"], second["product_id"]) == (2, "val-bottle-00003")
    assert first == table(drawn)[2] and (tmp_path / "sheet-002.png").exists()


def test_a_further_set_joins_the_table_and_another_product_does_not(drawn, tmp_path):
    products, pocket = drawn.parent / "products.zip", build_pocket(SMALL).eval()
    draw(chosen(products, 1), tmp_path, pocket, QUICK)
    draw(chosen(products, 1, 1), tmp_path, pocket, QUICK, first=1)
    assert table(tmp_path) == table(drawn)[:2]
    other = bottle().rgba.copy()
    other[..., 0] = 1 - other[..., 0]
    write_products(tmp_path / "other.zip", [("val-bottle-00000", "bottle", "a green bottle", 0.3, other)])
    with pytest.raises(DataError, match="another product with the number 0"):
        draw(chosen(tmp_path / "other.zip", 1), tmp_path, pocket, QUICK)


def test_a_damaged_picture_is_drawn_again(drawn):
    lost = drawn / table(drawn)[1]["image"]
    first = pixels(lost)
    lost.write_bytes(b"")
    draw(chosen(drawn.parent / "products.zip", 3), drawn, build_pocket(SMALL).eval(), QUICK)
    assert np.abs(pixels(lost) - first).max() <= 1


def test_a_cell_shows_the_picture_and_the_cut_out_alone():
    picture, cut_out = Image.new("RGB", (64, 64), "navy"), Image.new("RGBA", (50, 100), (200, 0, 0, 255))
    shown = np.asarray(cell(picture, cut_out, 12, "a red box"))
    assert (shown[:PICTURE, :PICTURE] == (0, 0, 128)).all()
    below = shown[PICTURE:, :CUT_OUT]
    red, grey = (below == (200, 0, 0)).all(-1), (below == GREY).all(-1)
    assert red[CUT_OUT // 2, CUT_OUT // 2] and red.any(1).sum() > 90 and grey[0, 0] and (red | grey).mean() > 0.95
    assert (shown[PICTURE:, CUT_OUT:] < 100).any()


@pytest.mark.parametrize(
    "said, answer",
    [
        (["available"], ("available", True)),
        (["space_mismatch"], ("space_mismatch", True)),
        (["available", "available", "space_mismatch"], ("available", True)),
        (["available", "space_mismatch", "space_mismatch"], ("space_mismatch", True)),
        (["available", "space_mismatch", "indistinctiveness"], ("space_mismatch", False)),
        (["shape_hallucination", "space_mismatch", "indistinctiveness"], ("shape_hallucination", False)),
        (["space_mismatch", "unsuitable", "unsuitable"], None),
        (["available", "space_mismatch", "unsuitable"], None),
    ],
)
def test_the_majority_decides(said, answer):
    assert majority(said) == answer


def test_labels_make_a_shard(drawn, tmp_path, capsys):
    files = [tmp_path / f"{name}.json" for name in "abc"]
    for file, third in zip(files, ("space_mismatch", "shape_hallucination", "available")):
        file.write_text(json.dumps({"0": "available", "1": "unsuitable", "2": third}))
    shard = tmp_path / "shards" / "drawn.zip"
    assert main(["label", "--drawn", str(drawn), "--labels", *map(str, files), "--shard", str(shard)]) == 0
    said = capsys.readouterr().out
    assert "2 labelled pictures" in said and "1 left out" in said and "labeller 3: 66.7% available" in said
    assert "labellers 1 and 2: 100.0% agree on available or not (by chance 55.6%), 66.7% on the label" in said
    samples = read_shards(shard.parent, 64)
    assert [samples[row]["label"] for row in range(len(samples))] == [0, 1]
    assert samples[0]["depth"] is None and samples[0]["aligned"]
    assert samples[1]["product"].shape == (64, 64, 4)


@pytest.mark.parametrize(
    "texts, sentence",
    [
        (['{"7": "available"}'], '7: "available", but drawings are numbered 0 to 2'),
        (['{"0": "nice"}'], '0: "nice", but'),
        (['["available"]'], "give a JSON object"),
        (["{}"], "holds no label"),
        (['{"0": "available", "00": "size_mismatch"}'], "says a number twice"),
        (['{"0": "unsuitable"}'], "none of 1 pictures is left"),
        (['{"0": "available"}'] * 2, "2 files of labels"),
        (
            ['{"0": "available"}', '{"0": "available", "1": "space_mismatch"}', '{"0": "space_mismatch"}'],
            "no label for number 1",
        ),
    ],
)
def test_labels_that_fit_nothing_are_refused(drawn, tmp_path, texts, sentence):
    files = [tmp_path / f"{n}.json" for n in range(len(texts))]
    for file, text in zip(files, texts):
        file.write_text(text)
    with pytest.raises(DataError, match=sentence):
        label(drawn, files, tmp_path / "x.zip")
    assert not (tmp_path / "x.zip").exists()


def test_a_table_that_leads_out_of_its_folder_is_refused(drawn, tmp_path):
    lines = table(drawn)
    lines[0]["image"] = "pictures/../../secret.png"
    (tmp_path / "drawn.jsonl").write_text(json.dumps(lines[0]))
    (tmp_path / "a.json").write_text('{"0": "available"}')
    with pytest.raises(DataError, match="own folder"):
        label(tmp_path, [tmp_path / "a.json"], tmp_path / "x.zip")
