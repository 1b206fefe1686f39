"""What the extension does to a web UI that starts: nothing of ComfyUI runs, nothing large is loaded, nothing is said."""

import pytest

from reliable_ads.devtools.comfy import ROOT


@pytest.fixture
def loaded(web) -> set:
    return {name.removeprefix("reliable_ads.") for name in web.ask("/kit/modules") if name.startswith("reliable_ads.")}


def test_nothing_of_comfyui_runs_there(loaded):
    assert "sdwebui.script" in loaded
    assert {name.partition(".")[0] for name in loaded} <= {"sdwebui", "cyclic", "rfnet", "rfft", "pocket"}


def test_the_log_says_nothing_of_us(web):
    lines = web.log.read_text(encoding="utf-8", errors="replace").splitlines()
    started = lines[: next(place for place, line in enumerate(lines) if "Uvicorn running" in line)]
    assert [line for line in started if "Reliable Ads" in line or f"{ROOT}/" in line] == []
