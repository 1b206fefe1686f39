"""Second opinions in a web UI: the measurements, and the files that the user has below models/."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from modules import paths

from ..rfnet.files import quoted
from ..rfnet.saliency_model import is_known
from . import host
from .settings import MEASURES, Refused

FOLDERS = ("rembg", "u2net", "birefnet", "BiRefNet", "rfnet")  # below models/, where people keep segmentation networks


def files() -> dict[str, Path]:
    """{"server=my.json": path, "expansion=u2net.onnx": path, ...}."""
    servers = {f"server={path.name}": path for path in sorted((host.RFNET / "servers").glob("*.json"))}
    folders = [*(Path(paths.models_path) / name for name in FOLDERS), host.RFNET]
    networks = [path for folder in folders for path in sorted(folder.glob("*.onnx")) if is_known(path.name)]
    return {**servers, **{f"expansion={path.name}": path for path in networks}}


def choices() -> list[str]:
    return [*MEASURES, *files()]


def opened(names: tuple) -> list:
    """The opinions of these names. Raises Refused, OpinionError."""
    found, opinions = files(), []
    for name in names:
        if name not in (*MEASURES, *found):
            raise Refused(
                f"there is no second opinion {quoted(name, 60)}: servers' files lie in models/rfnet/servers, a U2-Net"
                f" or BiRefNet in models/u2net or models/birefnet (found: {', '.join(choices())[:150]})."
            )
        path = found.get(name)
        kind = name.partition("=")[0]
        opinions.append(_opened(f"{kind}={path}", path.stat().st_mtime_ns) if path else _opened(name, 0))
    return opinions


@lru_cache(maxsize=8)
def _opened(text: str, state: int):
    """Kept from run to run, so that a network is loaded once."""
    from ..rfnet.opinions.opening import open_opinion

    return open_opinion(text)
