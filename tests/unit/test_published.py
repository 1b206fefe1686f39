"""What the registry publishes: complete, without what it refuses, described as it asks."""

import ast
import re
import tokenize

import pytest
from PIL import Image

from reliable_ads import __version__
from reliable_ads.devtools.comfy import ROOT
from reliable_ads.devtools.published import copy_published, published
from reliable_ads.rfnet.textfiles import toml_reader

FILES = list(published())
CODE = [name for name in FILES if name.endswith(".py")]
TEXT = [
    name for name in FILES if name.endswith((".py", ".js", ".json", ".toml", ".css")) and name != "pyproject.toml"
]  # it names the icon's address, as the registry asks

FLAGGED = re.compile(
    r"subprocess|os\.environ\.get\(|os\.system|\.connect\(|\bpip\.main|runpy|ctypes|marshal|b64decode|pickle\.load|new"
    r" Function\(|document\.write\("
    r"|https?://[^\s\"')]*(raw\.github|/resolve/|releases/download|\.(safetensors|ckpt|pth?|bin|onnx|zip|gz|whl|exe|sh|py)\b)"
)
CALLS = {"eval", "exec", "compile", "__import__"}


def tree(name: str) -> ast.Module:
    return ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def test_it_holds_what_runs_and_nothing_else():
    assert {
        "__init__.py",
        "LICENSE",
        "README.md",
        "install.py",
        "pyproject.toml",
        "requirements.txt",
        "web/docs/RFProduct/en.md",
        "example_workflows/1 First product ad.json",
        "subgraphs/Reliable Product Ad.json",
    } <= set(FILES)
    tops = {name.partition("/")[0] for name in FILES}
    assert not tops & {
        "tests",
        "benchmarks",
        "devtools",
        "recipes",
        "data",
        "out",
        "dev.py",
        ".ci",
        ".git",
        ".venv",
        "requirements-dev.txt",
        *("sdwebui", "scripts", "localizations", "javascript", "preload.py", "style.css"),  # for web UIs
    }
    assert not [name for name in FILES if name.startswith(".") or "__pycache__" in name or name.endswith(".zip")]


def test_all_that_its_code_imports_of_its_own_is_in_it():
    there, missing = {name.removesuffix("/__init__.py").removesuffix(".py") for name in CODE}, []
    for name in CODE:
        for node in ast.walk(tree(name)):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = "/".join([*name.split("/")[: -node.level], *(node.module or "").split(".")]).strip("/")
                wanted = [base] if node.module else [f"{base}/{alias.name}".strip("/") for alias in node.names]
                missing += [f"{name}: {each}" for each in wanted if each not in there and base not in there]
    assert missing == []


@pytest.mark.parametrize("name", CODE)
def test_code_evaluates_nothing_and_has_one_statement_a_line(name):
    calls = [
        node.func.id for node in ast.walk(tree(name)) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    ]
    assert not CALLS & set(calls)
    with open(ROOT / name, "rb") as file:
        assert ";" not in [token.string for token in tokenize.tokenize(file.readline) if token.type == tokenize.OP]


@pytest.mark.parametrize("name", TEXT)
def test_no_text_that_the_security_scan_flags(name):
    assert [found.group() for found in FLAGGED.finditer((ROOT / name).read_text(encoding="utf-8"))] == []


def test_the_scan_finds_what_it_is_for():
    for bad in (
        "subprocess.run",
        "os.environ.get('A')",
        "socket.connect((",
        'get("https://host.org/a/resolve/main/model.safetensors")',
        "https://raw.githubusercontent.com/a",
    ):
        assert FLAGGED.search(bad)
    assert not FLAGGED.search("model.eval() # see https://arxiv.org/abs/2408.00418")


def test_it_is_described_as_the_registry_asks():
    with open(ROOT / "pyproject.toml", "rb") as file:
        about = toml_reader().load(file)
    project, comfy = about["project"], about["tool"]["comfy"]
    assert (
        re.fullmatch(r"[a-z][a-z0-9]*([-_.][a-z0-9]+)*", project["name"])
        and "comfyui" not in project["name"]
        and len(project["name"]) < 100
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", project["version"]) and project["version"] == __version__
    assert (
        (ROOT / project["license"]["file"]).is_file()
        and (ROOT / project["readme"]).is_file()
        and project["description"]
    )
    assert project["urls"]["Repository"].startswith("https://github.com/")
    assert comfy["PublisherId"] and comfy["DisplayName"] and re.fullmatch(r">=\d+\.\d+\.\d+", comfy["requires-comfyui"])
    for key, name in (("Icon", "icon.png"), ("Banner", "banner.png")):
        assert comfy[key].endswith(f"/docs/pictures/{name}")
    with (
        Image.open(ROOT / "docs" / "pictures" / "icon.png") as icon,
        Image.open(ROOT / "docs" / "pictures" / "banner.png") as banner,
    ):
        assert icon.size == (400, 400) and banner.width * 9 == banner.height * 21


def test_requirements_are_lower_bounds_and_those_of_the_package():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    with open(ROOT / "pyproject.toml", "rb") as file:
        assert sorted(lines) == sorted(toml_reader().load(file)["project"]["dependencies"])
    assert [line for line in lines if not re.fullmatch(r"[\w\-]+>=[\d.]+", line) or line.startswith("torch")] == []


def test_a_copy_holds_the_same_bytes(tmp_path):
    copy_published(tmp_path / "pack")
    copied = {
        path.relative_to(tmp_path / "pack").as_posix() for path in (tmp_path / "pack").rglob("*") if path.is_file()
    }
    assert copied == set(published())
    assert all((tmp_path / "pack" / name).read_bytes() == (ROOT / name).read_bytes() for name in CODE)
