"""install.py on what is too old, in a Python that finds such a package."""

import subprocess
import sys

from reliable_ads.devtools.comfy import ROOT


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
