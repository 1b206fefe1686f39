"""Scene shards: what is written is read, broken scenes are counted and skipped, nothing is half-written."""

import errno
import json
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data import shards as data
from reliable_ads.rfnet.data.shards import DataError, count_labels, read_scenes, write_shard
from reliable_ads.rfnet.labels import LABELS, MEANING, UNSUITABLE, label_id

from .rfnet_examples import scene, write_split


def rewrite(shard, change):
    """Rewrite a shard's members; change gets and returns {name: bytes}."""
    with zipfile.ZipFile(shard) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(shard, "w") as archive:
        for name, content in change(members).items():
            archive.writestr(name, content)


def test_labels_are_rf1ms_in_order():
    assert [label_id(name) for name in LABELS] == [0, 1, 2, 3, 4] and LABELS[0] == "available"
    assert set(MEANING) == {*LABELS, UNSUITABLE}
    with pytest.raises(ValueError, match='"good" is not a label; use one of available'):
        label_id("good")


def test_what_is_written_is_read(tmp_path):
    scenes = read_scenes(write_split(tmp_path / "train"))
    assert len(scenes) == 20 and not scenes.skipped
    assert (
        scenes.images.shape == (20, 128, 128, 3)
        and scenes.products.shape == (20, 128, 128, 4)
        and scenes.depths.shape == (20, 128, 128)
    )
    assert scenes.images.dtype == np.uint8 and count_labels(scenes) == dict.fromkeys(LABELS, 4)
    assert scenes.captions[0] == "a box" and scenes.product_ids[8] == "p1" and scenes.ids[3] == "s3"
    assert np.array_equal(
        scenes.products[0][..., 3] > 0, np.asarray(scene(0, "available", "p0")["product"])[..., 3] > 0
    )


def test_a_selection_keeps_rows_together(tmp_path):
    scenes = read_scenes(write_split(tmp_path / "train"))
    part = scenes.select([3, 7])
    assert (
        part.ids == ["s3", "s7"] and np.array_equal(part.images[1], scenes.images[7]) and part.labels.tolist() == [3, 2]
    )


def test_limit_and_size(tmp_path):
    scenes = read_scenes(write_split(tmp_path / "train"), limit=6, size=64)
    assert scenes.images.shape == (6, 64, 64, 3)


def test_unsuitable_scenes_are_left_out(tmp_path):
    write_shard(tmp_path / "a.zip", [scene(0, "available", "p"), scene(1, UNSUITABLE, "p")])
    assert read_scenes(tmp_path).ids == ["s0"]


def test_broken_scenes_are_skipped_and_named(tmp_path):
    write_split(tmp_path)

    def change(members):
        lines = [json.loads(line) for line in members["index.jsonl"].splitlines()]
        del lines[1]["label"]
        lines[2]["label"] = "wonderful"
        members[lines[3]["image"]] = members[lines[3]["image"]][:50]
        del members[lines[4]["depth"]]
        text = [json.dumps(line) for line in lines]
        text[0] = '{"id": '
        members["index.jsonl"] = "\r\n".join([*text, "", "[1]"]).encode()
        return members

    rewrite(tmp_path / "shard-0.zip", change)
    scenes = read_scenes(tmp_path)
    assert scenes.ids == [f"s{n}" for n in range(5, 20)] and len(scenes.skipped) == 6
    assert scenes.skipped[0].startswith("shard-0.zip:1: ") and "wonderful" in scenes.skipped[2]


def test_a_broken_shard_does_not_hide_the_others(tmp_path):
    write_split(tmp_path)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "shard-0.zip").read_bytes()[:1000])
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    scenes = read_scenes(tmp_path)
    assert len(scenes) == 20 and len(scenes.skipped) == 2


def test_a_folder_without_shards_or_scenes_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"holds no .zip shards.*synthetic render"):
        read_scenes(tmp_path)
    (tmp_path / "bad.zip").write_text("no zip")
    with pytest.raises(DataError, match=r"no readable scene; the first fault was bad.zip: not a readable zip"):
        read_scenes(tmp_path)


def test_a_full_disk_leaves_no_shard(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data.zipfile.ZipFile, "writestr", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_shard(tmp_path / "a.zip", [scene(0, "available", "p")])
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=15)
@given(captions=st.lists(st.text(max_size=60), min_size=1, max_size=3))
@example(captions=["two\u2028lines\x85"])
def test_any_caption_survives_the_index(tmp_path_factory, captions):
    folder = tmp_path_factory.mktemp("captions")
    write_shard(
        folder / "a.zip", [{**scene(n, "available", "p"), "caption": caption} for n, caption in enumerate(captions)]
    )
    assert read_scenes(folder).captions == captions
