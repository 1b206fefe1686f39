"""Products, and real runs of the loop to keep in a gallery."""

import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import torch
from PIL import Image

from reliable_ads.cyclic.loop import run
from reliable_ads.rfnet.pictures import cut_outs

from .rfnet_examples import bottle_rgba

PROMPTS = ["{caption} on a table", "{caption} on a beach"]


def products(folder: Path, count=2) -> list:
    """Product pictures that differ in one pixel, [(path, caption)]."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        rgba = bottle_rgba()
        rgba[30, 20, 0] = number
        Image.fromarray(rgba, "RGBA").save(folder / f"red_mug-{number}.png")
    return cut_outs(folder)


def drawn(job, scores=(0.1, 0.8), label="size_mismatch", size=(300, 200), on_exhausted="best", **limits):
    """(pictures, report) of a real run of the loop, whose attempts get these probabilities of being available."""

    def generate(index, seed, check):
        check(1, 1, lambda: None)
        return torch.full((3, *size[::-1]), index / 10), None

    def review(image):
        p = scores[round(float(image[0, 0, 0]) * 10)]
        return {
            "label": "available" if p >= 0.5 else label,
            "probabilities": {"available": p, label: 1 - p},
            "accepted": p >= 0.5,
        }

    result = run(generate, review, job.seed, len(scores), on_exhausted, **limits)
    return [Image.new("RGB", size, (20 * attempt.index, 90, 90)) for attempt in result.attempts], result.report()


def files(folder: Path) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Links(HTMLParser):
    """Everything that a page points to, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data):
        self.words.append(data)


def check_page(path: Path) -> Links:
    """Parses; points only at files below its own folder; runs and loads nothing."""
    text = path.read_text(encoding="utf-8")
    page = Links(text)
    assert (
        not page.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
        and "url(" not in text
        and "@import" not in text
    )
    for link in page.links:
        assert (
            re.fullmatch(r"[\w%.~/-]+", link)
            and path.parent.resolve() in (path.parent / unquote(link)).resolve().parents
        )
    return page
