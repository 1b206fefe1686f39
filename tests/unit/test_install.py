"""install.py: what it says of packages that are too old or missing, and what it does where a web UI runs it."""

import os
import subprocess
import sys

import pytest

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.sdwebui import install


def run(folder, *versions):
    for version in versions:
        (folder / f"timm-{version}.dist-info").mkdir(parents=True)
        (folder / f"timm-{version}.dist-info" / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: timm\nVersion: {version}\n"
        )
    return subprocess.run(
        [sys.executable, "install.py"],
        cwd=ROOT,
        env={"PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_what_is_too_old_is_named_with_what_is_needed(tmp_path):
    done = run(tmp_path, "0.9.2")
    assert done.returncode == 1
    assert "too old: timm 0.9.2 (needed: 0.9.5 or newer). Run: " in done.stdout and "requirements.txt" in done.stdout


def test_the_oldest_that_is_asked_for_is_enough(tmp_path):
    assert "too old" not in run(tmp_path, "0.9.5").stdout


def test_versions_are_compared_as_numbers(tmp_path):
    assert "too old" not in run(tmp_path, "0.10.0rc1+cpu").stdout


LAUNCH = """
import os
from types import SimpleNamespace

args = SimpleNamespace(skip_install="--skip-install" in os.environ.get("COMMANDLINE_ARGS", ""))


def run_pip(command, desc):
    constraints = command.split('--constraint "')[1].split('"')[0]
    print("PIP", command.replace(constraints, "FILE"))
    assert "numpy==" in open(constraints, encoding="utf-8").read()
    if said := os.environ.get("PIP_SAYS"):
        raise RuntimeError(said)
"""


@pytest.fixture
def web_ui(tmp_path):
    """A folder that looks like a web UI's, whose pip command only says what it was asked for."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "launch_utils.py").touch()
    (tmp_path / "launch.py").write_text(LAUNCH)
    return tmp_path


def in_web_ui(root, *missing, **variables):
    """What install.py prints there; missing: modules that its Python doesn't find."""
    run = [
        "import importlib.util, runpy, sys",
        "find = importlib.util.find_spec",
        f"importlib.util.find_spec = lambda name, *more: None if name in {missing} else find(name, *more)",
        f"sys.path.insert(0, {str(ROOT)!r})",
        f"runpy.run_path({str(ROOT / 'install.py')!r}, run_name='__main__')",
    ]
    environment = {**os.environ, "PYTHONPATH": str(root), **variables}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(run)], cwd=root, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_web_ui_that_has_everything_is_left_alone(web_ui):
    assert in_web_ui(web_ui) == ""


def test_it_finds_packages_without_loading_them(web_ui):
    """A web UI runs it at every start."""
    command = [sys.executable, "-X", "importtime", ROOT / "install.py"]
    ran = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": str(web_ui)}, check=True, capture_output=True, text=True
    )
    loaded = {line.rsplit("|", 1)[1].strip() for line in ran.stderr.splitlines() if line.startswith("import time:")}
    assert "importlib.metadata" in loaded or "importlib.util" in loaded
    assert not {"torch", "numpy", "PIL", "msgspec", "safetensors", "pip", "setuptools"} & loaded


def test_what_is_missing_comes_in_the_oldest_version_that_was_tried(web_ui):
    said = in_web_ui(web_ui, "timm", "msgspec")
    assert said == 'PIP install --retries 1 --constraint "FILE" "msgspec>=0.18.6" "timm==0.9.5"\n'


def test_a_missing_cv2_is_left_to_the_web_ui(web_ui):
    said = in_web_ui(web_ui, "cv2")
    assert "PIP" not in said and "the web UI's own packages opencv-python are missing" in said


def test_skip_install_is_honoured(web_ui):
    said = in_web_ui(web_ui, "timm", COMMANDLINE_ARGS="--skip-install")
    assert "PIP" not in said and said.count("\n") == 1 and "--skip-install forbids to install what is missing" in said


@pytest.mark.parametrize(
    "pip_says, reason",
    [
        ("WARNING: Retrying ... NewConnectionError\nERROR: No matching distribution", "network or the package index"),
        ("ERROR: Could not install: No space left on device\nmore", "Could not install: No space left on device"),
        ("?", "pip failed"),
    ],
)
def test_without_luck_it_is_one_sentence_with_the_command(web_ui, pip_says, reason):
    said = in_web_ui(web_ui, "timm", PIP_SAYS=pip_says).splitlines()[1:]
    assert len(said) == 1 and len(said[0]) < 400 and reason in said[0]
    assert said[0].endswith('-m pip install "timm==0.9.5"')


def test_what_it_installs_is_what_requirements_ask_for():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert {wanted.replace("==", ">=") for wanted in install.OURS.values()} <= set(lines)


def test_a_package_that_is_too_old_is_named_and_left(web_ui):
    said = install.install(web_ui, [], [("timm", "0.9.2", "0.9.5")])
    assert said == ["timm 0.9.2 is here, and 0.9.5 or newer is needed: update what brought it."]
