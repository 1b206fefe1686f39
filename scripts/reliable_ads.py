"""The door for Automatic1111, Forge and reForge: loads this repository as the package `reliable_ads`, and hands over.

A web UI executes every file in scripts/, without a package around it; there must be no other file here.
"""

import importlib.util
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

if "reliable_ads" not in sys.modules:
    spec = importlib.util.spec_from_file_location(
        "reliable_ads", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    sys.modules["reliable_ads"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules["reliable_ads"])

from reliable_ads.sdwebui.fits import why_not  # noqa: E402

try:
    if (problem := why_not()) is None:
        from reliable_ads.sdwebui.script import ReliableAds, register  # noqa: F401 - the web UI looks for it here

        register()  # again each time that the page is made anew: the web UI forgets its callbacks then
except ImportError as error:
    problem = why_not(error)
if problem:
    print(f"*** {problem}")
