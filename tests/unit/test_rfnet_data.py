"""Scene shards: what is written is read, broken scenes are counted and skipped, nothing is half-written."""

import errno
import json
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data import shards as data
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
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
    samples = read_shards(write_split(tmp_path / "train"), 128)
    assert len(samples) == 20 and not samples.findings.counts and samples.count_labels() == dict.fromkeys(LABELS, 4)
    for row in range(20):
        written, sample = scene(row, LABELS[row % 5], f"p{row % 7}"), samples.read(row)
        assert {key: sample[key] for key in ("image", "product", "depth")}.keys() == {"image", "product", "depth"}
        assert np.array_equal(sample["product"][..., 3] > 0, np.asarray(written["product"])[..., 3] > 0)
        assert np.array_equal(sample["depth"], np.asarray(written["depth"])) and sample["saliency"] is None
        assert all(sample[key] == written[key] for key in ("id", "caption", "prompt", "cause", "product_id", "room_id"))
        assert LABELS[sample["label"]] == written["label"] and sample["aligned"]


def test_samples_in_memory_are_those_on_disk(tmp_path):
    samples = read_shards(write_split(tmp_path / "train"), 64)
    held = samples.in_memory()
    assert held.arrays["image"].shape == (20, 64, 64, 3) and held.arrays["product"].shape == (20, 64, 64, 4)
    assert held.fingerprint == samples.fingerprint and held.column("id") == samples.column("id")
    for row in range(20):
        one, other = samples.read(row), held.read(row)
        assert one.keys() == other.keys() and all(
            np.array_equal(one[key], other[key]) for key in one if key != "saliency"
        )
    part = held.select([3, 7])
    assert part.column("id") == ["s3", "s7"] and np.array_equal(part.arrays["image"][1], held.arrays["image"][7])
    assert not part.resized(32).arrays and part.resized(32).read(0)["image"].shape == (32, 32, 3)


def test_unsuitable_scenes_are_left_out(tmp_path):
    write_shard(tmp_path / "a.zip", [scene(0, "available", "p"), scene(1, UNSUITABLE, "p")])
    assert read_shards(tmp_path).column("id") == ["s0"]


def test_broken_scenes_are_left_out_and_named(tmp_path):
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
    samples = read_shards(tmp_path).in_memory()
    assert samples.column("id") == [f"s{n}" for n in range(5, 20)] and samples.findings.damaged == 6
    sentences = [sentence for kind in samples.findings.sentences.values() for sentence in kind]
    assert sentences[0].startswith("shard-0.zip:1 ") and any("wonderful" in sentence for sentence in sentences)
    assert len(samples.arrays["image"]) == 15 and np.array_equal(samples.read(0)["image"], samples.arrays["image"][0])


def test_a_broken_shard_does_not_hide_the_others(tmp_path):
    write_split(tmp_path)
    (tmp_path / "cut.zip").write_bytes((tmp_path / "shard-0.zip").read_bytes()[:1000])
    with zipfile.ZipFile(tmp_path / "empty.zip", "w"):
        pass
    samples = read_shards(tmp_path)
    assert len(samples) == 20 and samples.findings.counts == {"unreadable_archives": 2}


def test_a_folder_without_shards_or_scenes_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"holds no .zip shards.*synthetic render"):
        read_shards(tmp_path)
    (tmp_path / "bad.zip").write_text("no zip")
    with pytest.raises(DataError, match=r'no usable sample .*first: "bad.zip": it is no zip'):
        read_shards(tmp_path)


def test_a_full_disk_leaves_no_shard(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(data.zipfile.ZipFile, "writestr", refuse)
    with pytest.raises(OSError, match="No space left"):
        write_shard(tmp_path / "a.zip", [scene(0, "available", "p")])
    assert not list(tmp_path.iterdir())


@settings(deadline=None, max_examples=15)
@given(captions=st.lists(st.text(max_size=60).filter(lambda text: "\0" not in text), min_size=1, max_size=3))
@example(captions=["two\u2028lines\x85"])
def test_any_caption_survives_the_index(tmp_path_factory, captions):
    folder = tmp_path_factory.mktemp("captions")
    write_shard(
        folder / "a.zip", [{**scene(n, "available", "p"), "caption": caption} for n, caption in enumerate(captions)]
    )
    assert read_shards(folder).column("caption") == captions


def test_a_caption_with_a_nul_is_named_and_left_out(tmp_path):
    scenes = [{**scene(n, "available", "p"), "caption": caption} for n, caption in enumerate(("a mug", "a \0mug"))]
    write_shard(tmp_path / "a.zip", scenes)
    samples = read_shards(tmp_path)
    assert samples.column("caption") == ["a mug"] and "a.zip:2" in str(samples.findings)
