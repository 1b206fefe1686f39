"""Makes the repository root importable as the package `reliable_ads`, whatever the folder is called."""

import importlib.util
import os
import re
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# The root must not be a sys.path entry: its `nodes/` would shadow ComfyUI's own nodes.py (`python -m pytest` adds the
# cwd).
sys.path[:] = [entry for entry in sys.path if Path(entry or os.getcwd()).resolve() != ROOT]

if "reliable_ads" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "reliable_ads", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    package = importlib.util.module_from_spec(spec)
    sys.modules["reliable_ads"] = package
    spec.loader.exec_module(package)


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    """Says what was not tried on a real web UI: tests/sdwebui/conftest.py skips where none is named."""
    reasons = [str(report.longrepr) for report in terminalreporter.stats.get("skipped", [])]
    asked = Counter(found for reason in reasons for found in re.findall(r"web UI: name it with ([\w:;=]+)", reason))
    for name, count in asked.items():
        terminalreporter.write_line(f"web UIs: {count} tests skipped, name them with {name}", yellow=True)
