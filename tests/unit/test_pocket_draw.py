"""Drawings for labelling by eye: they show no verdict, a stopped run goes on, and labels join them in a shard that
training reads.
"""

import json

import pytest
from PIL import Image

from reliable_ads.pocket.family import build_pocket
from reliable_ads.pocket.training.cli import main
from reliable_ads.pocket.training.draw import draw, label
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import read_shards

from .pocket_examples import SMALL
from .rfnet_examples import write_split


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    folder = tmp_path_factory.mktemp("draw")
    write_split(folder / "train", 20)
    return draw(folder / "train", folder / "out", 3, build_pocket(SMALL).eval(), cfg=2.0, steps=1, progress=iter)


def test_a_stopped_drawing_goes_on_with_the_same_pictures(drawn):
    lines = [json.loads(line) for line in (drawn / "drawn.jsonl").read_text().splitlines()]
    assert [line["number"] for line in lines] == [0, 1, 2] and (drawn / "sheet-000.png").exists()
    kept, lost = drawn / lines[0]["image"], drawn / lines[1]["image"]
    content, when = lost.read_bytes(), kept.stat().st_mtime_ns
    lost.unlink()
    draw(drawn.parent / "train", drawn, 3, build_pocket(SMALL).eval(), cfg=2.0, steps=1, progress=iter)
    assert lost.read_bytes() == content and kept.stat().st_mtime_ns == when
    with pytest.raises(DataError, match="4 whole products, 9 were asked for"):
        draw(drawn.parent / "train", drawn, 9, None, cfg=2.0, steps=1, progress=iter)


def test_labels_make_a_shard(drawn, tmp_path, capsys):
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({"0": "available", "1": "unsuitable", "2": "shape_hallucination"}))
    assert (
        main(
            ["label", "--drawn", str(drawn), "--labels", str(labels), "--shard", str(tmp_path / "shards" / "drawn.zip")]
        )
        == 0
    )
    samples = read_shards(tmp_path / "shards", 128)
    assert (
        [samples[row]["label"] for row in range(len(samples))] == [0, 4]
        and samples[0]["depth"] is None
        and samples[0]["aligned"]
    )
    lines = [json.loads(line) for line in (drawn / "drawn.jsonl").read_text().splitlines()]
    with Image.open(drawn / lines[2]["product"]) as product:
        assert samples[1]["product"].shape == (128, 128, 4) and product.mode == "RGBA"
    labels.write_text('{"7": "available"}')
    with pytest.raises(DataError, match='7: "available", but drawings are numbered 0 to 2'):
        label(drawn, labels, tmp_path / "x.zip")
    labels.write_text('["available"]')
    assert main(["label", "--drawn", str(drawn), "--labels", str(labels), "--shard", str(tmp_path / "x.zip")]) == 2
    assert "give a JSON object" in capsys.readouterr().err
