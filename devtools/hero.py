"""Draws the README's first picture: one product, five attempts of a real run, four of them rejected with their reasons,
the fifth accepted.

    python -m reliable_ads.devtools.hero --products PRODUCTS.zip [--out docs/pictures/five_attempts.jpg] [--seconds 120]

PRODUCTS.zip is what `synthetic products --split test` writes: products that no network was trained on, each with its
own prompt and first seed. The loop draws for one after the other until a picture is accepted. Shown are the last five
attempts of the run whose four rejections have most different reasons, at least three, and whose accepted picture has a
p(available) of at least 0.8; among several such runs the one with the surest verdicts. The loop then draws it once more
by itself, and the command prints product, prompt and seeds.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..cyclic.loop import RecurrentRun, run
from ..pocket.family import PICTURE_SIZE
from ..pocket.ldm import load_pocket
from ..pocket.pipeline import sample
from ..rfnet.files import write_picture
from ..rfnet.labels import LABELS, PLAIN
from ..rfnet.product import place
from ..rfnet.sheets import GREEN, RED, contact_sheet, to_image
from ..rfnet.weights import DEFAULT_WEIGHTS, load_reviewer
from ..synthetic.jobs import Job, jobs_of
from .comfy import ROOT

ATTEMPTS, MOST, REASONS = 5, 12, 3  # shown; tried for one product; different ones at least
SURE = 0.8  # p(available) of the accepted one, at least

THUMB, GAP, STRIP = 300, 20, 58
PAPER, INK = (255, 255, 255), (40, 40, 40)


class Studio:
    """The shipped models."""

    def __init__(self):
        self.pocket, self.reviewer = load_pocket(), load_reviewer(DEFAULT_WEIGHTS)

    def run(self, job: Job, seed: int, attempts: int) -> RecurrentRun:
        """The loop, as anyone would call it."""
        canvas = place(job.product, PICTURE_SIZE, PICTURE_SIZE)

        def draw(index, seed, check):
            return sample(self.pocket, [canvas], [job.prompt], [seed])[0], None

        return run(draw, lambda image: self.reviewer.review(image[None], canvas).rows()[0], seed, attempts)


def worth(rows: list[dict]) -> float:
    """How much there is to see in five verdicts; 0 unless four rejections for at least three different defects are
    followed by a sure acceptance.
    """
    *rejected, last = rows
    if (
        len(rows) < ATTEMPTS
        or not last["accepted"]
        or last["probabilities"]["available"] < SURE
        or any(row["accepted"] or row["label"] == "available" for row in rejected)
    ):
        return 0.0
    sure = [row["probabilities"][row["label"]] for row in rows]
    reasons = len({row["label"] for row in rejected})
    return reasons + float(np.mean(sure)) if reasons >= REASONS else 0.0


def search(studio: Studio, jobs: list[Job], seconds: float) -> tuple[Job, int]:
    """(job, first seed) of the best run found in this time. Raises SystemExit where there is none."""
    until, best = time.monotonic() + seconds, (0.0, None, 0)
    for job in jobs:
        if time.monotonic() > until:
            break
        attempts = studio.run(job, job.seed, MOST).attempts
        found = worth([attempt.review for attempt in attempts[-ATTEMPTS:]])
        if found > best[0]:
            best = found, job, attempts[-ATTEMPTS].seed
    if best[1] is None:
        raise SystemExit(
            "no run of four rejected attempts with three reasons and an accepted one was found: give it more --seconds"
            " or other --products."
        )
    return best[1:]


def picture(result: RecurrentRun) -> Image.Image:
    """Five attempts side by side, each with its verdict below."""
    panels = [panel(attempt) for attempt in result.attempts]
    return contact_sheet(panels, len(panels), gap=GAP, margin=GAP, ground=PAPER)


def panel(attempt) -> Image.Image:
    """One attempt: struck out in red with the reason, or ticked in green.

    Drawn at twice its size, so that lines are smooth.
    """
    accepted, size = attempt.review["accepted"], 2 * THUMB
    colour = GREEN if accepted else RED
    whole = Image.new("RGB", (size, size + 2 * STRIP), PAPER)
    shown = to_image(attempt.image).resize((size, size), Image.Resampling.BICUBIC)
    if not accepted:
        shown = Image.blend(shown, Image.new("RGB", shown.size, PAPER), 0.18)
    whole.paste(shown, (0, 0))
    pen = ImageDraw.Draw(whole)
    if not accepted:
        pen.line((size * 0.04, size * 0.96, size * 0.96, size * 0.04), RED, 14)
    pen.rectangle((0, 0, size - 1, size - 1), outline=colour, width=10)
    mark(pen, 34, size + 62, accepted, colour)
    label = attempt.review["label"]
    pen.text((82, size + 18), "accepted" if accepted else PLAIN[label], colour, ImageFont.load_default(46))
    chance = (
        f"fit to publish {attempt.review['probabilities']['available']:.0%}"
        if accepted
        else f"{attempt.review['probabilities'][label]:.0%} sure"
    )
    pen.text((82, size + 70), f"attempt {attempt.index + 1} · {chance}", INK, ImageFont.load_default(34))
    return whole.resize((THUMB, THUMB + STRIP), Image.Resampling.LANCZOS)


def mark(pen: ImageDraw.ImageDraw, x: float, y: float, accepted: bool, colour) -> None:
    """A tick or a cross, 52 pixels wide, around a point."""
    strokes = (
        [[(x - 26, y), (x - 8, y + 20), (x + 26, y - 24)]]
        if accepted
        else [[(x - 20, y - 20), (x + 20, y + 20)], [(x - 20, y + 20), (x + 20, y - 20)]]
    )
    for stroke in strokes:
        pen.line(stroke, colour, 12, joint="curve")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--products", type=Path, required=True, help="the .zip of `synthetic products`")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "five_attempts.jpg")
    parser.add_argument("--seconds", type=float, default=120, help="how long to look for a run")
    options = parser.parse_args()
    jobs, studio = jobs_of(options.products), Studio()
    job, seed = search(studio, jobs, options.seconds)
    result = studio.run(job, seed, ATTEMPTS)
    if worth([attempt.review for attempt in result.attempts]) == 0:
        raise SystemExit("drawn one by one, the run came out differently: run this again.")
    board = picture(result)
    if options.out.suffix.lower() in (".jpg", ".jpeg"):
        options.out.parent.mkdir(parents=True, exist_ok=True)
        board.save(options.out, quality=90)
    else:
        write_picture(options.out, board)
    print(f"{options.out}: {job.product.caption}; prompt: {job.prompt}; seeds {seed} to {seed + ATTEMPTS - 1}")
    for attempt in result.attempts:
        print(
            "  ",
            attempt.seed,
            attempt.review["label"],
            {label: attempt.review["probabilities"][label] for label in LABELS},
        )


if __name__ == "__main__":
    main()
