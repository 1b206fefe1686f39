"""Text files as they come from every system are read, or refused in one sentence that says how to save them."""

import os

import pytest

from reliable_ads.rfnet.textfiles import TextError, open_text, read_text, read_toml

TEXT = "a café,\n红色杯子\n"


def test_a_text_is_the_same_in_whatever_way_windows_saved_it(tmp_path):
    path = tmp_path / "text.csv"
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32"):
        path.write_bytes(TEXT.replace("\n", "\r\n").encode(encoding))
        assert read_text(path) == TEXT
        with open_text(path) as file:
            assert [line.strip() for line in file] == TEXT.strip().split("\n")
    path.write_bytes(b"\xfe\xff" + TEXT.encode("utf-16-be"))
    assert read_text(path) == TEXT


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("labels.csv", "红色杯子".encode("gbk"), 'is not in UTF-8, line 1: save it as "CSV UTF-8"'),
        ("caption.txt", "first\ncafé".encode("latin-1"), "is not in UTF-8, line 2: save it as UTF-8"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n\0\0", "is no text"),
        ("half.txt", b"\xff\xfea", "is not in UTF-8"),
        ("large.txt", b"x" * 2048, "larger than 1 KiB"),
    ],
)
def test_what_is_no_text_in_utf_8_is_refused_with_what_to_do(tmp_path, name, content, says):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(TextError) as refused:
        read_text(tmp_path / name, limit=1024)
    assert name in str(refused.value) and says in str(refused.value) and len(str(refused.value)) < 400


def test_a_line_that_is_no_text_is_refused_when_a_long_table_reaches_it(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_bytes(b"a\n" * 10_000 + "杯".encode("gbk") + b"\n")
    with pytest.raises(TextError, match="CSV UTF-8"), open_text(path) as file:
        assert sum(1 for _ in file)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes in folders")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    os.symlink(tmp_path / "loop", tmp_path / "loop")
    for path, says in (
        (tmp_path / "pipe", "pipe or a device"),
        ("/dev/zero", "pipe or a device"),
        (tmp_path, "is a folder"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / "loop", "leads to itself"),
        ("a\0b", "does not exist"),
        ("x" * 5000, "too long"),
    ):
        for read in (read_text, read_toml, lambda path: open_text(path).__enter__()):
            with pytest.raises(TextError, match=says) as refused:
                read(path)
            assert len(str(refused.value)) < 400


def test_windows_paths_in_a_config_are_refused_with_how_to_write_them(tmp_path):
    path = tmp_path / "config.toml"
    for text in (
        r'products = "C:\Users\me\cutouts"',
        r'folder = "D:\tuned\new"',
        r'folder = "D:\new"',
        r"[[loras]]" "\n" r'file = "..\basic.safetensors"',
    ):
        path.write_text(text)
        with pytest.raises(TextError, match="/ or in single quotes"):
            read_toml(path)
    path.write_bytes(
        b'\xef\xbb\xbfproducts = \'D:\\tuned\\new\'\r\nprompt = """two\n\tlines"""\r\nescaped = "a\\\\b caf\\u00e9"\r\n'
    )
    assert read_toml(path) == {"products": "D:\\tuned\\new", "prompt": "two\n\tlines", "escaped": "a\\b café"}


def test_a_broken_config_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "config.toml"
    for text in ("steps = ", "a = " + "[" * 100_000, "a = " + "9" * 5000, "a = 1\na = 2", "x" * (2 << 20)):
        path.write_text(text)
        with pytest.raises(TextError) as refused:
            read_toml(path)
        assert (
            "config.toml" in str(refused.value)
            and len(str(refused.value)) < 400
            and "single quotes" not in str(refused.value)
        )
