"""Files are written whole or not at all, and a disk that refuses is named with its folder and what is left."""

import errno
import os

import pytest

from reliable_ads.rfnet import files
from reliable_ads.rfnet.files import NotWritten, write_text


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
