"""Files are written whole or not at all, and a disk that refuses is named with its folder and what is left."""

import errno
import os

import pytest
from PIL import Image

from reliable_ads.rfnet import files
from reliable_ads.rfnet.files import NotWritten, whole, write_picture, write_text


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_with_its_folder_and_what_is_left(tmp_path, monkeypatch):
    kept, new = tmp_path / "kept.json", tmp_path / "new.json"
    write_text(kept, "before")
    monkeypatch.setattr(files.os, "fsync", full)
    for path, left in ((kept, '"kept.json" is as it was before'), (new, '"new.json" was not written')):
        with pytest.raises(NotWritten) as refused:
            write_text(path, "after")
        said = str(refused.value)
        assert (
            str(tmp_path) in said
            and "No space left on device" in said
            and "free some disk space" in said
            and said.endswith(f"{left}.")
            and len(said) < 400
        )
        assert refused.value.errno == errno.ENOSPC and refused.value.strerror == os.strerror(errno.ENOSPC)
    assert kept.read_text() == "before" and os.listdir(tmp_path) == ["kept.json"]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(
        NotWritten, match=r'the folder ".*file/below" can.t be written .*choose another folder.*"a.txt" was not written'
    ):
        write_text(tmp_path / "file" / "below" / "a.txt", "")


def test_what_goes_wrong_while_writing_is_no_matter_of_the_disk(tmp_path):
    with pytest.raises(ZeroDivisionError), files.whole(tmp_path / "a.txt") as partial:
        partial.write_text(str(1 / 0))
    assert not list(tmp_path.iterdir())


def test_what_is_wrong_with_a_file_that_is_read_meanwhile_is_not_the_written_ones_fault(tmp_path):
    with pytest.raises(FileNotFoundError) as said, whole(tmp_path / "a.zip"):
        (tmp_path / "elsewhere" / "b.png").read_bytes()
    assert not isinstance(said.value, NotWritten) and not list(tmp_path.glob("a.zip*"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotWritten, match="a file lies where a folder should be"):
        write_text(tmp_path / "file" / "a.txt", "")


@pytest.mark.parametrize("ending", ["png", "jpg", "jpeg", "webp"])
def test_a_picture_is_written_in_the_format_of_its_ending(tmp_path, ending):
    write_picture(tmp_path / f"a.{ending}", Image.new("RGB", (8, 8)))
    with Image.open(tmp_path / f"a.{ending}") as picture:
        assert picture.size == (8, 8)
