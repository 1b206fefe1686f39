"""Archives of products: the same number is the same product, and what is no such archive is refused in a sentence."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import Image

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.synthetic.composed.products import UNSEEN, product
from reliable_ads.synthetic.product_files import read_products, write_products

from .composed_examples import SmallAssets, finishes
from .rfnet_examples import bottle


def rows(count=2):
    return [(f"val-bottle-{n:05d}", "bottle", "a green bottle", 0.3, bottle().rgba) for n in range(count)]


def test_an_archive_gives_its_products_back(tmp_path):
    assert write_products(tmp_path / "a.zip", rows()) == 2
    (name, kind, found), _ = read_products(tmp_path / "a.zip")
    assert (name, kind, found.caption) == ("val-bottle-00000", "bottle", "a green bottle")
    solid = bottle().rgba[..., 3] == 1
    assert np.abs(found.rgba - bottle().rgba)[solid].max() <= 0.5 / 255 + 1e-6
    write_products(tmp_path / "b.zip", rows())
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_number_is_a_product_for_ever():
    for split in ("train", "test"):
        (kind, first), (_, again), (_, other) = (
            product(split, number, SmallAssets(), finishes(), 64) for number in (3, 3, 4)
        )
        assert np.array_equal(first.rgba, again.rgba) and first.product_id == again.product_id
        assert first.product_id != other.product_id and max(first.rgba.shape) < 100 and kind


def test_unseen_kinds_take_turns():
    kinds = [product("test", number, SmallAssets(), finishes(), 40)[0] for number in range(len(UNSEEN))]
    assert len(set(kinds)) == len(UNSEEN) == 25 and "sneaker" in kinds and "handbag" not in kinds


def archive(path, line: dict, picture: bytes | None = None, more: str = ""):
    usual = {"product_id": "a", "kind": "box", "caption": "a box", "metres": 0.3, "picture": "a.png"}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("index.jsonl", json.dumps({**usual, **line}) + "\n" + more)
        if picture is not None:
            file.writestr("a.png", picture)
    return path


def png(side: int) -> bytes:
    content = io.BytesIO()
    Image.new("RGBA", (side, side), (200, 0, 0, 0)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    "line, picture, sentence",
    [
        ({"product_id": "../a"}, b"", "is no name for a file"),
        ({"metres": -1}, b"", "metres"),
        ({"kind": 3}, b"", "kind"),
        ({}, None, "lacks the picture"),
        ({}, b"no picture", "is not a picture"),
        ({}, png(2100), "scale it down"),
        ({}, bytes((8 << 20) + 1), "larger than 8 MiB"),
    ],
)
def test_what_is_no_archive_of_products_is_refused(tmp_path, line, picture, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        read_products(archive(tmp_path / "a.zip", line, picture))
    assert "synthetic products" in str(error.value) and len(str(error.value)) < 400


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"no zip")
    for path in (tmp_path / "a.zip", tmp_path / "none.zip", tmp_path):
        with pytest.raises(DataError, match="archive of products"):
            read_products(path)
    twice = archive(
        tmp_path / "twice.zip",
        {},
        png(64),
        json.dumps({"product_id": "a", "kind": "box", "caption": "a box", "metres": 0.3, "picture": "a.png"}),
    )
    with pytest.raises(DataError, match="is in it twice"):
        read_products(twice)
