"""requirements.txt says what was tried: with the oldest and with the newest version of everything the shipped reviewer
gives the same verdict.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from reliable_ads.devtools.comfy import ROOT

from .environments import environment, interpreter

pytestmark = pytest.mark.requirements

# All of these have wheels for Python 3.10 and 3.11. transformers is no requirement of ours, but hosts have it, and the
# other two import it where it is.
OLDEST = {
    "numpy": "1.26.0",
    "pillow": "9.5.0",
    "safetensors": "0.4.2",
    "timm": "0.9.5",
    "open_clip_torch": "2.20.0",
    "opencv-python-headless": "4.7.0.72",
    "msgspec": "0.18.6",
    "transformers": "4.30.0",
}
# What hosts install, and install again where another version is found: Automatic1111 1.10.1 and Forge, reForge, and
# sd-webui-controlnet (timm).
HOSTS = {
    "numpy": ["1.26.2"],
    "pillow": ["9.5.0"],
    "safetensors": ["0.4.2"],
    "open_clip_torch": ["2.20.0", "2.30.0"],
    "timm": ["0.9.5"],
    "transformers": ["4.30.2", "4.46.1"],
}
# In one environment: what Automatic1111 and sd-webui-controlnet pin, which is next to the oldest that we ask for.
AUTOMATIC1111 = {**OLDEST, **{name: pins[0] for name, pins in HOSTS.items()}}


def bounds() -> dict:
    """{package: Requirement} of requirements.txt."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    return {wanted.name: wanted for wanted in map(Requirement, lines)}


def test_every_requirement_has_one_lower_bound_and_it_is_the_oldest_that_is_tried():
    for name, wanted in bounds().items():
        assert re.fullmatch(r">=[\d.]+", str(wanted.specifier)), f"{name}: lower bounds only, hosts decide on the rest"
        release = str(wanted.specifier).removeprefix(">=")
        assert name in OLDEST and f"{OLDEST[name]}.0".startswith(f"{release}."), (
            f"{name}: {release} is asked for, {OLDEST.get(name)} is tried"
        )


def test_what_a_web_ui_pins_is_tried_or_lies_between_what_is():
    for name, pins in HOSTS.items():
        assert AUTOMATIC1111[name] == pins[0] and Version(OLDEST[name]) <= Version(pins[0]), name


def test_pyproject_asks_for_the_same():
    listed = re.search(
        r"^dependencies = \[(.*?)^\]", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE
    )[1]
    assert sorted(re.findall('"(.*?)"', listed)) == sorted(map(str, bounds().values()))


def test_no_host_has_to_change_a_version_that_it_pins():
    for name, wanted in bounds().items():
        for pinned in HOSTS.get(name, []):
            assert Version(pinned) in wanted.specifier, (
                f"a host pins {name} {pinned}, requirements.txt asks for {wanted.specifier}"
            )


def review(python) -> dict:
    done = subprocess.run(
        [python, Path(__file__).with_name("review.py"), *OLDEST], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def here() -> dict:
    """What the environment that runs the tests finds."""
    return review(sys.executable)


@pytest.mark.parametrize(
    "version, packages",
    [
        pytest.param("", AUTOMATIC1111, id="what Automatic1111 pins"),
        pytest.param("3.10", OLDEST, id="oldest, Python 3.10"),
        pytest.param("3.13", dict.fromkeys(OLDEST), id="newest, Python 3.13"),
    ],
)
def test_the_shipped_reviewer_gives_the_same_verdict(here, version, packages):
    python = interpreter(version)
    with tempfile.TemporaryDirectory(
        ignore_cleanup_errors=True
    ) as folder:  # not tmp_path: pytest would keep gigabytes of torch
        wanted = [f"{name}=={number}" if number else name for name, number in packages.items()]
        found = review(environment(Path(folder), python, wanted))
    assert [
        row == pytest.approx(expected, abs=5e-5) for row, expected in zip(found["probabilities"], here["probabilities"])
    ] == [True, True]
    assert not packages["timm"] or found["versions"] == packages
