"""Tests stand alone: what two of them need lies in a conftest.py or in a helper module beside them."""

import ast
from pathlib import Path

import pytest

TESTS = Path(__file__).parent.parent
FILES = sorted(path.relative_to(TESTS).as_posix() for path in TESTS.rglob("*.py"))


def imported(source: str) -> set[str]:
    """The modules that a file imports, anywhere in it, as the last part of their names."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found |= {*(alias.name for alias in node.names), node.module or ""}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return {name.rpartition(".")[2] for name in found}


@pytest.mark.parametrize("name", FILES)
def test_no_test_imports_another_nor_a_conftest(name):
    tests = {Path(file).stem for file in FILES if Path(file).name.startswith(("test_", "conftest"))}
    assert imported((TESTS / name).read_text(encoding="utf-8")) & tests == set()


def test_an_import_of_a_test_would_be_found():
    for line in (
        "from .test_sampler import latent",
        "from . import test_sampler",
        "import tests.server.test_sampler",
        "def late():\n    from ..server.test_sampler import latent",
    ):
        assert "test_sampler" in imported(line)
