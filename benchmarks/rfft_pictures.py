"""The pictures of benchmarks/rfft.py: sheets to label blind, what their labels say, the README's grid of before and
after, and the front of rate against diversity.
"""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reliable_ads.pocket.training.draw import sheet, to_image
from reliable_ads.rfnet.files import write_bytes, write_picture, write_text

from . import tuning
from .common import RESULTS, ROOT, Figure, mean, share
from .figures.rfft import RUNS

LABELS = ROOT / "benchmarks" / "labels" / "rfft.json"
PER_SHEET = 20  # pictures
BLOCK = 100  # products that are labelled together
EACH = 3  # labellers of a picture
PAIRED = 100  # products shown in pairs
GRID = ROOT / "docs" / "pictures" / "rfft_before_after.jpg"
FRONT = ROOT / "docs" / "pictures" / "rfft_front.png"
COLLAPSE = ROOT / "docs" / "pictures" / "rfft_collapse.jpg"
COLUMNS = 10
CELL = 128
COLOURS = {"none": "#c05040", "kl": "#d0a040", "cc": "#4878a8"}


def both(options) -> tuple:
    """({"before", "after": Drawn} of the tuned adapter's test products, the Studio that drew them)."""
    studio = tuning.Studio(options.products)
    return {"before": studio.draw("before"), "after": studio.draw(tuning.TUNED, tuning.adapter(tuning.TUNED))}, studio


def named(picture) -> str:
    """What a picture (3, H, W) is called, whatever it shows."""
    return hashlib.sha256(to_image(picture).tobytes()).hexdigest()[:16]


def sheets(options) -> tuple[dict[str, Figure], dict]:
    """OUT/blind-000.png ...: the first picture of each product before and after, by hundreds of products, in an order
    that tells nothing; OUT/blind.json says which is which.
    """
    drawn, studio = both(options)
    rows = []
    for first in range(0, len(studio.products), BLOCK):
        block = [
            {"way": way, "product": product, "hash": named(found.pictures[product * studio.seeds])}
            for way, found in drawn.items()
            for product in range(first, min(first + BLOCK, len(studio.products)))
        ]
        rows += [block[i] for i in np.random.default_rng(first).permutation(len(block))]
    for first in range(0, len(rows), PER_SHEET):
        part = rows[first : first + PER_SHEET]
        pictures = [to_image(drawn[row["way"]].pictures[row["product"] * studio.seeds]) for row in part]
        texts = [
            f"{first + place}: {studio.products[row['product']].product.caption}" for place, row in enumerate(part)
        ]
        write_picture(options.out / f"blind-{first:03d}.png", sheet(pictures, texts, 5, 300))
    write_text(options.out / "blind.json", json.dumps(rows))
    return {}, {"labelled_rows": rows}


def pairs(options) -> tuple[dict[str, Figure], dict]:
    """OUT/pairs-000.png ...: the second picture of 100 products before and after, side by side, the sides drawn by lot;
    OUT/pairs.json says which side is after.
    """
    drawn, studio = both(options)
    rows = [
        {"product": product, "after": "right" if right else "left"}
        for product, right in enumerate(np.random.default_rng(1).integers(2, size=min(PAIRED, len(studio.products))))
    ]
    for first in range(0, len(rows), PER_SHEET // 2):
        pictures = []
        texts = []
        for row in rows[first : first + PER_SHEET // 2]:
            ways = ("before", "after") if row["after"] == "right" else ("after", "before")
            pictures += [to_image(drawn[way].pictures[row["product"] * studio.seeds + 1]) for way in ways]
            texts += [
                f"{row['product']} left: {studio.products[row['product']].product.caption}",
                f"{row['product']} right",
            ]
        write_picture(options.out / f"pairs-{first:03d}.png", sheet(pictures, texts, 4, 300))
    write_text(options.out / "pairs.json", json.dumps(rows))
    return {}, {"labelled_pairs": rows}


def preferred(found: dict, rows: list) -> np.ndarray:
    """For each pair 1 where the picture of after is the one to publish, 0 where the other is, and a half for "same";
    found: {product: "left", "right" or "same"}.
    """
    return np.array(
        [0.5 if (side := found[str(row["product"])]) == "same" else float(side == row["after"]) for row in rows]
    )


def labels(options) -> tuple[dict[str, Figure], dict]:
    """Labels given blind, {"labels": {labeller: {hash: label}}}: the share that is available before and after by what
    most labellers of a picture say, and the difference of the same products, over all of them and by hundreds. "pairs",
    {labeller: {product: side}}: how often the picture of after is preferred.
    """
    given, details = (json.loads(file.read_text(encoding="utf-8")) for file in (LABELS, RESULTS / "rfft.json"))
    labelled = given["labels"]
    details = details["details"]
    rows = details["labelled_rows"]

    def given_to(row):
        return [found[row["hash"]] == "available" for found in labelled.values() if row["hash"] in found]

    if missing := [row["hash"] for row in rows if len(given_to(row)) != EACH]:
        raise SystemExit(
            f"{LABELS} lacks labels, {EACH} each, for {len(missing)} pictures of the last sheets: label them again"
        )
    usable = {(row["way"], row["product"]): sum(given_to(row)) > EACH / 2 for row in rows}
    products = sorted({row["product"] for row in rows})
    figures = {}

    def compared(name: str, usable: dict, products: list) -> None:
        before, after = (np.array([usable[way, product] for product in products], float) for way in ("before", "after"))
        figures[f"labels_gain{name}"] = Figure(*mean(after - before), n=len(products))
        for way, found in (("before", before), ("after", after)):
            figures[f"labels_{way}{name}"] = Figure(*share(int(found.sum()), len(found)), len(found))

    # the target is each hundred's own: the second was labelled because the first had missed it
    for number in range(0, len(products), BLOCK):
        compared(f"_{number // BLOCK + 1}", usable, products[number : number + BLOCK])
    compared("", usable, products)
    for name, found in labelled.items():
        own = {(row["way"], row["product"]): found[row["hash"]] == "available" for row in rows if row["hash"] in found}
        compared(f"_{name}", own, sorted({product for _, product in own}))
    votes = {name: preferred(found, details["labelled_pairs"]) for name, found in given["pairs"].items()}
    figures["labels_prefers"] = Figure(*mean(sum(votes.values()) / len(votes)), n=len(details["labelled_pairs"]))
    figures |= {f"labels_prefers_{name}": Figure(*mean(found), len(found)) for name, found in votes.items()}
    return figures, {}


def graph(options) -> tuple[dict[str, Figure], dict]:
    """docs/pictures: before and after of the same products and seeds, what becomes of them without a regulariser, and
    the front.
    """
    drawn, studio = both(options)
    file = io.BytesIO()
    grid(drawn, studio).save(file, "JPEG", quality=90)
    write_bytes(GRID, file.getvalue())
    long = studio.draw("none_long", tuning.adapter("none_long"))
    file = io.BytesIO()
    collapse({"before": drawn["before"], "no regulariser": long, "consistent condition": drawn["after"]}, studio).save(
        file, "JPEG", quality=90
    )
    write_bytes(COLLAPSE, file.getvalue())
    write_bytes(FRONT, front(json.loads((RESULTS / "rfft.json").read_text(encoding="utf-8"))["details"]["history"]))
    return {}, {}


def grid(drawn: dict, studio) -> Image.Image:
    """Two rows before, two rows after, every fifth product; a green or red edge is the reviewer's verdict."""
    font = ImageFont.load_default(22)
    half = 2 * (CELL + 4) + 40
    board = Image.new("RGB", (COLUMNS * (CELL + 4) + 4, 2 * half), "white")
    pen = ImageDraw.Draw(board)
    chosen = [5 * i for i in range(2 * COLUMNS) if 5 * i < len(studio.products)]
    for place, (way, found) in enumerate(drawn.items()):
        rows = [product * studio.seeds for product in chosen]
        pen.text(
            (6, place * half + 6),
            f"{way}: {sum(found.reviewer[row] >= 0.5 for row in rows)} of {len(rows)} pass",
            "black",
            font,
        )
        for number, row in enumerate(rows):
            x = 4 + number % COLUMNS * (CELL + 4)
            y = place * half + 36 + number // COLUMNS * (CELL + 4)
            pen.rectangle(
                (x - 2, y - 2, x + CELL + 1, y + CELL + 1),
                fill=(24, 138, 68) if found.reviewer[row] >= 0.5 else (205, 38, 38),
            )
            board.paste(
                to_image(found.pictures[row]).resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (x + 1, y + 1)
            )
    return board


def collapse(drawn: dict, studio) -> Image.Image:
    """A row for each way: every twentieth product, once."""
    chosen = [
        studio.seeds * product for product in range(0, len(studio.products), max(1, len(studio.products) // COLUMNS))
    ][:COLUMNS]
    board = Image.new("RGB", (COLUMNS * CELL, len(drawn) * (CELL + 28)), "white")
    pen = ImageDraw.Draw(board)
    font = ImageFont.load_default(18)
    for line, (way, found) in enumerate(drawn.items()):
        pen.text((4, line * (CELL + 28) + 4), way, "black", font)
        for column, row in enumerate(chosen):
            board.paste(to_image(found.pictures[row]), (column * CELL, line * (CELL + 28) + 28))
    return board


def front(histories: dict) -> bytes:
    """Every evaluation of every training on validation products: the rate against the diversity that is left."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.6), layout="constrained")
    styles = {"": "-", "long": "-", "strong": "--", "again": "-."}
    for name, rows in histories.items():
        kind, _, variety = name.partition("_")
        kept = [row["diversity"] / rows[0]["diversity"] for row in rows]
        risen = [100 * row["rate"]["value"] for row in rows]
        axes.plot(
            kept,
            risen,
            styles[variety],
            color=COLOURS[kind],
            label=RUNS[name],
            marker="o",
            markersize=3,
            linewidth=1.2,
        )
        axes.plot(kept[-1:], risen[-1:], "o", color=COLOURS[kind], markersize=8)
    start = next(iter(histories.values()))[0]  # the same for all
    axes.plot([1.0], [100 * start["rate"]["value"]], "D", color="black", markersize=7, label="before")
    axes.axvline(0.9, color="#999999", linewidth=0.8, linestyle=(0, (4, 4)))
    axes.set(
        xlabel="diversity, of before",
        ylabel="accepted by the reviewer, %",
        title="Validation products; large dots are where each training ended",
    )
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
    return file.getvalue()
