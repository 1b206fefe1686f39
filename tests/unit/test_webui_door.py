"""scripts/reliable_ads.py where it can't run: one line that says why, no traceback, no accordion.

Real web UIs that can run it: tests/sdwebui. What stands in for an old one here has its `modules` and nothing in them.
"""

import subprocess
import sys

import pytest

from reliable_ads.devtools.comfy import ROOT

OLD = {  # Automatic1111 1.9 had no process_before_every_sampling
    "__init__": "",
    "scripts": "class Script:\n    def postprocess_image_after_composite(self): ...\n",
    "script_callbacks": "def on_cfg_after_cfg(callback): ...\n",
    "sd_schedulers": "",
}
NEW = {**OLD, "scripts": OLD["scripts"] + "    def process_before_every_sampling(self): ...\n"}


@pytest.fixture
def opened(tmp_path):
    def run(modules: dict, hidden: tuple = ()) -> tuple[list, list]:
        """(lines that it prints, names in it): what a web UI with these modules sees of the door."""
        (tmp_path / "modules").mkdir()
        for name, text in modules.items():
            (tmp_path / "modules" / f"{name}.py").write_text(text)
        hide = (
            "import sys, importlib.util as u; f = u.find_spec;"
            f" u.find_spec = lambda n, *a: None if n in {hidden} else f(n, *a);"
            f" sys.modules.update(dict.fromkeys({hidden}))"
        )
        door = f"import runpy; found = runpy.run_path({str(ROOT / 'scripts' / 'reliable_ads.py')!r})"
        done = subprocess.run(
            [sys.executable, "-c", f"{hide}\n{door}\nprint(sorted(found))"],
            cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0 and "Traceback" not in done.stderr, done.stderr
        *said, names = done.stdout.splitlines()
        return said, names

    return run


def test_an_old_web_ui_is_told_what_is_needed(opened):
    said, names = opened(OLD)
    needed = "Automatic1111 1.10 or newer, or a Forge or reForge that is built on it"
    assert said == [f"*** Reliable Ads needs {needed}: update the web UI."]
    assert "ReliableAds" not in names


@pytest.mark.parametrize(
    "module, package", [("msgspec", "msgspec>=0.18.6"), ("timm", "timm==0.9.5"), ("cv2", "opencv-python")]
)
def test_a_missing_package_is_named_with_the_command(opened, module, package):
    said, names = opened(NEW, (module,))
    assert len(said) == 1 and f'-m pip install "{package}"' in said[0] and len(said[0]) < 400
    assert "ReliableAds" not in names


def test_a_web_ui_without_something_else_is_told_so(opened):
    said, names = opened(NEW)
    assert len(said) == 1 and "does not fit this web UI" in said[0] and "ReliableAds" not in names
