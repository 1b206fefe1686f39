"""A user's own table of pictures: csv and jsonl give the same, faults are counted, cut-outs find their place."""

import json

import numpy as np
import pytest
from PIL import Image

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.data.tables import read_table
from reliable_ads.rfnet.labels import LABELS

from .rfnet_examples import bottle_rgba
from .source_examples import cutout, picture, put


def test_csv_and_jsonl_give_the_same(tmp_path):
    put(
        tmp_path,
        {
            "shots/a.png": picture(1),
            "shots/b.png": picture(2),
            "cut/mug.png": cutout(3),
            "maps/a.png": picture(4, ending="PNG"),
        },
    )
    rows = [
        {
            "image": "shots/a.png",
            "product": "cut/mug.png",
            "caption": "a mug, red",
            "label": "Available",
            "depth": "maps/a.png",
        },
        {"image": "shots\\b.png", "product": "./cut/mug.png", "caption": "", "label": "shape hallucination"},
    ]
    put(
        tmp_path,
        {
            "a.jsonl": "\n".join(map(json.dumps, rows)),
            "a.csv": (
                "\ufeffImage;product;caption;label;depth\r\n"
                + "\r\n".join(
                    ";".join([r["image"], r["product"], r["caption"], r["label"], r.get("depth", "")]) for r in rows
                )
            ),
        },
    )
    tables = [open_samples(tmp_path / name, 8) for name in ("a.jsonl", "a.csv")]
    for samples in tables:
        assert (
            samples.labels.tolist() == [0, 4] and not samples.findings.counts and samples.product_ids == ["cut/mug"] * 2
        )
        first, second = samples.read(0), samples.read(1)
        assert (
            first["caption"] == "a mug, red"
            and first["depth"].shape == (8, 8)
            and second["depth"] is None
            and second["image"][0, 0, 0] == 2
        )
    assert tables[0].fingerprint == tables[1].fingerprint


def test_faults_of_a_table_are_counted_never_fatal(tmp_path):
    put(tmp_path, {"t/a.png": picture(), "t/p.png": cutout(), "secret.png": picture()})
    bad = [
        ("../secret.png", "p.png", "available"),
        (str(tmp_path / "secret.png"), "p.png", "available"),
        ("a.png", "C:p.png", "available"),
        ("a.png", "x/..\\..\\secret.png", "available"),
        ("a.png", "q.png", "available"),
        ("", "p.png", "available"),
        ("a.png", "p.png", "nice"),
        ("a.png", "p.png", "unsuitable"),
        ("a.png", "p.png", "available"),
        ("a.png", "p.png", "0"),
    ]
    put(tmp_path, {"t/t.csv": "image,product,label\n" + "".join(",".join(row) + "\n" for row in bad) + "a.png\n"})
    samples = read_table(tmp_path / "t/t.csv")
    assert len(samples) == 1
    assert samples.findings.counts == {
        "unsafe_paths": 4,
        "missing_products": 1,
        "missing_images": 1,
        "unknown_labels": 2,
        "unsuitable": 1,
        "duplicate_lines": 1,
    }
    assert 'line 2 of "t.csv" names the image "../secret.png": give a path below the table\'s folder' in str(
        samples.findings
    )


def test_a_table_without_its_columns_is_refused(tmp_path):
    put(tmp_path, {"t.csv": "picture,label\na,b\n", "t.jsonl": "[1]\nnull\n{\n"})
    with pytest.raises(DataError, match="has no column image, product"):
        read_table(tmp_path / "t.csv")
    with pytest.raises(DataError, match="malformed lines: 3"):
        read_table(tmp_path / "t.jsonl")
    with pytest.raises(DataError, match=r'u.csv" does not exist'):
        read_table(tmp_path / "u.csv")


def test_a_cutout_of_another_shape_is_placed_as_the_reviewer_places_it(tmp_path):
    image, product = Image.new("RGB", (128, 64)), Image.fromarray(bottle_rgba(), "RGBA")
    image.save(tmp_path / "i.png"), product.save(tmp_path / "p.png")
    put(tmp_path, {"t.csv": "image,product,label\ni.png,p.png,available\n"})
    sample = read_table(tmp_path / "t.csv", 64).read(0)
    rows, columns = np.nonzero(sample["product"][..., 3] > 127)
    assert (
        not sample["aligned"]
        and abs(rows.max() - rows.min() + 1 - 0.72 * 64) <= 2
        and abs((columns.min() + columns.max()) / 2 - 31.5) <= 1
    )


def test_a_larger_cutout_is_aligned_only_where_the_image_shows_it(tmp_path):
    product = Image.fromarray(bottle_rgba(64, 64), "RGBA")
    image = Image.new("RGB", (64, 64), (200, 180, 40))
    image.paste(product, mask=product)
    (
        image.save(tmp_path / "pasted.png"),
        image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).save(tmp_path / "other.png"),
        product.resize((256, 256)).save(tmp_path / "p.png"),
    )
    put(tmp_path, {"t.csv": "image,product,label\npasted.png,p.png,available\nother.png,p.png,available\n"})
    samples = read_table(tmp_path / "t.csv", 64)
    assert [samples.read(row)["aligned"] for row in range(2)] == [True, False]


HEAD = "image,product,label,caption,product_id"


@pytest.mark.parametrize(
    "lines, said",
    [
        ([HEAD, 'a.png,p.png,available,"5 inch mug,p0', "a.png,p.png,available,b,p0"], "quote in line 2 that never"),
        (["image,label,product,label", "a.png,available,p.png,size_mismatch"], "names the column label twice"),
    ],
)
def test_a_table_that_would_be_misread_is_refused(tmp_path, lines, said):
    put(tmp_path, {"a.png": picture(1), "p.png": cutout(1), "t.csv": "\n".join(lines)})
    with pytest.raises(DataError, match=said):
        read_table(tmp_path / "t.csv")


def test_what_a_row_says_goes_to_its_own_column_or_is_named(tmp_path):
    files = {"a.png": picture(1), "p.png": cutout(1)}
    put(tmp_path, {**files, "t.csv": 'image,product,label,"notes, free",caption\na.png,p.png,available,n,a mug\n'})
    assert read_table(tmp_path / "t.csv").column("caption") == ["a mug"]
    put(tmp_path, {"t.csv": f"sep=,\n{HEAD}\na.png,p.png,available,a mug, red,p0\na.png,p.png,available,x,p0,,\n"})
    samples = read_table(tmp_path / "t.csv")
    assert samples.column("caption") == ["x"] and "line 3" in samples.findings.sentences["malformed_lines"][0]
    assert "has 6 values and the table 5 columns" in str(samples.findings)
    put(tmp_path, {"t.jsonl": json.dumps({"Image": "a.png", "product": "p.png", "label": 0, "Caption": "X"})})
    assert read_table(tmp_path / "t.jsonl").column("caption") == ["X"]


@pytest.mark.parametrize("size", ["9,5", "9.5 cm", "-4", "inf", "nan"])
def test_a_size_that_cannot_be_true_is_named(tmp_path, size):
    put(tmp_path, {"a.png": picture(1), "p.png": cutout(1)})
    lines = ["image;product;label;size_cm", f"a.png;p.png;available;{size}", "b.png;p.png;available;9.5"]
    put(tmp_path, {"b.png": picture(2), "t.csv": "\n".join(lines)})
    samples = read_table(tmp_path / "t.csv")
    assert samples.column("metres") == ["", "0.095"] and f'size_cm "{size}"' in str(samples.findings)


def test_a_dataset_of_rf_label_is_read_where_its_folder_is_named(tmp_path):
    labels = LabelFolder(tmp_path)
    product = Image.fromarray(bottle_rgba(), "RGBA")
    labels.add(Image.new("RGB", product.size), product, "p0", "a bottle")
    with pytest.raises(DataError, match="holds no label"):
        open_samples(tmp_path)
    (key,) = labels.read().items
    labels.label(key, "size_mismatch")
    assert open_samples(tmp_path).labels.tolist() == [LABELS.index("size_mismatch")]
