"""What ComfyUI-Manager runs after installing requirements.txt: looks whether everything is there, and says so in plain
words. Quick, offline, changes nothing. Run it by hand to see the same: python install.py

Automatic1111, Forge and reForge run it, too, at each start; for them sdwebui/install.py brings what is missing.
"""

import re
import sys
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

PACK = Path(__file__).resolve().parent
NEEDED = {
    "numpy": "numpy",
    "PIL": "pillow",
    "safetensors": "safetensors",
    "timm": "timm",
    "open_clip": "open_clip_torch",
    "cv2": "opencv-python-headless",
    "msgspec": "msgspec",
    "torch": "torch",
}
WEIGHTS = (
    "rfnet/weights/rfnet_compact.safetensors",
    "pocket/weights/pocket_sd.safetensors",
    "pocket/weights/pocket_canny.safetensors",
)


def missing() -> list[str]:
    """The packages that are not here."""
    return sorted(package for module, package in NEEDED.items() if find_spec(module) is None)


def too_old() -> list[tuple[str, str, str]]:
    """(package, version here, least version) of each package that is older than requirements.txt asks for."""
    found = []
    for line in (PACK / "requirements.txt").read_text(encoding="utf-8").splitlines():
        package, _, least = line.partition("#")[0].strip().partition(">=")
        try:
            here = metadata.version(package) if least else None
        except metadata.PackageNotFoundError:  # missing, or there under another name, as opencv-python is
            continue
        if here and numbers(here) < numbers(least):
            found.append((package, here, least))
    return found


def numbers(version: str) -> list[int]:
    """The numbers that a version begins with: 1.26.4 -> [1, 26, 4]; what follows them, such as rc1 or +cpu, doesn't
    count.
    """
    return [int(number) for number in re.match(r"[\d.]*", version)[0].split(".") if number]


def findings() -> list[str]:
    """One sentence per thing that will not work, with what to do about it."""
    found = []
    if sys.version_info < (3, 10):
        version = sys.version.split()[0]
        found.append(f"Python {version} is too old: Reliable Ads needs 3.10 or newer. Update ComfyUI's Python.")
    remedy = f"Run: {sys.executable} -m pip install -r {PACK / 'requirements.txt'}"
    if packages := missing():
        found.append(f"These Python packages are missing: {', '.join(packages)}. {remedy}")
    old = [f"{package} {here} (needed: {least} or newer)" for package, here, least in too_old()]
    if old:
        found.append(f"These Python packages are too old: {', '.join(old)}. {remedy}")
    found += files_missing()
    comfyui = PACK.parent.parent
    if (comfyui / "main.py").is_file() and not (comfyui / "comfy_api" / "latest").is_dir():
        found.append("This ComfyUI is too old: Reliable Ads needs 0.3.75 or newer. Update ComfyUI.")
    return found


def files_missing() -> list[str]:
    return [
        f"The file {name} is missing. Install Reliable Ads again." for name in WEIGHTS if not (PACK / name).is_file()
    ]


def web_ui() -> Path | None:
    """The folder of the web UI that runs this: it puts its launch.py on the path. By hand: the one that holds us."""
    launch = find_spec("launch")
    places = [Path(launch.origin).parent] if launch and launch.origin else []
    places += [PACK.parent.parent] if PACK.parent.name == "extensions" else []
    return next((place for place in places if (place / "modules" / "launch_utils.py").is_file()), None)


def for_comfyui() -> int:
    problems = findings()
    for problem in problems:
        print(f"Reliable Ads: {problem}")
    if not problems:
        print("Reliable Ads is ready: restart ComfyUI and open the template '1 First product ad'.")
    return 1 if problems else 0


def for_web_ui(root: Path) -> int:
    """Says nothing where all is well, and never fails: a web UI prints a page of log about that."""
    from sdwebui.install import install

    for problem in [*install(root, missing(), too_old()), *files_missing()]:
        print(f"Reliable Ads: {problem}")
    return 0


if __name__ == "__main__":
    sys.exit(for_web_ui(root) if (root := web_ui()) else for_comfyui())
