"""What a web UI installs for us: the packages that are missing, and nothing else.

Runs alone, before the web UI does: imports nothing of ours. Web UIs pin their packages, and bring them back at each
start where another version is found; so what is there stays as it is, and what is missing comes in the oldest version
that was tried, which the pins of others (sd-webui-controlnet: timm <= 0.9.5) allow.
"""

from __future__ import annotations

import re
import sys
import tempfile
from importlib import metadata
from pathlib import Path

OURS = {"msgspec": "msgspec>=0.18.6", "timm": "timm==0.9.5", "open_clip_torch": "open_clip_torch==2.20"}
VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?(\+[a-z0-9.]+)?", re.IGNORECASE)


def install(root: Path, missing: list[str], too_old: list[tuple[str, str, str]]) -> list[str]:
    """Installs what is missing, unless the user forbade it -> sentences on what is left to be done.

    root: the web UI's folder; too_old: (package, version here, least version).
    """
    said = [
        f"{package} {here} is here, and {least} or newer is needed: update what brought it."
        for package, here, least in too_old
    ]
    if theirs := [package for package in missing if package not in OURS]:
        names = ", ".join(theirs).replace("-headless", "")  # web UIs have opencv-python, which it doesn't go beside
        said.append(
            f"the web UI's own packages {names} are missing: start it without --skip-prepare-environment,"
            " or install it again."
        )
    wanted = [OURS[package] for package in missing if package in OURS]
    if wanted:
        said += [f"{why} {by_hand(wanted)}" for why in pip(root, wanted)]
    return said


def by_hand(wanted: list[str]) -> str:
    return f'Run: "{sys.executable}" -m pip install {quoted(wanted)}'


def quoted(wanted: list[str]) -> str:
    """Words for a shell, Windows' too, which would take > for a file."""
    return " ".join(f'"{each}"' for each in wanted)


def pip(root: Path, wanted: list[str]) -> list[str]:
    """Installs these, by the web UI's own pip command -> why not, at most one sentence."""
    if str(root) not in sys.path:
        sys.path.append(str(root))
    import launch

    names = ", ".join(re.split("[=>]", each)[0] for each in wanted)
    if launch.args.skip_install:
        return [f"--skip-install forbids to install what is missing ({names})."]
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "kept.txt"
        kept.write_text("\n".join(installed()), encoding="utf-8")
        try:
            launch.run_pip(f'install --retries 1 --constraint "{kept}" {quoted(wanted)}', f"{names} for Reliable Ads")
        except RuntimeError as error:
            return [f"what is missing ({names}) could not be installed: {reason(str(error))}."]
    return []


def installed() -> list[str]:
    """name==version of every package that is here: pip must not change them."""
    found = {each.metadata["Name"]: each.version for each in metadata.distributions() if each.metadata["Name"]}
    return [f"{name}=={version}" for name, version in sorted(found.items()) if VERSION.fullmatch(version or "")]


def reason(output: str) -> str:
    """What pip said, in a few words."""
    if re.search("connection|resolve host|resolution|unreachable|timed out", output, re.IGNORECASE):
        return "the network or the package index can't be reached"
    errors = re.findall(r"^ERROR: (.+)$", output, re.MULTILINE)
    return errors[-1][:150] if errors else "pip failed"
