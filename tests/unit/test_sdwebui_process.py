"""A command line in a process of its own, as a web UI's tab runs it."""

import subprocess
import sys
import time

import pytest

from reliable_ads.rfnet.weights import save_reviewer
from reliable_ads.sdwebui.process import COMMAND, STOPPED, Process, last_lines

from .rfnet_examples import labelled, small_networks


def wait_for(process: Process, words: str = "", seconds: float = 120) -> None:
    """Until it has said this, or has ended."""
    deadline = time.monotonic() + seconds
    while process.running and not (words and words in "".join(process.lines(99))):
        assert time.monotonic() < deadline, process.lines()
        time.sleep(0.05)


def test_a_command_runs_and_what_it_says_is_in_the_log(tmp_path):
    process = Process(["rfnet", "review", "nowhere.png", "--product", "nowhere.png"], tmp_path / "new" / "log.txt")
    wait_for(process)
    assert process.status == 1 and "does not exist: check the path" in process.lines()[-1]
    assert process.stop() == "Nothing runs."


def test_it_finds_its_package_and_not_the_files_beside_it(tmp_path):
    """The folder of command.py holds settings.py, product.py and others, which other packages might mean to import."""
    check = (
        "import sys; sys.argv = ['command']; import runpy; spaces = runpy.run_path(sys.orig_argv[-1]);"
        "spaces['load_package'](); import reliable_ads.sdwebui.settings;"
        "from importlib.util import find_spec; print(find_spec('settings'), find_spec('reliable_ads.rfft.cli').name)"
    )
    done = subprocess.run([sys.executable, "-c", check, str(COMMAND)], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.split() == ["None", "reliable_ads.rfft.cli"], done.stderr


def long_adaptation(folder) -> list:
    """A command line that takes minutes."""
    save_reviewer(folder / "start.safetensors", *small_networks())
    labels = labelled(folder / "labels").folder
    start, out = folder / "start.safetensors", folder / "new.safetensors"
    return list(map(str, ["rfnet", "adapt", labels, "--weights", start, "--out", out, "--epochs", 900]))


@pytest.mark.slow(reason="a process that trains")
def test_stopping_ends_it_within_a_pass(tmp_path):
    process = Process(long_adaptation(tmp_path), tmp_path / "log.txt", cpu=True)
    wait_for(process, "step 1/")
    assert "it ends once the pass that it computes is over" in process.stop()
    wait_for(process, seconds=20)
    assert process.status == STOPPED and not (tmp_path / "new.safetensors").exists()


@pytest.mark.slow(reason="a process that trains")
def test_it_ends_with_the_process_that_started_it(tmp_path):
    """However that ended: nobody could watch or stop it any more."""
    log = tmp_path / "log.txt"
    starter = (
        "import sys, time; from pathlib import Path; from reliable_ads.sdwebui.process import Process;"
        f"Process({long_adaptation(tmp_path)!r}, Path({str(log)!r}), cpu=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", starter], cwd=tmp_path) as parent:
        deadline = time.monotonic() + 120
        while "step 1/" not in "".join(last_lines(log, 99)) and time.monotonic() < deadline:
            time.sleep(0.05)
        parent.kill()
    while "stopped" not in "".join(last_lines(log, 99)):
        assert time.monotonic() < deadline, last_lines(log)
        time.sleep(0.05)
    assert not (tmp_path / "new.safetensors").exists()


def test_of_a_bar_only_its_last_state_is_shown(tmp_path):
    log = tmp_path / "log.txt"
    log.write_bytes(b"begin\r\n 10%\r 20%\r100%\n\nend of it \xff\n")
    assert last_lines(log) == ["begin", "100%", "end of it \N{REPLACEMENT CHARACTER}"]
    assert last_lines(log, 1) == ["end of it \N{REPLACEMENT CHARACTER}"] and last_lines(tmp_path / "none") == []
