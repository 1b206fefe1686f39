"""Labels by hand on disk: each picture once, the last label holds, and neither a crash at any byte nor a full disk
costs one that was kept.
"""

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.journal import EACH, ENOUGH
from reliable_ads.rfnet.data.labelling import JOURNAL, LabelFolder
from reliable_ads.rfnet.data.tables import read_table
from reliable_ads.rfnet.labels import LABELS

from .rfnet_examples import bottle_rgba

PRODUCT = Image.fromarray(bottle_rgba(), "RGBA")


def picture(number: int) -> Image.Image:
    return Image.new("RGB", PRODUCT.size, (number % 256, number // 256, 7))


def filled(folder, count=4, **about) -> LabelFolder:
    labels = LabelFolder(folder)
    for number in range(count):
        assert labels.add(
            picture(number),
            PRODUCT,
            **{"product_id": f"p{number % 2}", "caption": "a bottle", "prompt": "on a table", **about},
        )
    return labels


def test_a_picture_comes_once(tmp_path):
    labels = filled(tmp_path)
    assert not labels.add(picture(2), PRODUCT, "p0", "a bottle")
    assert labels.add(picture(2), PRODUCT, "p0", "a flask")  # the reviewer reads the caption
    other = PRODUCT.copy()
    other.putpixel((20, 40), (1, 2, 3, 255))
    assert labels.add(picture(2), other, "p0", "a bottle")
    assert (
        len(labels.read().items) == 6
        and len(list((tmp_path / "pictures").iterdir())) == 6
        and len(list((tmp_path / "products").iterdir())) == 3
    )


def test_the_pictures_are_kept_as_they_were(tmp_path):
    labels = filled(tmp_path, 3)
    items = labels.read().items.values()
    kept = {Image.open(labels.picture(item.key)).tobytes() for item in items}
    assert kept == {picture(number).tobytes() for number in range(3)}
    assert {Image.open(labels.picture(item.product, "products")).tobytes() for item in items} == {PRODUCT.tobytes()}


def test_what_training_reads(tmp_path):
    labels = filled(tmp_path, 4, caption='a "bottle", große\n', prompt="{x}\u2028on a table\ud800")
    keys = labels.read().waiting
    for key, label in zip(keys, ("size_mismatch", "available", "available")):
        labels.label(key, label)
    samples = read_table(labels.table, 32)
    assert not samples.findings.counts and len(samples) == 3
    assert samples.count_labels() == {**dict.fromkeys(LABELS, 0), "available": 2, "size_mismatch": 1}
    sample = samples.read(0)
    assert (
        sample["aligned"]
        and sample["caption"] == 'a "bottle", große'
        and sample["prompt"] == "{x} on a table?"
        and sample["product_id"] in ("p0", "p1")
    )


def test_the_last_label_holds_and_counts_once(tmp_path):
    labels = filled(tmp_path)
    key = labels.read().waiting[0]
    labels.label(key, "available")
    now = labels.label(key, "shape_hallucination")
    assert now.counts["shape_hallucination"] == 1 and sum(now.counts.values()) == 1 and len(now.waiting) == 3
    size = (tmp_path / JOURNAL).stat().st_size
    labels.label(key, "shape_hallucination")  # a double click
    assert (tmp_path / JOURNAL).stat().st_size == size
    assert len(read_table(labels.table)) == 1


def test_a_label_taken_back(tmp_path):
    labels = filled(tmp_path)
    first, second, *_ = labels.read().waiting
    labels.label(first, "available")
    labels.label(second, "available")
    assert labels.read().last == second
    now = labels.label(second, None)
    assert now.last == first and second in now.waiting and labels.label(second, None) == now
    assert [row["image"] for row in now.rows()] == [f"pictures/{first}.png"]


def test_waiting_pictures_come_round(tmp_path):
    contents = filled(tmp_path).read()
    first, second, third, last = contents.waiting
    assert [contents.next(key).key for key in ("", first, last, second[:-1] + "g")] == [first, second, first, third]
    assert contents.next(at=second).key == second
    contents.labels[second] = "available"
    assert contents.next(at=second).key == third
    contents.labels |= dict.fromkeys(contents.waiting, "available")
    assert contents.next() is None


def test_a_deleted_picture_is_neither_shown_nor_counted_and_can_come_back(tmp_path):
    labels = filled(tmp_path, 2)
    first, second = labels.read().waiting
    labels.label(first, "available")
    labels.picture(first).unlink()
    assert labels.read().items.keys() == {second} and not labels.read().labels
    with pytest.raises(KeyError):
        labels.label(first, "size_mismatch")
    for number in range(2):
        labels.add(picture(number), PRODUCT, f"p{number % 2}", "a bottle")
    assert labels.read().labels == {first: "available"}


def test_what_is_missing_is_said(tmp_path):
    labels = filled(tmp_path, 6)
    for key in labels.read().waiting[:5]:
        labels.label(key, "available")
    words = str(labels.read())
    assert (
        words.startswith("5 of 6 pictures are labelled, 1 wait.")
        and f"{ENOUGH - 5} more labels" in words
        and f"{EACH} of size_mismatch" in words
    )
    assert "of available" not in words


def test_nothing_labelled_makes_no_table(tmp_path):
    with pytest.raises(DataError, match="holds no label: label some pictures"):
        filled(tmp_path).write_table()
    assert LabelFolder(tmp_path / "none").read().next() is None and not (tmp_path / "none").exists()


def test_words_that_are_no_label(tmp_path):
    labels = filled(tmp_path)
    with pytest.raises(ValueError, match='"great" is not a label'):
        labels.label(labels.read().waiting[0], "great")
    assert not labels.read().labels


@pytest.mark.parametrize(
    "key", ["", "..", "../journal", "0123456789ABCDEF", "0123456789abcdef/..", "0123456789abcdef\n", "0" * 15]
)
def test_only_keys_lead_to_files(tmp_path, key):
    labels = filled(tmp_path)
    assert labels.picture(key) is None and labels.picture(labels.read().waiting[0], "..") is None


def test_verdicts_come_back_and_wrong_ones_do_not(tmp_path):
    labels = LabelFolder(tmp_path)
    for number, verdict in enumerate(
        (
            {"label": "available", "probability": 0.75},
            {"label": "available", "probability": float("nan")},
            {"label": "<b>", "probability": 1},
        )
    ):
        labels.add(picture(number), PRODUCT, "p", verdict=verdict)
    found = [item.verdict for item in labels.read().items.values()]
    assert found == [{"label": "available", "probability": 0.75}, None, None]


def test_a_full_disk_keeps_what_was_kept(tmp_path, monkeypatch):
    labels = filled(tmp_path)
    first, second, *_ = labels.read().waiting
    labels.label(first, "available")
    (tmp_path / JOURNAL).rename(tmp_path / "aside")
    (tmp_path / JOURNAL).symlink_to("/dev/full")
    try:
        with pytest.raises(OSError):
            labels._append({"key": second, "label": "available", "blind": True})
    finally:
        (tmp_path / JOURNAL).unlink()
        (tmp_path / "aside").rename(tmp_path / JOURNAL)
    assert labels.read().labels == {first: "available"}


def test_many_at_once(tmp_path):
    """Threads of one server: 200 labels, each picture from two of them, while more pictures come."""
    labels = filled(tmp_path, 100)
    keys, start = labels.read().waiting, threading.Barrier(4)

    def tab(label):
        start.wait(30)
        for key in keys:
            labels.label(key, label)

    def run():
        start.wait(30)
        filled(tmp_path, 20, caption="another")

    with ThreadPoolExecutor(4) as pool:
        for done in [
            pool.submit(tab, "available"),
            pool.submit(tab, "size_mismatch"),
            pool.submit(run),
            pool.submit(start.wait, 30),
        ]:
            done.result()
    now = labels.read()
    assert now.labels.keys() == set(keys) and len(now.items) == 120
    assert {row["image"]: row["label"] for row in map(json.loads, labels.table.read_text().splitlines())} == {
        f"pictures/{key}.png": now.labels[key] for key in keys
    }


STEPS = st.lists(
    st.tuples(st.integers(0, 3), st.sampled_from([*LABELS, None]), st.none() | st.integers(0, 200)), max_size=12
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, junk=st.binary(max_size=60))
def test_a_crash_at_any_byte_costs_at_most_the_label_that_was_being_written(tmp_path_factory, steps, junk):
    """steps: (picture, label or undo, None or how many bytes of the line were on the disk when the server was
    killed).
    """
    labels = filled(tmp_path_factory.mktemp("labels"))
    journal, keys, holds = labels.folder / JOURNAL, labels.read().waiting, {}
    for number, label, cut in steps:
        before = journal.stat().st_size
        labels.label(keys[number], label)
        written = journal.stat().st_size - before
        if cut is not None and cut < written:
            with open(journal, "rb+") as file:
                file.truncate(before + cut)
        else:
            holds[keys[number]] = label
        expected = {key: label for key, label in holds.items() if label}
        assert LabelFolder(labels.folder).read().labels == expected
    with open(journal, "ab") as file:
        file.write(b"\n\x00" + junk)  # what a lost file system block leaves
    labels.label(keys[0], None)
    labels.label(keys[0], "available")
    now = labels.read()
    assert (
        now.labels == {**{key: label for key, label in holds.items() if label}, keys[0]: "available"}
        and len(now.items) == 4
    )
    assert labels.write_table() and len(read_table(labels.table)) == len(now.labels)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.integers(0, 400))
def test_a_crash_while_a_picture_is_added_lets_it_be_added_again(tmp_path_factory, cut):
    labels = filled(tmp_path_factory.mktemp("labels"), 1)
    size = (labels.folder / JOURNAL).stat().st_size
    labels.add(picture(9), PRODUCT, "p", "a bottle")
    whole = (labels.folder / JOURNAL).stat().st_size
    with open(labels.folder / JOURNAL, "rb+") as file:
        file.truncate(min(size + cut, whole))
    assert len(labels.read().items) == (2 if size + cut >= whole else 1)
    labels.add(picture(9), PRODUCT, "p", "a bottle")
    labels.add(picture(10), PRODUCT, "p", "a bottle")
    assert len(labels.read().items) == 3


def test_a_journal_that_is_no_file_is_named(tmp_path):
    (tmp_path / JOURNAL).mkdir()
    with pytest.raises(OSError, match=f'{JOURNAL}" is a folder'):
        LabelFolder(tmp_path).read()


def test_what_no_line_of_the_journal_holds_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(DataError, match=r"caption and prompt have 11000 and 0 characters.*shorten"):
        LabelFolder(tmp_path / "d").add(picture(0), PRODUCT, "p0", "杯" * 11_000)
    assert not (tmp_path / "d").exists()


def test_spaces_around_a_caption_make_no_other_picture(tmp_path):
    labels = filled(tmp_path, 1)
    assert not labels.add(picture(0), PRODUCT, "p0", " a  bottle ")


def test_a_table_that_was_refused_is_written_when_the_label_is_given_again(tmp_path):
    labels = filled(tmp_path, 1)
    (key,) = labels.read().items
    labels.table.mkdir()
    with pytest.raises(OSError, match="the label is kept"):
        labels.label(key, "available")
    labels.table.rmdir()
    labels.label(key, "available")
    assert labels.table.is_file() and len((tmp_path / JOURNAL).read_text().split("\n")) == 3


def test_one_name_in_two_forms_of_its_letters_is_one_labeller(tmp_path):
    labels = filled(tmp_path, 1)
    (key,) = labels.read().items
    labels.label(key, "available", by="Jos\u00e9")
    contents = labels.label(key, "size_mismatch", by="Jose\u0301")
    assert list(contents.said.values()) == ["size_mismatch"] == list(labels.read().said.values())
