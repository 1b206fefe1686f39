"""Who paints in a web UI, told by the files that it draws with. Knows no web UI, so that it is tested without one."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from ..rfnet import painters
from ..rfnet.painters import Painter, PainterError

EXTRA_NETWORK = re.compile(r"<\s*(lora|lyco|hypernet)\s*:", re.IGNORECASE)  # in a prompt


def painter_of(checkpoint: Path | None, controlnet: Path | None, prompts: Iterable[str]) -> Painter | None:
    """None where it can't be told: prompts ask for LoRAs, or a file is another than a whole .safetensors network."""
    if checkpoint is None or any(EXTRA_NETWORK.search(prompt) for prompt in prompts):
        return None
    files = [path for path in (checkpoint, controlnet) if path]
    try:
        return _read(*files, states=tuple((path.stat().st_mtime_ns, path.stat().st_size) for path in files))
    except (OSError, PainterError):
        return None


@lru_cache(maxsize=8)
def _read(*files: Path, states: tuple) -> Painter:
    return painters.painter_of(*files)
