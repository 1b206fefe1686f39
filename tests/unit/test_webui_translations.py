"""What the web UI's page says of Reliable Ads is there in Chinese, in the files that the hosts look for.

The page itself, with what is put together while it is built: tests/sdwebui/test_start.py.
"""

import ast
import json

import pytest

from reliable_ads.devtools.comfy import ROOT

from .webui_chinese import CODES, FILES, KEPT, THEIRS, entries

CODE = [ROOT / "sdwebui" / "accordion.py", ROOT / "sdwebui" / "options.py", *(ROOT / "sdwebui" / "tab").glob("*.py")]
WORDS = ("label", "info", "placeholder")
FIRST = ("Button", "Markdown", "Accordion", "Tab", "info")  # calls whose first argument stands in the page


def said(path) -> set[str]:
    """The texts that a file gives to components, where they stand as such in its calls or its tables."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            found |= {text(word.value) for word in node.keywords if word.arg in WORDS}
            found |= {text(value) for value in node.args[:1] if name in FIRST}
            found |= {text(value) for value in node.args if name in ("option", "files_row")}
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("TITLE", "ABOUT"):
            found.add(text(node.value))
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in ("REMEDY_LABELS", "INFOS"):
            found |= set(ast.literal_eval(node.value).values())
    return {each for each in found if each and not each.startswith(CODES)}


def text(node) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.stem)
def test_every_text_has_an_entry(path):
    known = entries()
    texts = {each for each in said(path) if not (each.islower() and each.isidentifier())}  # names of settings
    missing = {each for each in texts if each not in known and f"({each})" not in known} - THEIRS - KEPT
    assert missing == set()


def test_the_texts_are_found():
    assert {"Keep rejected pictures", "Early rejection", "Advanced"} <= said(CODE[0])
    assert "The reviewer computes on" in said(CODE[1])


def test_both_files_say_the_same_and_leave_the_hosts_words_alone():
    assert FILES[0].read_bytes() == FILES[1].read_bytes()
    known = entries()
    assert not known.keys() & THEIRS
    assert all(any("\u4e00" <= letter <= "\u9fff" for letter in value) for value in known.values())
    assert json.dumps(known, ensure_ascii=False, indent=1) + "\n" == FILES[0].read_text(encoding="utf-8")
