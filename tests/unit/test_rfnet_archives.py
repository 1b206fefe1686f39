"""zip and tar files: listed as the standard library lists them, read at any place, refused where they are damaged."""

import zipfile

from hypothesis import given, settings
from hypothesis import strategies as st

from reliable_ads.rfnet.data.archives import ArchiveError, list_tar, list_zip

from .source_examples import pack, pack_tar


def test_a_zip_is_listed_as_the_standard_library_lists_it(tmp_path):
    members = {f"a/{n}.bin": bytes([n]) * n for n in range(40)} | {"PK\x01\x02.png": b"PK\x01\x02", "é.png": b"x"}
    pack(tmp_path / "a.zip", members, zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path / "a.zip", "a") as archive:
        archive.comment = b"PK\x01\x02 a comment"
        with archive.open(zipfile.ZipInfo("wide.bin"), "w", force_zip64=True) as file:
            file.write(b"wide")
    (tmp_path / "b.zip").write_bytes(
        b"#!/bin/sh\n" + (tmp_path / "a.zip").read_bytes()
    )  # as self-extracting archives are
    for name in ("a.zip", "b.zip"):
        listing = list_zip(tmp_path / name)
        found = {
            listing.buffer[a:b].tobytes().decode(): listing.files.read(row)
            for row, (a, b) in enumerate(zip(listing.starts, listing.ends))
        }
        assert found == members | {"wide.bin": b"wide"}


def test_zip64_places_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 100)
    monkeypatch.setattr(zipfile, "ZIP_FILECOUNT_LIMIT", 3)
    pack(tmp_path / "a.zip", {f"{n}.png": b"%d" % n * 200 for n in range(6)})
    files = list_zip(tmp_path / "a.zip").files
    assert [files.read(row) for row in range(6)] == [b"%d" % n * 200 for n in range(6)] and files.name(
        2
    ) == "a.zip:2.png"


@settings(deadline=None, max_examples=40)
@given(data=st.data())
def test_a_damaged_archive_is_an_archive_error(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damage")
    pack(folder / "a.zip", {"a.png": b"hello", "b.png": b"world" * 9}, zipfile.ZIP_DEFLATED)
    pack_tar(folder / "a.tar", {"a.png": b"hello", "b.png": b"world"})
    for path, lister in ((folder / "a.zip", list_zip), (folder / "a.tar", list_tar)):
        content = bytearray(path.read_bytes())
        content = content[: data.draw(st.integers(0, len(content)))]
        for place in data.draw(st.lists(st.integers(0, max(0, len(content) - 1)), max_size=4)) if content else ():
            content[place] ^= 0xFF
        path.write_bytes(content)
        try:
            files = lister(path).files
            for row in range(len(files)):
                files.name(row)
                files.read(row)
        except (ArchiveError, OSError):
            pass
