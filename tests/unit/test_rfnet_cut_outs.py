"""A folder of cut-outs: hidden files are passed over, whatever else is left out is named."""

import os
import unicodedata

import pytest
from PIL import Image

from reliable_ads.cyclic.gallery import jobs
from reliable_ads.rfnet.cut_outs import endings, read_folder
from reliable_ads.rfnet.pictures import PictureError


def put(folder, *names, content=b"not looked at"):
    for name in names:
        (folder / name).write_bytes(content)


def test_what_is_left_out_is_named_and_hidden_files_are_not_the_users(tmp_path):
    put(
        tmp_path,
        "a_mug.png",
        "b.PNG",
        "c.webp",
        "d.tiff",
        "e.gif",
        "._a_mug.png",
        ".DS_Store",
        "Thumbs.db",
        "desktop.ini",
        "~$list.xlsx",
    )
    put(tmp_path, "a_mug.txt", content=b"a red  mug\n")
    put(tmp_path, "photo.jpg", "other.JPG", "list.csv", "README")
    for name in ("bottles", "cups.png", ".cache"):
        (tmp_path / name).mkdir()
    found = read_folder(tmp_path)
    assert [(path.name, caption) for path, caption in found.items] == [
        ("a_mug.png", "a red mug"),
        ("b.PNG", "b"),
        ("c.webp", "c"),
        ("d.tiff", "d"),
        ("e.gif", "e"),
    ]
    assert found.left_out == "4 files of other kinds (.jpg, .csv, without an ending), 2 sub-folders (bottles, cups.png)"
    assert found.sentences == [f"Left out: {found.left_out}"]


def test_avif_counts_where_pillow_reads_it_and_is_named_where_it_does_not(tmp_path):
    put(tmp_path, "a.png", "b.avif", "c.heic")
    found = read_folder(tmp_path)
    names = [path.name for path, _ in found.items] + [
        name for name in ("b.avif", "c.heic") if name[1:] in found.endings
    ]
    assert names == ["a.png", "b.avif", "c.heic"] and (".avif" in endings()) == (".avif" not in found.endings)


def test_a_folder_of_sub_folders_says_where_the_products_are(tmp_path):
    for number in range(12):
        (tmp_path / f"season {number:02d}").mkdir()
    with pytest.raises(
        PictureError, match=r"no product pictures .*left out: 12 sub-folders \(season 00, .*season 04, 7 more\)"
    ):
        read_folder(tmp_path)


def test_captions_are_found_in_whatever_unicode_form_their_names_have(tmp_path):
    put(tmp_path, unicodedata.normalize("NFD", "tasse_café.png"))
    put(tmp_path, unicodedata.normalize("NFC", "tasse_café.txt"), content="eine Tasse".encode("utf-16"))
    assert [caption for _, caption in read_folder(tmp_path).items] == ["eine Tasse"]
    (tmp_path / unicodedata.normalize("NFD", "Geschäft")).mkdir()
    put(tmp_path / unicodedata.normalize("NFD", "Geschäft"), "a.png")
    assert len(read_folder(tmp_path / unicodedata.normalize("NFC", "Geschäft")).items) == 1


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_pipes_links_in_circles_and_gone_files_cost_only_themselves(tmp_path):
    Image.new("RGBA", (20, 20)).save(tmp_path / "mug.png")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "mug.txt")
    os.symlink(tmp_path / "loop.png", tmp_path / "loop.png")
    os.symlink(tmp_path / "gone", tmp_path / "gone.png")
    put(tmp_path, os.fsdecode(b"not-utf8-\xff.png"))
    put(tmp_path, os.fsdecode(b"odd-\xff.png"), os.fsdecode(b"odd-\xff.txt"), content="杯".encode("gbk"))
    found = read_folder(tmp_path)
    assert (
        "pipe or a device" in found.broken.pop("mug.png")
        and "not in UTF-8" in found.broken.pop("odd-?.png")
        and not found.broken
    )
    listed, unreadable = jobs(found.items, ["on a table"])
    assert len(listed) == 1 and sorted(unreadable) == ["gone.png", "loop.png", "pipe.png"]


def test_a_file_in_the_folders_place_is_refused(tmp_path):
    put(tmp_path, "a.png")
    with pytest.raises(PictureError, match="is a file: give the path of a folder"):
        read_folder(tmp_path / "a.png")


def test_ten_thousand_files_are_listed_quickly(tmp_path):
    for number in range(10_000):
        os.close(os.open(tmp_path / f"p{number}.png", os.O_CREAT))
    assert len(read_folder(tmp_path).items) == 10_000
