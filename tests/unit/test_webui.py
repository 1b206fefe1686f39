"""The developer tools' web UIs: which one a folder holds, how it is started, and what its answers say. Needs none."""

import os
import re
import subprocess
import sys

import pytest

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.devtools.webui import VARIABLES, Host, WebUI

FOLDERS = {"Automatic1111": [], "Forge": ["modules_forge"], "reForge": ["modules_forge", "ldm_patched"]}


def installed(folder, kind: str) -> Host:
    for name in FOLDERS[kind]:
        (folder / name).mkdir()
    (folder / "launch.py").touch()
    (folder / "python").touch()
    return Host.named(f"{folder}{os.pathsep}{folder / 'python'}")


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_says_which_web_ui_it_holds(tmp_path, kind):
    assert installed(tmp_path, kind).kind == kind


@pytest.mark.parametrize("text", ["", "nowhere", os.pathsep, f"here{os.pathsep}there"])
def test_a_name_of_none(text):
    with pytest.raises(ValueError, match="names no web UI: give ROOT"):
        Host.named(text)


@pytest.mark.parametrize("kind", FOLDERS)
def test_it_is_started_offline_on_the_cpu_in_a_folder_of_its_own(tmp_path, kind):
    host = installed(tmp_path, kind)
    command = WebUI(host, tmp_path / "data", tmp_path / "log", tmp_path / "model.safetensors", port=7).command()
    assert command[:2] == [str(host.python), "launch.py"]
    for flag in ("--nowebui", "--no-download-sd-model", "--skip-prepare-environment"):
        assert flag in command
    assert command[command.index("--data-dir") + 1] == str(tmp_path / "data")
    assert ("--use-cpu" in command) == (kind == "Automatic1111") == ("--always-cpu" not in command)
    with_page = WebUI(host, tmp_path / "data", tmp_path / "log", tmp_path / "model.safetensors", page=True).command()
    assert "--nowebui" not in with_page
    assert sum(str(each).startswith("--gradio-allowed-path") for each in with_page) == 2 * (kind == "Forge")


def test_tests_that_no_web_ui_is_named_for_are_counted_aloud():
    here = {name: value for name, value in os.environ.items() if name not in VARIABLES.values()}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/sdwebui/test_infotext.py"]
    done = subprocess.run(command, cwd=ROOT, env=here, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    for name in VARIABLES.values():
        assert re.search(rf"^web UIs: \d+ tests skipped, name them with {name}=ROOT.PYTHON$", done.stdout, re.M)
