"""The opinion "size": what is usual, what a picture shows, and what comes of comparing them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from reliable_ads.catalogue.rows import BadRow, Catalogue
from reliable_ads.rfnet.cli import main as rfnet
from reliable_ads.rfnet.common_sizes import COMMON, usual_size
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.opinions.panel import Panel
from reliable_ads.rfnet.opinions.protocol import DEFECTS, SURE, OpinionError
from reliable_ads.rfnet.opinions.size import Size
from reliable_ads.rfnet.pictures import PictureError
from reliable_ads.rfnet.product import Product, place
from reliable_ads.rfnet.sizes import SizeReader
from reliable_ads.rfnet.training.fit_sizes import Shown, fit_sizes, sizes_of
from reliable_ads.rfnet.training.fuse import size_cm_of
from reliable_ads.rfnet.weights import WeightsError, change_metadata, load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import bottle_rgba, scene, small_networks

DEFECT = DEFECTS.index("size_mismatch")


def canvas(caption="a blue bottle", size_cm=0.0):
    return place(Product.from_arrays(bottle_rgba(), caption=caption, size_cm=size_cm), 64, 96)


class Looked:
    """A review that read these sizes."""

    def __init__(self, metres, sigma=0.4):
        self.shown_size = torch.tensor(metres).log(), sigma


@pytest.fixture(scope="module")
def reading(tmp_path_factory):
    """A small reviewer that reads every product as 80 cm large, about."""
    networks = small_networks()
    reader = SizeReader(weight=[0.001] * networks[0].feature_width, bias=float(np.log(0.8)), sigma=0.4)
    path = tmp_path_factory.mktemp("weights") / "reading.safetensors"
    save_reviewer(path, *networks, {"sizes": reader.to_json()})
    return path


@pytest.mark.parametrize(
    "caption, name",
    [
        ("a red mug with a car on it", "mug"),
        ("A pair of leather shoes", "shoe"),
        ("glass of milk", "glass"),
        ("red_coffee-cup", "coffee cup"),
        ("a t-shirt, striped", "t shirt"),
    ],
)
def test_a_caption_names_its_thing(caption, name):
    assert usual_size(caption).name == name


@pytest.mark.parametrize("caption", ["", "phone case", "a toy car", "set of mugs", "谁知道", "mug tree"])
def test_what_only_resembles_a_known_thing_is_not_known(caption):
    assert usual_size(caption) is None


def test_every_range_is_one():
    assert all(0 < low < high < 2000 for low, high in COMMON.values())


def test_evidence_rises_both_ways_from_the_true_size_and_stays_bounded():
    evidence = Size().evidence_in(canvas(size_cm=20), Looked([0.2, 0.6, 1.8, 2000.0, 0.2 / 3, 0.2 / 9], 0.8))
    right, three, nine, far, third, ninth = evidence[:, DEFECT].tolist()
    assert right < 0 < three < nine < far == SURE
    assert third == pytest.approx(three, abs=1e-5) and ninth == pytest.approx(nine, abs=1e-5)
    assert evidence.isnan().sum() == 3 * 6


def test_it_says_too_large_or_too_small_and_against_what():
    large, right, small = Size().said(canvas(size_cm=20), Looked([1.8, 0.2, 0.02]))
    assert large == "too large: it looks 1.8 m large, and 20 cm is its size" and right == ""
    assert small.startswith("too small: it looks 2 cm")
    (usual,) = Size().said(canvas("a mug"), Looked([1.8]))
    assert usual.endswith("11 cm is usual for mug")


def test_a_usual_size_counts_less_than_a_given_one_and_a_given_one_goes_before():
    usual = Size().evidence_in(canvas("a candle"), Looked([0.6]))[0, DEFECT]
    given = Size().evidence_in(canvas("a candle", size_cm=12.2), Looked([0.6]))[0, DEFECT]
    assert 0 < usual < given
    assert Size().evidence_in(canvas("a candle", size_cm=60), Looked([0.6]))[0, DEFECT] < 0


def test_what_nobody_knows_is_left_out_and_said(reading):
    images = torch.rand(1, 3, 96, 64)
    (row,) = Panel(load_reviewer(reading), [Size()]).review(images, canvas("a thingummy")).rows()
    assert row["opinions"] == {} and "said" not in row
    assert any('nobody knows how large "a thingummy" is: give size_cm' in note for note in row["notes"])


def test_a_reviewer_that_reads_no_sizes_is_said(tmp_path):
    save_reviewer(tmp_path / "blind.safetensors", *small_networks())
    (row,) = (
        Panel(load_reviewer(tmp_path / "blind.safetensors"), [Size()])
        .review(torch.rand(1, 3, 96, 64), canvas(size_cm=20))
        .rows()
    )
    assert any("reads no sizes" in note for note in row["notes"])


def test_rows_say_it_in_words_and_verdicts_stay_without_a_fit(reading):
    images, reviewer = torch.rand(2, 3, 96, 64), load_reviewer(reading)
    before = reviewer.review(images, canvas(size_cm=5))
    after = Panel(reviewer, [Size()]).review(images, canvas(size_cm=5))
    torch.testing.assert_close(after.probabilities, before.probabilities)
    for row in after.rows():
        assert row["said"]["size"].startswith("too large: it looks ") and row["opinions"]["size"]["size_mismatch"] > 0
        assert row["decided_by"] == "rfnet"


def test_a_true_size_changes_nothing_else():
    told, silent = canvas(size_cm=20), canvas()
    assert told.fingerprint == silent.fingerprint and told.product.fingerprint == silent.product.fingerprint
    assert torch.equal(told.rgb, silent.rgb) and torch.equal(told.hint, silent.hint)


@pytest.mark.parametrize("size_cm", [-1, 0.01, 20_000, float("nan"), float("inf")])
def test_what_is_no_size_is_refused(size_cm):
    with pytest.raises(PictureError, match=r"size_cm is .*: give the product's largest side in centimetres"):
        canvas(size_cm=size_cm)


def linear(count=300, products=20, noise=0.1, width=6, reads=1.0) -> Shown:
    """Pictures of right size whose features tell it; reads: how much of it."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, width)) * 3 + 1
    logs = 0.3 * features[:, 1] - 0.2 * features[:, 4] + noise * rng.normal(size=count)
    return Shown(features * reads, logs, logs, [f"p{row % products}" for row in range(count)])


def test_the_reader_finds_what_is_linear_and_its_sigma_is_its_error_on_other_products():
    reader = fit_sizes(linear())
    assert 0.08 < reader.sigma < 0.14 and reader.about["products"] == 20
    fresh = linear(noise=0.0)
    assert np.abs(reader.read(torch.from_numpy(fresh.features)).numpy() - fresh.shown).max() < 0.2


def test_readings_are_stretched_until_right_sizes_read_as_right_in_unseen_pictures():
    unseen = linear(reads=0.5)
    reader = fit_sizes(linear(), unseen)
    read = reader.read(torch.from_numpy(unseen.features)).numpy()
    assert np.polyfit(unseen.true, read, 1) == pytest.approx([1, 0], abs=0.01)
    assert reader.about["slope"] == pytest.approx(0.5, abs=0.05)


def test_too_few_pictures_or_nothing_to_read_is_refused():
    with pytest.raises(DataError, match="99 pictures of 20 products tell how large"):
        fit_sizes(linear(count=99))
    blind = linear()
    blind.features = np.random.default_rng(1).normal(size=blind.features.shape)
    with pytest.raises(DataError, match="hardly follow the sizes"):
        fit_sizes(blind)
    nameless = linear()
    nameless.true[10:] = np.nan
    with pytest.raises(DataError, match="10 pictures tell how large the product is"):
        fit_sizes(nameless)


def test_wrong_sizes_count_as_much_as_all_others():
    shown = linear(count=10)
    assert (shown.weights == 1).all()
    shown.true = shown.shown + np.array([1.0] + [0.0] * 9)
    assert shown.weights.sum() == pytest.approx(10) and shown.weights[0] == pytest.approx(shown.weights[1:].sum())


def sized(number: int, label: str, **sizes) -> dict:
    return {**scene(number, label, f"p{number % 7}"), **sizes}


def test_scenes_without_a_shown_size_show_the_true_one_where_they_are_available(tmp_path):
    rows = [sized(0, "available", metres=0.5), sized(1, "size_mismatch", metres=0.5)]
    rows += [sized(2, "size_mismatch", metres=0.5, shown_metres=2.0), sized(3, "available")]
    write_shard(tmp_path / "s0.zip", rows)
    shown, true = sizes_of(open_samples(tmp_path))
    assert np.exp(shown) == pytest.approx([0.5, np.nan, 2.0, np.nan], nan_ok=True)
    assert np.exp(true) == pytest.approx([0.5, 0.5, 0.5, np.nan], nan_ok=True)


def test_the_command_writes_the_reader_and_leaves_the_networks_alone(tmp_path, capsys, monkeypatch):
    from reliable_ads.rfnet.training import fit_sizes as fitting

    monkeypatch.setattr(
        fitting, "read_shown", lambda *networks, **more: linear(width=small_networks()[0].feature_width)
    )
    weights, out = tmp_path / "w.safetensors", tmp_path / "out.safetensors"
    save_reviewer(weights, *small_networks(), {"threshold": "0.3"})
    write_shard(tmp_path / "s0.zip", [sized(0, "available", metres=0.5)])
    assert rfnet(["sizes", str(weights), "--data", str(tmp_path), "--out", str(out)]) == 0
    assert "300 pictures of 20 products" in capsys.readouterr().out
    before, after = load_file(weights), load_file(out)
    assert before.keys() == after.keys() and all(torch.equal(before[key], after[key]) for key in before)
    assert load_reviewer(out).sizes.sigma > 0 and read_metadata(out)["threshold"] == "0.3"


def test_the_command_refuses_pictures_that_tell_no_size(tmp_path, capsys):
    save_reviewer(tmp_path / "w.safetensors", *small_networks())
    write_shard(tmp_path / "s0.zip", [scene(number, "available", f"p{number}") for number in range(6)])
    assert rfnet(["sizes", str(tmp_path / "w.safetensors"), "--data", str(tmp_path)]) == 1
    assert "no picture tells how large the product looks" in capsys.readouterr().err


@pytest.mark.parametrize(
    "sizes, said",
    [
        ('{"weight": [1.0], "bias": 0.0, "sigma": 0.5}', "reads sizes off 1 features"),
        ('{"weight": [NaN], "bias": 0.0, "sigma": 0.5}', "fit it again with `rfnet sizes`"),
        ('{"weight": [1.0], "bias": 0.0, "sigma": 0}', "fit it again with `rfnet sizes`"),
    ],
)
def test_a_reader_that_does_not_fit_its_network_is_refused(tmp_path, sizes, said):
    save_reviewer(tmp_path / "w.safetensors", *small_networks())
    change_metadata(tmp_path / "w.safetensors", tmp_path / "w.safetensors", {"sizes": sizes})
    with pytest.raises(WeightsError, match=said):
        load_reviewer(tmp_path / "w.safetensors")


def test_a_table_of_labelled_pictures_may_tell_the_true_size(tmp_path):
    for name, picture in (("image", scene(0, "available", "p")["image"]), ("product", scene(0, "x", "p")["product"])):
        picture.save(tmp_path / f"{name}.png")
    (tmp_path / "t.csv").write_text(
        "image,product,label,size_cm\nimage.png,product.png,available,12.5\nimage.png,product.png,available,large\n"
    )
    samples = open_samples(tmp_path / "t.csv")
    assert size_cm_of(samples.read(0)) == pytest.approx(12.5)


def test_a_catalogue_tells_it_and_a_job_keeps_its_key(tmp_path):
    (tmp_path / "a.csv").write_text(
        "picture,caption,prompt,size_cm\na.png,a mug,x,9.5\nb.png,a mug,x,\nc.png,a mug,x,tall\n"
    )
    (tmp_path / "b.csv").write_text("picture,caption,prompt\na.png,a mug,x\n")
    told, silent, bad = Catalogue(tmp_path / "a.csv")
    (plain,) = Catalogue(tmp_path / "b.csv")
    assert (told.size_cm, silent.size_cm) == (9.5, 0) and (told.key, told.seed) == (plain.key, plain.seed)
    assert told.carried == {"size_cm": "9.5"}
    assert isinstance(bad, BadRow) and 'its size_cm is "tall": give centimetres' in bad.reason


def test_review_takes_it_from_its_arguments_and_from_an_index(tmp_path, capsys, reading):
    from PIL import Image

    Image.fromarray(bottle_rgba()).save(tmp_path / "p.png")
    Image.new("RGB", (64, 96), "grey").save(tmp_path / "i.png")
    (tmp_path / "index.jsonl").write_text('{"image": "i.png", "product": "p.png", "size_cm": 5}\n')
    common = ["--weights", str(reading), "--opinions", "size", "--json"]
    given = [str(tmp_path / "i.png"), "--product", str(tmp_path / "p.png"), "--size-cm", "5"]
    for where in (given, ["--index", str(tmp_path / "index.jsonl")]):
        assert rfnet(["review", *where, *common]) == 0
        assert json.loads(capsys.readouterr().out)["said"]["size"].startswith("too large")


def test_nothing_is_asked_of_an_unknown_product():
    with pytest.raises(OpinionError, match="nobody knows how large this product is"):
        Size().evidence_in(canvas(""), Looked([0.3]))


def test_a_dataset_of_labels_keeps_it_for_fusing(tmp_path):
    labels = LabelFolder(tmp_path)
    for number, size_cm in enumerate((12.5, 0.0)):
        about = scene(number, "available", "p")
        labels.add(about["image"], about["product"], f"p{number}", "a box", size_cm=size_cm)
    for key in list(labels.read().items):
        labels.label(key, "available")
    labels.write_table()
    samples = open_samples(labels.table)
    assert sorted(round(size_cm_of(samples.read(row)), 3) for row in range(2)) == [0.0, 12.5]
    assert (tmp_path / "journal.jsonl").read_text().count("size_cm") == 1
