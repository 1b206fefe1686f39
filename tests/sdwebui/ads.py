"""Requests to a web UI, small and quick, and what the tests read out of its answers."""

import base64
import io
import json
import re

import numpy as np
import pytest
import torch
from PIL import Image

from reliable_ads.devtools.webui import WebUI, WebUIRefused
from reliable_ads.rfnet.product import Canvas, Product, place

SIZE = 64
CONTROLNET = "thin_canny"
NEVER, ALWAYS = 1.0, 1e-6  # thresholds that no picture and that every picture passes
CAPTION = "an orange box"
DRAW = {
    "prompt": "a box on a table",
    "negative_prompt": "blurred",
    "seed": 5,
    "steps": 2,
    "width": SIZE,
    "height": SIZE,
    "cfg_scale": 3.0,
    "sampler_name": "Euler",
    "scheduler": "Automatic",
}


def cut_out() -> Image.Image:
    """A product picture: an orange box with a blue lid on a transparent ground."""
    rgba = np.zeros((260, 200, 4), np.uint8)
    rgba[40:-30, 50:-50] = (230, 120, 30, 255)
    rgba[40:80, 50:-50] = (30, 60, 200, 255)
    return Image.fromarray(rgba, "RGBA")


def base64_png(picture: Image.Image) -> str:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def ours(**settings) -> dict:
    """Reliable Ads by name, for a request's alwayson_scripts: rejects everything, without remedies, unless told."""
    named = {
        "product": base64_png(cut_out()),
        "caption": CAPTION,
        "attempts": 2,
        "threshold": NEVER,
        "on_exhausted": "last",
        "remedies": [],
        **settings,
    }
    return {"reliable ads": {"args": [named]}}


def draw(web: WebUI, settings: dict | None = None, tab: str = "txt2img", **request):
    """An Answer of the web UI, with Reliable Ads at these settings."""
    return web.draw(tab, **{**DRAW, "alwayson_scripts": ours(**(settings or {})), **request})


def refused(web: WebUI, settings: dict | None = None, tab: str = "txt2img", **request) -> str:
    """The sentence that such a request is refused with: one, short, also in the log."""
    with pytest.raises(WebUIRefused) as failure:
        draw(web, settings, tab, **request)
    code, _, sentence = str(failure.value).partition(": ")
    assert code == "500" and 0 < len(sentence) < 400 and "\n" not in sentence, sentence
    assert sentence in web.log.read_text(encoding="utf-8", errors="replace")
    return sentence


def canvas(width: int = SIZE, height: int = SIZE) -> Canvas:
    """The product as the accordion places it at first."""
    rgba = np.asarray(cut_out()).astype(np.float32) / 255
    return place(Product.from_arrays(rgba, None, CAPTION), width, height, 0.72)


def by_seed(answer) -> dict:
    """{seed: picture} of an Answer."""
    assert len(answer.pictures) == len(answer.info["all_seeds"])
    return dict(zip(answer.info["all_seeds"], answer.pictures))


def picture(image: torch.Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] -> Pillow."""
    return Image.fromarray((image * 255).round().byte().movedim(0, -1).numpy())


def pasted(placed: Canvas, drawn: Image.Image) -> np.ndarray:
    """A picture of the host's with the product's own pixels, (H, W, 3) uint8."""
    pixels = torch.from_numpy(np.array(drawn.convert("RGB"))).movedim(-1, 0).float() / 255
    return np.asarray(picture(placed.paste(pixels[None])[0]))


def pixels(drawn: Image.Image) -> np.ndarray:
    return np.asarray(drawn.convert("RGB"))


def same(one, other) -> bool:
    """Whether two pictures are equal to the last bit."""
    one, other = (each if isinstance(each, np.ndarray) else pixels(each) for each in (one, other))
    return one.shape == other.shape and bool((one == other).all())


def in_infotext(text: str, name: str) -> str | None:
    """The value of a name in a picture's infotext."""
    found = re.search(rf'(?:^|, ){re.escape(name)}: ("(?:\\.|[^"\\])*"|[^,]*)(?:,|$)', text.split("\n")[-1])
    value = found and found[1]
    return json.loads(value) if value and value.startswith('"') else value
