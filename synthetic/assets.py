"""Free pictures the renderer builds on, read from two npm packages that the user has fetched.

`npm install @pmndrs/assets @lobehub/fluent-emoji-3d` in any folder, then `synthetic render --assets
FOLDER/node_modules`. @pmndrs/assets (CC0): 18 HDR panoramas, 512x256. @lobehub/fluent-emoji-3d (MIT): 256x256 cut-outs
with alpha.
"""

from __future__ import annotations

import base64
import functools
import re
from pathlib import Path

import numpy as np

HDRI = "@pmndrs/assets/hdri"
EMOJI = "@lobehub/fluent-emoji-3d/assets"


class AssetError(FileNotFoundError):
    """The free assets are not where they were looked for."""


class Assets:
    def __init__(self, node_modules: str | Path, cache: str | Path):
        self.root, self.cache = Path(node_modules), Path(cache)
        for part in (HDRI, EMOJI):
            if not (self.root / part).is_dir():
                raise AssetError(
                    f"{self.root / part} is missing: run `npm install @pmndrs/assets @lobehub/fluent-emoji-3d` "
                    "in some folder and pass its node_modules folder as --assets."
                )
        self.cache.mkdir(parents=True, exist_ok=True)
        self.panorama = functools.lru_cache(maxsize=32)(self._panorama)
        self.cutout = functools.lru_cache(maxsize=256)(self._cutout)

    def _panorama(self, name: str) -> np.ndarray:
        """(256, 512, 3) linear radiance, median 0.35, the sun clipped so that few samples suffice."""
        import OpenEXR

        source = (self.root / HDRI / f"{name}.exr.js").read_text()
        raw = base64.b64decode(re.search(r"base64,([A-Za-z0-9+/=]+)", source).group(1))
        file = self.cache / f"{name}.source.exr"
        file.write_bytes(raw)
        pixels = np.array(OpenEXR.File(str(file)).parts[0].channels["RGB"].pixels, dtype=np.float32)
        pixels = np.nan_to_num(pixels, posinf=100.0)
        luminance = pixels.mean(-1, keepdims=True)
        middle = np.clip(np.median(luminance), 0.02, None)
        pixels = pixels * 0.35 / middle
        return np.minimum(pixels, 6.0)

    def _cutout(self, code: str) -> np.ndarray:
        """(256, 256, 4) uint8 RGBA, cropped to its alpha."""
        from PIL import Image

        picture = Image.open(self.root / EMOJI / f"{code}.webp").convert("RGBA")
        return np.array(picture.crop(picture.getchannel("A").point(lambda a: 255 * (a >= 128)).getbbox()))
