"""Readers of RF1M, of tables and of shards: what lies there is found, what is wrong is counted, products never straddle
a split.
"""

import json
import os
import unicodedata
import zipfile

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data.errors import BrokenSample, DataError
from reliable_ads.rfnet.data.rf1m import LISTED_NUMBERS, read_rf1m
from reliable_ads.rfnet.data.spans import hash_text, read_lines
from reliable_ads.rfnet.data.tables import read_table
from reliable_ads.rfnet.labels import LABELS

from .source_examples import FIVE, cutout, loose, pack, pack_tar, picture, put


@settings(deadline=None, max_examples=40)
@given(
    rows=st.lists(st.tuples(st.text("abc.-_é", min_size=1, max_size=9), st.text("xyz_", max_size=6)), max_size=9),
    separator=st.sampled_from(["\t", " ", "  ", "\t \t"]),
    newline=st.sampled_from(["\n", "\r\n", "\n\n", " \n"]),
    mark=st.sampled_from(["", "\ufeff"]),
    last=st.booleans(),
)
@example(rows=[("a", "x")], separator="\t", newline="\r\n", mark="\ufeff", last=False)
def test_every_spelling_of_a_line_is_read(tmp_path_factory, rows, separator, newline, mark, last):
    path = tmp_path_factory.mktemp("lines") / "label.txt"
    path.write_bytes(
        (mark + newline.join(name + separator + label for name, label in rows) + (newline if last else "")).encode()
    )
    lines = read_lines(path)

    def column(first, last):
        return [lines.buffer[a:b].tobytes().decode() for a, b in zip(first, last)]

    assert list(zip(column(lines.starts, lines.cuts), column(lines.rests, lines.stops))) == rows


def test_lines_know_their_number_and_utf16_is_read(tmp_path):
    (tmp_path / "a.txt").write_bytes("\n\na 1\n \nb\t2\tmore\n".encode("utf-16"))
    lines = read_lines(tmp_path / "a.txt")
    assert (
        lines.numbers.tolist() == [3, 5]
        and lines.line(1) == b"b\t2\tmore"
        and lines.buffer[lines.rests[1] : lines.stops[1]].tobytes() == b"2"
    )


def test_hashes_are_the_same_on_every_machine():
    assert hash_text("0001") == hash_text(b"0001") != hash_text("0002")
    assert f"{hash_text('bottle'):016x}" == "7d05ad4ffc534408"


def test_loose_folders(tmp_path):
    samples = read_rf1m(loose(tmp_path, FIVE), size=8)
    assert samples.count_labels() == dict.fromkeys(LABELS, 1) and len(samples) == 5 and not samples.findings.counts
    sample = samples.read(3)
    assert (
        sample["image"].shape == (8, 8, 3)
        and sample["product"].shape == (8, 8, 4)
        and sample["image"].dtype == sample["product"].dtype == np.uint8
    )
    assert sample["image"][0, 0].tolist() == [3, 50, 200] and sample["product"][4, 4, [0, 3]].tolist() == [3, 255]
    assert (
        sample["label"] == 3
        and sample["aligned"]
        and sample["depth"] is None
        and sample["saliency"] is None
        and sample["caption"] == ""
    )


@pytest.mark.parametrize("pack_as", ["zip", "deflated", "tar"])
def test_archives_give_what_folders_give(tmp_path, pack_as):
    folder = loose(tmp_path / "loose", FIVE)
    packed = put(
        tmp_path / "packed",
        {
            "label.txt": FIVE,
            "caption.txt": "1.png a red mug, for tea\n4.png\tein Stuhl\r\n",
            "Prompts.txt": "1\ton a table",
        },
    )
    for role in ("images", "products"):
        members = {f"{role}/{n}.png": (folder / role / f"{n}.png").read_bytes() for n in range(5)}
        if pack_as == "tar":
            pack_tar(packed / f"{role}.tar", members)
        else:
            pack(packed / f"{role}.zip", members, zipfile.ZIP_DEFLATED if pack_as == "deflated" else zipfile.ZIP_STORED)
    expected, samples = read_rf1m(folder, size=8), read_rf1m(packed, size=8)
    by_label = np.argsort(samples.labels)
    for row, packed_row in zip(np.argsort(expected.labels), by_label):
        assert all(
            np.array_equal(expected.read(row)[key], samples.read(packed_row)[key])
            for key in ("image", "product", "label")
        )
    assert samples.fingerprint == expected.fingerprint
    texts = [(samples.read(row)["caption"], samples.read(row)["prompt"]) for row in by_label]
    assert texts == [("", ""), ("a red mug, for tea", "on a table"), ("", ""), ("", ""), ("ein Stuhl", "")]


def test_faults_of_a_label_file_are_counted_never_fatal(tmp_path):
    text = (
        "\ufeff0.png available\r\n1.png\tSpace Mismatch\r\n1.png\tspace-mismatch\r\n2.png wonderful\r\n\r\n3.png"
        " unsuitable\r\n4.png available\r\n4.png size_mismatch\r\n9.png available\r\nlonely"
    )
    samples = read_rf1m(loose(tmp_path, text))
    assert samples.labels.tolist() == [0, 1]
    assert samples.findings.counts == {
        "unknown_labels": 2,
        "unsuitable": 1,
        "missing_images": 1,
        "duplicate_lines": 1,
        "contradicting_lines": 2,
        "unlabelled_images": 1,
    }
    report = str(samples.findings)
    assert (
        'line 4 of "label.txt" says "wonderful", which is no label: use one of available' in report
        and 'line 10 of "label.txt" has no label' in report
    )
    assert (
        'line 9 of "label.txt" has no image file' in report
        and 'line 2 of "label.txt" is listed 2 times' in report
        and 'line 7 of "label.txt" is listed with different' in report
    )


def test_numbers_mean_what_the_reader_is_told(tmp_path):
    root = loose(tmp_path, "0.png 0\n1.png 1\n2.png 5\n3.png 6\n4.png 4\n")
    samples = read_rf1m(root)
    assert (
        samples.labels.tolist() == [0, 1, 4]
        and samples.findings.counts["unsuitable"] == 1
        and "--label-numbers page" in str(samples.findings)
    )
    assert read_rf1m(root, numbers=LISTED_NUMBERS).labels.tolist() == [0, 3, 4, 2]


def test_numbers_that_may_count_from_one_are_not_guessed_at(tmp_path):
    root = loose(tmp_path, "0.png 1\n1.png 2\n2.png 6\n3.png 5\n4.png 4\n")
    with pytest.raises(DataError, match=r"numbers without a 0.*label_numbers"):
        read_rf1m(root)
    assert read_rf1m(root, numbers=LISTED_NUMBERS).labels.tolist() == [0, 4, 3, 2]
    put(tmp_path, {"t.csv": "image,product,label\nimages/0.png,products/0.png,1\nimages/1.png,products/1.png,5\n"})
    with pytest.raises(DataError, match=r"numbers up to 5 without a 0.*write the labels' names"):
        read_table(tmp_path / "t.csv")
    put(tmp_path, {"t.csv": "image,product,label\nimages/0.png,products/0.png,1\nimages/1.png,products/1.png,2\n"})
    with pytest.raises(DataError, match="numbers up to 2 without a 0"):  # four defects, or available and a defect
        read_table(tmp_path / "t.csv")


def test_texts_in_another_encoding_are_left_out_and_said(tmp_path):
    root = loose(tmp_path, FIVE, 1)
    put(root, {"caption.txt": "0.png 杯子".encode("gbk"), "zzz/label.txt": "1.png available\xe9".encode("latin-1")})
    samples = read_rf1m(root)
    assert (
        samples.labels.tolist() == [0]
        and samples.findings.counts["unreadable_texts"] == 2
        and "save it as UTF-8" in str(samples.findings)
    )
    put(root, {"label.txt": b"\xb0\xa1 available"})
    with pytest.raises(DataError, match="save it as UTF-8"):
        read_rf1m(root)
    put(tmp_path, {"t.csv": "image,product,label,caption\nimages/0.png,products/0.png,available,杯子\n".encode("gbk")})
    with pytest.raises(DataError, match='not in UTF-8: save it as "CSV UTF-8"'):
        read_table(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("ending", "encoding"), [("csv", "utf-16"), ("csv", "utf-8-sig"), ("jsonl", "utf-16"), ("jsonl", "utf-8-sig")]
)
def test_tables_are_read_in_whatever_way_windows_saves_them(tmp_path, ending, encoding):
    root = loose(tmp_path, "", 1)
    row = {"image": "images\\0.png", "product": "products/0.png", "label": "Available", "caption": "红色杯子, gross"}
    text = (
        "\t".join(row) + "\r\n" + "\t".join(row.values()) + "\r\n"
        if ending == "csv"
        else json.dumps(row, ensure_ascii=False) + "\r\n"
    )
    (root / f"t.{ending}").write_bytes(text.encode(encoding))
    assert read_table(root / f"t.{ending}", 8).read(0)["caption"] == "红色杯子, gross"


def test_names_are_found_in_whatever_unicode_form_the_disk_has(tmp_path):
    forms = {form: unicodedata.normalize(form, "Café é") for form in ("NFC", "NFD")}
    for disk, table in (("NFC", "NFD"), ("NFD", "NFC")):
        root = put(
            tmp_path / disk,
            {
                f"{forms[disk]}/images/{forms[disk]}.png": picture(1),
                f"{forms[disk]}/products/{forms[disk]}.png": cutout(1),
                f"{forms[disk]}/label.txt": f"{forms[table]}.png\tavailable\n",
            },
        )
        put(
            root,
            {
                "t.jsonl": json.dumps(
                    {
                        "image": f"{forms[table]}/images/{forms[table]}.png",
                        "product": f"{forms[table]}/products/{forms[table]}.png",
                        "label": "available",
                    }
                )
            },
        )
        assert read_table(root / "t.jsonl", 8).read(0)["image"][0, 0, 0] == 1
        assert read_rf1m(root, 8).read(0)["image"][0, 0, 0] == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_a_pipe_among_the_pictures_is_a_broken_sample(tmp_path):
    root = loose(tmp_path, FIVE, 2)
    os.remove(root / "images/1.png")
    for name in ("images/1.png", "more.zip", "more.tar"):
        os.mkfifo(root / name)
    samples = read_rf1m(root, 8)
    assert [row for row, _ in samples.read_many(range(2))[1]] == [1] and samples.findings.counts[
        "unreadable_archives"
    ] == 2


def test_file_names_may_hold_spaces(tmp_path):
    root = put(
        tmp_path,
        {
            "images/my old mug.jpg": picture(ending="JPEG"),
            "products/my old mug.png": cutout(),
            "label.txt": "my old mug.jpg shape hallucination",
        },
    )
    assert read_rf1m(root).labels.tolist() == [4]


def test_missing_and_broken_pictures(tmp_path):
    root = loose(tmp_path, FIVE)
    os.remove(root / "products/1.png")
    (root / "images/2.png").write_bytes(picture()[:60])
    (root / "products/3.png").write_bytes(b"")
    (root / "images.zip").write_bytes(b"PK\x05\x06 no zip")
    (root / "more.tar.gz").write_bytes(b"")
    samples = read_rf1m(root, size=8)
    assert samples.findings.counts == {"missing_products": 1, "unreadable_archives": 2} and "unpack it" in str(
        samples.findings
    )
    with pytest.raises(BrokenSample, match=r'the image "2.png" is damaged or cut short'):
        samples.read(1)
    read, broken = samples.read_many(range(4))
    assert [sample["label"] for sample in read] == [0, 4] and [row for row, _ in broken] == [1, 2]
    fine = samples.without_broken()
    assert (
        fine.labels.tolist() == [0, 4]
        and fine.findings.counts["broken_files"] == 2
        and "broken_files" not in samples.findings.counts
    )


def test_folders_tell_equal_names_apart(tmp_path):
    root = put(
        tmp_path,
        {
            "images_01/7.png": picture(1),
            "images_02/7.png": picture(2),
            "products/02/7.png": cutout(2),
            "label.txt": "images_01/7.png available\nimages_02/7.png size_mismatch\n7.png available\n",
        },
    )
    pack(root / "transparent_images_01.zip", {"7.png": cutout(1)})
    samples = read_rf1m(root, size=8)
    assert [
        (sample["label"], sample["image"][0, 0, 0], sample["product"][4, 4, 0])
        for sample in map(samples.read, range(2))
    ] == [(0, 1, 1), (2, 2, 2)]
    assert len(samples) == 2 and samples.findings.counts == {"ambiguous_images": 1}


def test_a_package_that_is_not_there_takes_no_other_packages_pictures(tmp_path):
    root = put(
        tmp_path,
        {
            "images_01/7.png": picture(1),
            "images_01/8.png": picture(1),
            "images_02/8.png": picture(2),
            "products/8.png": cutout(),
            "products/7.png": cutout(),
            "label.txt": "01/7.png available\n03/7.png size_mismatch\n01/8.png available\n02/8.png available\n",
            "caption.txt": "7 a mug",
        },
    )
    samples = read_rf1m(root, size=8)
    assert len(samples) == 1 and samples.read(0)["label"] == 0 and samples.read(0)["caption"] == "a mug"
    assert samples.findings.counts == {"missing_images": 1, "ambiguous_products": 2}


def test_an_archive_beside_its_unpacked_folder_counts_once(tmp_path):
    root = loose(tmp_path, FIVE)
    pack(root / "images.zip", {f"{n}.png": picture(99) for n in range(5)})
    samples = read_rf1m(root, size=8)
    assert (
        len(samples) == 5
        and samples.findings.counts == {"duplicate_files": 5}
        and samples.read(4)["image"][0, 0, 0] == 4
    )


def test_one_product_under_many_names(tmp_path):
    root = put(tmp_path / "a", {"label.txt": FIVE})
    pack(root / "images.zip", {f"{n}.png": picture(n) for n in range(5)})
    pack(root / "products.zip", {f"{n}.png": cutout(n % 2) for n in range(5)})
    zipped = read_rf1m(root)
    assert len(zipped.product_keys) == 2 and zipped.product_id(0) == zipped.product_id(4) != zipped.product_id(1)
    plain = put(loose(tmp_path / "b", FIVE), {f"products/{n}.png": cutout(n % 2) for n in range(5)})
    assert len(read_rf1m(plain).product_keys) == 5 and "in a zip, where equal" in str(read_rf1m(plain).findings)
    assert read_rf1m(plain, identify="bytes").product_ids == zipped.product_ids


def test_unusable_roots_say_so(tmp_path):
    with pytest.raises(DataError, match="is no folder"):
        read_rf1m(tmp_path / "nowhere")
    with pytest.raises(DataError, match=r"holds no label.txt"):
        read_rf1m(tmp_path)
    put(tmp_path, {"label.txt": "a.jpg available"})
    with pytest.raises(DataError, match=r"no usable sample .missing images: 1; first: line 1"):
        read_rf1m(tmp_path)
    (tmp_path / "label.txt").write_bytes(b"")
    with pytest.raises(DataError, match="no usable sample"):
        read_rf1m(tmp_path)


@settings(deadline=None, max_examples=40)
@given(noise=st.binary(max_size=200))
@example(noise=b"\xef\xbb\xbf")
@example(noise=b"\xff\xfe")
@example(noise=b"\t\t\n\t available\n/ available\n.png available\n0 /")
def test_any_bytes_beside_a_good_line_do_no_harm(tmp_path_factory, noise):
    root = loose(tmp_path_factory.mktemp("noise"), FIVE, 1)
    put(root, {"zzz/label.txt": noise, "caption.txt": noise})
    assert read_rf1m(root).labels.tolist() == [0]
