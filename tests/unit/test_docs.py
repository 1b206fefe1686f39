"""What the documents name exists: files, modules, imports, links and anchors."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
    + [*(ROOT / "docs").glob("*.md"), *(ROOT / "web" / "docs").glob("*/en.md")]
)
ROOMS = tuple(path.name for path in ROOT.iterdir() if path.is_dir() and not path.name.startswith("."))
CODE = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")
FENCES = re.compile(r"^```.*?^```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
IMPORT = re.compile(r"^from (reliable_ads[\w.]*) import ([\w, ]+)$", re.MULTILINE)
COMMAND = re.compile(r"python -m ([\w.]+)")
MADE = ("data/", "out/", "tests/requirements/")  # what commands make, or what is not always there
EXAMPLE = re.compile(r"[<>{}*$ …]|NAME|NUMBER|KIND|DIR")


def ids(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def names_of_files(text: str) -> set[str]:
    """Paths in backticks that begin with a room of this repository."""
    found = set()
    for words in CODE.findall(FENCES.sub("", text)):
        name = words.rstrip("/").partition(":")[0]
        if "/" in words and name.partition("/")[0] in ROOMS and not EXAMPLE.search(words):
            found.add(name)
    return {name for name in found if not f"{name}/".startswith(MADE)}


def anchors(text: str) -> set[str]:
    """What GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCES.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_files_that_a_page_names_exist(page):
    names = names_of_files(page.read_text(encoding="utf-8"))
    assert sorted(name for name in names if not (ROOT / name).exists()) == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_modules_that_a_page_runs_exist(page):
    """`python -m NAME` of this project: benchmarks and reliable_ads."""
    modules = [
        module.removeprefix("reliable_ads.").rstrip(".")
        for module in COMMAND.findall(page.read_text(encoding="utf-8"))
        if module.partition(".")[0] in ("benchmarks", "reliable_ads") and not EXAMPLE.search(module)
    ]
    files = {module: ROOT.joinpath(*module.split(".")) for module in modules}
    assert [name for name, file in files.items() if not (file.with_suffix(".py").exists() or file.is_dir())] == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_names_that_a_page_imports_exist(page):
    missing = []
    for module, names in IMPORT.findall(page.read_text(encoding="utf-8")):
        loaded = import_module(module)
        missing += [f"{module}.{name}" for name in re.findall(r"\w+", names) if not hasattr(loaded, name)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_of_a_page_lead_somewhere(page):
    base = ROOT / "web" / "docs" if page.name == "en.md" else page.parent  # where ComfyUI serves a help page
    dead = []
    for link in LINK.findall(FENCES.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith(("http://", "https://", "mailto:", "/")):
            continue
        name, _, anchor = link.partition("#")
        target = (base / name) if name else page
        known = target.exists() and (not anchor or anchor in anchors(target.read_text(encoding="utf-8")))
        dead += [] if known else [link]
    assert dead == []


def test_dotted_names_of_the_house_exist():
    """`rfnet.product`, `cyclic.loop.run`: the file and the name in it."""
    rooms = ("rfnet", "rfft", "cyclic", "pocket", "synthetic", "nodes", "benchmarks", "devtools")
    missing = []
    for page in PAGES:
        for words in CODE.findall(FENCES.sub("", page.read_text(encoding="utf-8"))):
            dotted = words.removeprefix("reliable_ads.").partition("(")[0]
            if not re.fullmatch(rf"({'|'.join(rooms)})(\.\w+)+", dotted) or dotted.endswith((".toml", ".csv", ".json")):
                continue
            parts = dotted.split(".")
            files = [ROOT.joinpath(*parts[:count]) for count in range(len(parts), 0, -1)]
            file = next(file for file in files if file.is_dir() or file.with_suffix(".py").exists())
            rest = parts[len(file.relative_to(ROOT).parts) :]
            source = (file / "__init__.py" if file.is_dir() else file.with_suffix(".py")).read_text(encoding="utf-8")
            missing += [] if all(re.search(rf"\b{name}\b", source) for name in rest) else [f"{ids(page)}: {words}"]
    assert missing == []


def test_the_first_screen_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900
