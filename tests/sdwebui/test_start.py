"""What the extension does to a web UI that starts: nothing of ComfyUI runs there, and all is quiet."""

import pytest

from ..unit.webui_chinese import CODES, KEPT, THEIRS, entries


@pytest.fixture
def loaded(web) -> set:
    return {name.removeprefix("reliable_ads.") for name in web.ask("/kit/modules") if name.startswith("reliable_ads.")}


def test_nothing_of_comfyui_runs_there(loaded):
    assert "sdwebui.script" in loaded
    assert {name.partition(".")[0] for name in loaded} <= {"sdwebui", "cyclic", "rfnet", "rfft", "pocket"}


def test_the_log_says_nothing_of_us(web):
    started, found, _ = web.log.read_text(encoding="utf-8", errors="replace").partition("Startup time:")
    ours = ("Reliable Ads", "scripts/reliable_ads.py", "/sdwebui/")
    assert found and [line for line in started.splitlines() if any(name in line for name in ours)] == []


def test_what_the_page_says_of_us_is_there_in_chinese(web):
    known = entries()
    missing = {each for each in ours_in(web.ask("/config")) if each not in known and not each.startswith(CODES)}
    assert missing <= THEIRS | KEPT


def ours_in(config: dict) -> set[str]:
    """The texts of the components of the accordion, the tab and the settings section."""
    components = {each["id"]: each for each in config["components"]}
    found = set()

    def walk(node: dict, inside: bool) -> None:
        about = components.get(node["id"], {"type": "", "props": {}})
        props = about["props"]
        inside = inside or "reliable_ads" in str(props.get("elem_id"))
        if inside and props.get("visible", True):
            found.update(props.get(name) for name in ("label", "info", "placeholder"))
            found.update([props.get("value")] if about["type"] in ("button", "markdown") else [])
            found.update(
                choice[0] for choice in props.get("choices", []) if about["type"] in ("radio", "checkboxgroup")
            )
        for child in node.get("children", []):
            walk(child, inside)

    walk(config["layout"], False)
    return {each for each in found if isinstance(each, str) and each}
