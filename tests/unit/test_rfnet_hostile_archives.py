"""Archives, arrays, journals, galleries and states from outside: bombs, names twice, sizes that lead back, pipes."""

import io
import json
import os
import struct
import tarfile
import warnings
import zipfile

import numpy as np
import pytest

from reliable_ads.cyclic.gallery import Gallery
from reliable_ads.pocket.ldm import PocketFileError
from reliable_ads.pocket.training.training import read_state
from reliable_ads.rfnet.data import archives
from reliable_ads.rfnet.data.archives import ArchiveError, list_tar, list_zip
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.labelling import JOURNAL, LabelFolder
from reliable_ads.rfnet.data.map_files import MapFiles
from reliable_ads.rfnet.data.sources import open_samples, read_shards
from reliable_ads.rfnet.files import write_safetensors
from reliable_ads.rfnet.training.batches import load_roundtrips

from .rfnet_examples import write_split


def clear(error) -> str:
    said = str(error.value)
    assert len(said) < 400 and said.isprintable(), said
    return said


@pytest.fixture
def twice(tmp_path):
    """A split whose shard holds a picture two times."""
    folder = write_split(tmp_path / "train", 5)
    shard = folder / "shard-0.zip"
    with zipfile.ZipFile(shard, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        name = archive.namelist()[0]
        archive.writestr(name, archive.read(name))
    return folder


def test_a_shard_with_a_name_twice_is_not_read(twice):
    with pytest.raises(DataError, match="in it 2 times") as error:
        read_shards(twice)
    clear(error)
    with pytest.raises(DataError):
        open_samples(twice)


def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch):
    assert archives.LARGEST <= 1 << 28
    monkeypatch.setattr(archives, "LARGEST", 1 << 20)
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("index.jsonl", "w") as member:
        member.write(bytes(3 << 20))
    with pytest.raises(ArchiveError, match="more than 1 MiB"):
        list_zip(path).files.read(0)
    with pytest.raises(DataError, match="more than 1 MiB") as error:
        read_shards(tmp_path)
    clear(error)


def test_a_tar_that_leads_back_or_nowhere_ends(tmp_path):
    path = tmp_path / "odd.tar"
    head = tarfile.TarInfo("a.png").tobuf()
    for size in (
        b"\xff" * 12,
        b"\xff" * 4 + struct.pack(">q", -1024),
        b"\x80" + b"\xff" * 11,
        b"\x80\0\0\0" + struct.pack(">q", 1 << 60),
    ):
        odd = bytearray(head)
        odd[124:136] = size
        odd[148:156] = b" " * 8
        odd[148:156] = f"{sum(odd):06o}\0 ".encode()
        path.write_bytes(bytes(head) + bytes(odd) + bytes(4096))
        try:
            files = list_tar(path).files
        except (ArchiveError, OSError):
            continue
        for row in range(len(files)):
            if files.length[row]:
                with pytest.raises(ArchiveError):
                    files.read(row)


def test_a_zip_whose_directory_lies(tmp_path):
    """Every byte of a small zip's directory, turned into others: a listing, or a sentence."""
    good = io.BytesIO()
    with zipfile.ZipFile(good, "w") as archive:
        archive.writestr("a.png", b"1234")
    content, path = good.getvalue(), tmp_path / "odd.zip"
    for place in range(content.index(b"PK\x01\x02"), len(content)):
        for value in (0, 1, 127, 255):
            path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
            try:
                files = list_zip(path).files
                for row in range(len(files)):
                    files.read(row)
            except (ArchiveError, OSError):
                pass


def test_members_that_are_no_files_are_passed_over(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo("../../etc/passwd")
            member.type, member.linkname = kind, "/etc/passwd"
            archive.addfile(member)
        member = tarfile.TarInfo("a.png")
        member.size = 4
        archive.addfile(member, io.BytesIO(b"1234"))
    files = list_tar(tmp_path / "links.tar").files
    assert len(files) == 1 and files.read(0) == b"1234"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x01\x00\xff\xff{",
        np.lib.format.magic(1, 0)
        + struct.pack("<H", 70)
        + b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999,), }\n".ljust(70),
        np.lib.format.magic(1, 0) + struct.pack("<H", 20) + b"__import__('os')   \n",
        b"PK\x05\x06" + bytes(18),
    ],
    ids=["empty", "magic", "long", "huge", "code", "zip"],
)
def test_odd_arrays(tmp_path, content):
    (tmp_path / "odd.npy").write_bytes(content)
    with pytest.raises(DataError, match=r'odd.npy" is no readable .npy') as error:
        load_roundtrips([tmp_path / "odd.npy"], 10, 8)
    clear(error)


def test_pickled_arrays_are_refused(tmp_path):
    np.save(tmp_path / "odd.npy", np.array([{"a": 1}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"no readable .npy"):
        load_roundtrips([tmp_path / "odd.npy"], 10, 8)


def test_pipes_hang_nothing(tmp_path):
    for name in ("array.npy", "maps.json", "list.json", JOURNAL, "state.safetensors", "shard.zip"):
        os.mkfifo(tmp_path / name)
    (tmp_path / "entries").mkdir()
    os.mkfifo(tmp_path / "entries" / "0123456789abcdef.json")
    with pytest.raises(DataError):
        load_roundtrips([tmp_path / "array.npy"], 10, 8)
    with pytest.raises(DataError):
        MapFiles.open(tmp_path)
    with pytest.raises(PocketFileError, match="pipe or a device"):
        read_state(tmp_path / "state.safetensors")
    with pytest.raises(DataError):
        read_shards(tmp_path)
    gallery = Gallery(tmp_path)
    assert not gallery.rows and not gallery.keys
    with pytest.raises(OSError):
        LabelFolder(tmp_path).read()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        "9" * 5000,
        "null",
        '{"entries": [], "entries": [], "broken": {}}',
        '{"entries": [7], "broken": {}}',
        '{"entries": NaN, "broken": {}}',
    ],
    ids=lambda text: text[:12],
)
def test_a_gallery_or_journal_that_is_odd_is_empty(tmp_path, text):
    (tmp_path / "list.json").write_text(text)
    (tmp_path / JOURNAL).write_text(text)
    assert Gallery(tmp_path).keys == [] and not LabelFolder(tmp_path).read().items


@pytest.mark.parametrize(
    "state",
    [
        "",
        "null",
        "[" * 200_000,
        '{"name": "x"}',
        '{"name": "x", "step": -1, "seconds": 0.0, "extra": {}}',
        '{"name": "x", "step": true, "seconds": 0.0, "extra": {}}',
        json.dumps({"name": "x", "step": 1, "seconds": 0.0, "extra": {}, "path": "/etc"}),
    ],
    ids=lambda text: text[:40],
)
def test_a_state_that_is_none(tmp_path, state):
    write_safetensors(tmp_path / "odd.safetensors", {}, {"state": state})
    with pytest.raises(PocketFileError, match=r"is not a training checkpoint .*Delete it to start over") as error:
        read_state(tmp_path / "odd.safetensors")
    clear(error)
