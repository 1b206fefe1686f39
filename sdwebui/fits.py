"""Whether a web UI has what the accordion needs; why not, in one line. Imports nothing of the project."""

from __future__ import annotations

import sys
from importlib.util import find_spec

from .install import OURS, quoted

OLDEST = "Automatic1111 1.10 or newer, or a Forge or reForge that is built on it"
PACKAGES = {  # module: what pip calls it
    "msgspec": "msgspec",
    "timm": "timm",
    "open_clip": "open_clip_torch",
    "cv2": "opencv-python",
    "safetensors": "safetensors",
}


def why_not(error: ImportError | None = None) -> str | None:
    """Why Reliable Ads can't run here, and what to do; None where it can. error: what importing it raised."""
    name = (error.name or "").partition(".")[0] if isinstance(error, ModuleNotFoundError) else ""
    lacking = [package for module, package in PACKAGES.items() if module == name or find_spec(module) is None]
    if lacking:
        return (
            f'Reliable Ads needs Python packages that are missing. Run: "{sys.executable}" -m pip install'
            f" {quoted([OURS.get(package, package) for package in lacking])}  Then restart the web UI."
        )
    if too_old():
        return f"Reliable Ads needs {OLDEST}: update the web UI."
    return error and f"Reliable Ads does not fit this web UI ({str(error)[:200]}): update both, or report this."


def too_old() -> bool:
    """Whether hooks that it draws with are missing: Automatic1111 has them all since 1.10.0, July 2024."""
    from modules import script_callbacks, scripts

    return not (
        hasattr(scripts.Script, "process_before_every_sampling")
        and hasattr(scripts.Script, "postprocess_image_after_composite")
        and hasattr(script_callbacks, "on_cfg_after_cfg")
        and find_spec("modules.sd_schedulers")
    )
