"""The house as CONTRIBUTING.md draws it: which room may import which, no circles, files and functions that one reads in
one sitting.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ("rfnet", "rfnet/data", "rfnet/opinions", "rfnet/training")
MAY_IMPORT = {  # every room itself, and what lies below it
    "rfnet": (),
    "rfnet/data": ("rfnet",),
    "rfnet/opinions": ("rfnet",),
    "rfnet/training": ("rfnet", "rfnet/data", "rfnet/opinions"),
    "cyclic": ("rfnet",),
    "rfft": LIBRARY,
    "pocket": ("rfft", *LIBRARY),
    "catalogue": ("cyclic", "pocket", "rfft", *LIBRARY),
    "synthetic": ("rfnet", "rfnet/data"),
    "pocket/training": ("pocket", "synthetic", "rfft", *LIBRARY),
    "nodes": ("cyclic", "pocket", "rfft", *LIBRARY),
    "sdwebui": ("cyclic", "pocket", "rfft", *LIBRARY),
}
COMMAND_LINES = {"rfnet/cli.py", "rfnet/__main__.py", "cyclic/__main__.py"}  # the doors to all of rfnet and of cyclic
HOST = {"comfy", "comfy_api", "comfy_execution", "comfy_extras", "folder_paths", "latent_preview", "server", "modules"}
READ_AT_ONCE, LONGEST_FUNCTION = 400, 60  # lines
CODE = sorted(
    path.relative_to(ROOT).as_posix()
    for path in ROOT.rglob("*.py")
    if not any(
        part.startswith(".") or part in ("out", "data", "node_modules") for part in path.relative_to(ROOT).parts[:1]
    )
)


def room_of(file: str) -> str:
    """The room that a file lies in: the longest one of MAY_IMPORT that it is below, "" outside of all."""
    return max((room for room in MAY_IMPORT if file.startswith(room + "/")), key=len, default="")


def imports_of(file: str) -> set[str]:
    """The files of this project that a file imports, anywhere in it, also inside functions."""
    found, folder = set(), Path(file).parent
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        if not isinstance(node, ast.ImportFrom):
            continue
        if node.level:
            base = folder.parents[node.level - 2] if node.level > 1 else folder
        elif (node.module or "").partition(".")[0] == "reliable_ads":
            base = Path(".")
        else:
            continue
        parts = (node.module or "").split(".")
        module = base.joinpath(*[part for part in parts if part and part != "reliable_ads"])
        for name in [alias.name for alias in node.names]:
            options = (
                module / f"{name}.py",
                module / name / "__init__.py",
                module.with_suffix(".py"),
                module / "__init__.py",
            )
            found |= {next((path.as_posix() for path in options if (ROOT / path).is_file()), module.as_posix())}
    return found


GRAPH = {file: imports_of(file) for file in CODE if room_of(file)}


def test_every_import_names_a_file_that_exists():
    assert [(file, name) for file, names in GRAPH.items() for name in names if not (ROOT / name).is_file()] == []


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_run_downwards(room):
    files = [file for file in GRAPH if room_of(file) == room and file not in COMMAND_LINES]
    assert files
    wrong = [(file, name) for file in files for name in GRAPH[file] if room_of(name) not in (room, *MAY_IMPORT[room])]
    assert wrong == []


def test_there_are_no_circles():
    """A file is taken away once all that it imports is gone, or all that import it: what is left goes round."""
    left = {file: names & GRAPH.keys() for file, names in GRAPH.items()}
    while True:
        imported = set().union(*left.values())
        ends = {file for file, names in left.items() if not names or file not in imported}
        if not ends:
            break
        left = {file: names - ends for file, names in left.items() if file not in ends}
    assert sorted(left) == []


@pytest.mark.parametrize("room", [room for room in MAY_IMPORT if room not in ("nodes", "sdwebui")])
def test_libraries_know_no_host(room):
    files = [file for file in CODE if room_of(file) == room]
    trees = {file: ast.parse((ROOT / file).read_text(encoding="utf-8")) for file in files}
    names = [
        (file, name)
        for file, tree in trees.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and not getattr(node, "level", 0)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module])
    ]
    assert [(file, name) for file, name in names if name.partition(".")[0] in HOST] == []


def test_files_are_read_in_one_sitting():
    lines = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in CODE}
    assert {file: count for file, count in lines.items() if count > READ_AT_ONCE} == {}


def test_functions_are_read_at_a_glance():
    long = {}
    for file in CODE:
        for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                count = node.end_lineno - node.lineno + 1
                if count > LONGEST_FUNCTION:
                    long[f"{file}: {node.name}"] = count
    assert long == {}


def test_importing_the_libraries_is_quick():
    """Their names are loaded when they are asked for."""
    import subprocess
    import sys

    check = "import sys, reliable_ads.rfnet, reliable_ads.rfft, reliable_ads.cyclic; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, cwd="/")
    assert done.stdout.strip() == "False", done.stderr


@pytest.mark.parametrize("library", ["rfnet", "rfft", "cyclic"])
def test_every_name_that_a_library_offers_is_there(library):
    from importlib import import_module

    package = import_module(f"reliable_ads.{library}")
    assert package.__all__ and all(getattr(package, name) is not None for name in package.__all__)
