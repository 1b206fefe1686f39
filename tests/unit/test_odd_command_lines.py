"""Odd command lines of rfnet, rfft, pocket and dev.py end in one short sentence and exit status 1 or 2, before any long
work.
"""

import errno
import os
from pathlib import Path

import pytest

from reliable_ads.devtools.arguments import parse
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.pocket.training.cli import main as pocket
from reliable_ads.rfft.cli import main as rfft
from reliable_ads.rfnet.cli import main as rfnet
from reliable_ads.rfnet.commands import guarded, sentence
from reliable_ads.rfnet.files import NotWritten, check_writable
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS
from reliable_ads.synthetic.cli import main as synthetic

MAINS = {"rfnet": rfnet, "rfft": rfft, "pocket": pocket, "synthetic": synthetic, "dev.py": parse}
LONG = "x" * 5000
REVIEW = ("review", "x.png", "--product", "y.png")
MAPS = ("maps", "--data", "t.csv", "--out", "m")
CALIBRATE = ("calibrate", "w", "--data", "t.csv")
TUNE = ("estimate", "rf.toml", "--set")
VAE = ("train", "vae", "--data", "dir", "--work", "w")
PROFILE = ("profile", "--products", "dir", "--out", "x")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dir").mkdir()
    (tmp_path / "file").write_text("x")
    (tmp_path / "c.toml").write_text('train = ["file"]\nval = ["file"]\nout = "o.safetensors"\n')
    (tmp_path / "rf.toml").write_text(
        'checkpoint = "a"\ncontrolnet = "b"\nproducts = "dir"\nprompts = "file"\nfolder = "out"\nname = "x"\n'
    )
    (tmp_path / "u16.toml").write_bytes("speed = 1\n".encode("utf-16"))
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    (tmp_path / "t.csv").write_text("image,product,label\nfifo.png,fifo.png,available\n")
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "fifo")
        os.mkfifo(tmp_path / "fifo.png")


def said(program: str, arguments, capsys) -> str:
    """What a command line prints last, its exit status checked."""
    try:
        status = MAINS[program](list(map(str, arguments)))
    except SystemExit as stop:
        status = stop.code
    assert status in (1, 2)
    error = capsys.readouterr().err.strip().splitlines()
    assert not any("Traceback" in line for line in error)
    return error[-1]


@pytest.mark.parametrize(
    "program, arguments, words",
    [
        ("rfnet", (LONG,), "invalid choice"),
        ("rfnet", (*REVIEW, "--threads", "0"), "--threads: 0 is not a whole number from 1"),
        ("rfnet", (*REVIEW, "--threshold", "nan"), "--threshold: nan is not a number from 0 to 1"),
        ("rfnet", (*REVIEW, "--threshold=2"), "--threshold: 2"),
        ("rfnet", (*REVIEW, "--image-scale", "1e400"), "--image-scale"),
        ("rfnet", (*REVIEW, "--weights", ""), "--weights: an empty path"),
        ("rfnet", (*MAPS, "--size", "0"), "--size: 0"),
        ("rfnet", (*MAPS, "--size", "1000000"), "--size: 1000000 is not a whole number from 16 to 1024"),
        ("rfnet", (*MAPS, "--workers=-1"), "--workers: -1"),
        ("rfnet", (*CALIBRATE, "--risk", "nan"), "--risk: nan"),
        ("rfnet", (*CALIBRATE, "--seed", "9" * 5000), "--seed: 999"),
        ("rfnet", (*CALIBRATE, "--seed", "\u0663"), "--seed"),
        ("rfnet", ("evaluate", "--data", "t.csv", "--limit=-5"), "--limit: -5"),
        ("rfnet", ("evaluate", "--data", "t.csv", "--limit", "1_0"), "--limit: 1_0"),
        ("rfnet", ("blend", "a", "b", "--out", "c", "--share", "2"), "--share: 2"),
        ("rfnet", ("blend", "a", "b", "--out", "dir"), '"dir" is a folder: give the name of a file'),
        ("rfnet", ("blend", "a", "b", "--out", "file/c"), '"file" can\'t be written'),
        ("rfnet", ("blend", "a", "b", "--out", LONG), "choose a shorter name"),
        ("rfnet", (*MAPS,), "fifo.png"),
        ("rfnet", ("train", "u16.toml"), "unknown keys: speed. Known are "),
        ("rfnet", ("train", "deep.toml"), 'deep.toml" is no TOML'),
        ("rfnet", ("train", "dir"), '"dir" is a folder: give the path of a file'),
        ("rfnet", ("train", "fifo"), '"fifo" is a pipe or a device'),
        ("rfnet", ("train", "/dev/null"), '"/dev/null" is a pipe or a device'),
        ("rfnet", ("train", LONG), "too long for a name"),
        ("rfnet", ("train", "c.toml"), 'train: "file" is no data'),
        ("rfnet", ("train", "c.toml", "--set", "batch=0"), "batch is 0: it must be a whole number of at least 1"),
        ("rfnet", ("train", "c.toml", "--set", "seed=" + "9" * 5000), "seed "),
        ("rfnet", ("train", "c.toml", "--set", "x=" + "[" * 100_000), "no key x to set"),
        ("rfnet", ("train", "c.toml", "--set", "="), "write key=value"),
        ("rfnet", ("train", "c.toml", "--set", "train=7"), "train is 7"),
        (
            "rfnet",
            ("train", "c.toml", "--set", "architecture.heads='x'"),
            'architecture: heads: expected int, got str, found "x"',
        ),
        ("rfnet", ("review", "--index", "dir"), 'the index "dir" is a folder'),
        ("rfnet", ("review", "--index", "fifo"), 'the index "fifo" is a pipe'),
        ("rfft", (*TUNE, "products="), "products is empty: give a path"),
        ("rfft", (*TUNE, "size=1000000"), "size is 1000000"),
        ("rfft", (*TUNE, "batch=1000000000"), "batch is 1000000000: it must be a whole number of at most 1000"),
        ("rfft", (*TUNE, "loras=[{file=7}]"), 'write loras = [{file = "style.safetensors"'),
        ("rfft", (*TUNE, "family=x"), 'family is "x"'),
        ("rfft", (*TUNE, "reviewer=dir"), "dir"),
        ("rfft", (*TUNE, f"checkpoint={CONTROLNET}", "force=1"), "force is 1: it must be true or false"),
        ("rfft", ("merge", CHECKPOINT, CONTROLNET, "--out", "m.safetensors"), CHECKPOINT.name),
        ("rfft", ("merge", "a", "b", "--out", "c", "--strength", "nan"), "--strength: nan"),
        ("pocket", (*VAE, "--batch", "0"), "--batch: 0"),
        ("pocket", (*VAE, "--minutes", "nan"), "--minutes: nan"),
        ("pocket", (*VAE, "--lr=inf"), "--lr: inf"),
        (
            "pocket",
            ("train", "diffusion", "--data", "a", "--work", "w", "--shares", "x"),
            "x is no share: give NAME=SHARE",
        ),
        ("synthetic", ("compose", "--data", "d", "--assets", "dir", "--workers", "0"), "--workers: 0"),
        ("pocket", ("draw", "--products", "gone.zip", "--out", "o"), '"gone.zip" does not exist'),
        ("pocket", ("label", "--drawn", "dir", "--labels", "fifo", "--shard", "s.zip"), '"fifo" is a pipe'),
        ("pocket", ("label", "--drawn", "dir", "--labels", "deep.toml", "--shard", "s"), "deep.toml"),
        ("dev.py", ("demo", "--seed", "\u00b2"), "--seed"),
        ("dev.py", ("demo", "--seed=--5"), "--seed: --5"),
        ("dev.py", ("demo", "--product", "fifo"), "there is no file fifo"),
        ("dev.py", ("demo", "--product", LONG), "there is no file xxx"),
        ("dev.py", (*PROFILE, "--share", "nan"), "--share: nan"),
        ("dev.py", ("profile", "--products", "gone", "--out", "x"), "--products: there is no folder gone"),
    ],
)
def test_an_odd_command_line_ends_in_one_sentence(program, arguments, words, capsys):
    if os.name == "nt" and any("fifo" in str(part) or "/dev" in str(part) for part in arguments):
        pytest.skip("no pipes there")
    line = said(program, arguments, capsys)
    assert words in line and len(line) < 400 and line.isprintable() and "Errno" not in line


def test_files_in_each_others_place_are_named(capsys):
    assert CONTROLNET.name in said("rfnet", ("evaluate", CONTROLNET, "--data", "t.csv"), capsys)
    assert DEFAULT_WEIGHTS.name in said(
        "rfft", ("merge", DEFAULT_WEIGHTS, CONTROLNET, "--out", "m.safetensors"), capsys
    )


@pytest.mark.parametrize(
    "error, words",
    [
        (OSError(errno.ENOSPC, "No space left on device", "a/b.npy"), 'a" is full: free some space'),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (PermissionError(errno.EACCES, "Permission denied", "a/b"), '"a/b" may not be used: change its permissions'),
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a"), '"a" is a folder'),
        (FileExistsError(errno.EEXIST, "File exists", "a"), '"a" is there already, and no folder'),
        (OSError(errno.ENAMETOOLONG, "File name too long", LONG), "too long for a name"),
        (OSError(errno.EIO, "Input/output error", b"a"), "a\" can't be read (Input/output error)"),
        (BrokenPipeError(errno.EPIPE, "Broken pipe"), "the system refused (Broken pipe)"),
        (MemoryError(), "not enough memory"),
        (
            RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.\nframe #0"
            ),
            "not enough memory",
        ),
        (ModuleNotFoundError("No module named 'bpy'", name="bpy"), "this needs bpy"),
        (KeyError("x"), "unexpected error (KeyError: 'x')"),
        (ValueError(LONG), "xxx"),
        (ValueError("a\nb"), "a b"),
    ],
)
def test_errors_become_one_sentence(error, words):
    text = sentence(error)
    assert words in text and len(text) < 400 and "\n" not in text and "Errno" not in text


def test_status_of_what_fails_and_of_what_is_stopped(capsys, monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    assert guarded("x", lambda: 0) == 0 and guarded("x", stopped) == 130 and guarded("x", lambda: 1 / 0, status=2) == 2
    assert "x: unexpected error (ZeroDivisionError: division by zero)" in capsys.readouterr().err
    monkeypatch.setenv("RELIABLE_ADS_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        guarded("x", lambda: 1 / 0)


def test_a_place_is_looked_at_before_the_work_and_left_as_it_was(tmp_path):
    check_writable(tmp_path / "new" / "a.safetensors")
    assert not list((tmp_path / "new").iterdir())
    with pytest.raises(NotWritten, match='"dir" is a folder: give the name of a file'):
        check_writable(Path("dir"))
