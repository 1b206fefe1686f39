"""The pictures of benchmarks/rfft.py: sheets to label, what their labels say, the README's grid of before and
after, and the front of rate against diversity.
"""

from __future__ import annotations

import hashlib
import io
import json

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from reliable_ads.pocket.training.label_sheets import sheet
from reliable_ads.rfnet.files import write_bytes, write_picture, write_text
from reliable_ads.rfnet.sheets import GREEN, RED, contact_sheet, to_image

from . import tuning
from .common import RESULTS, ROOT, Figure, mean, share
from .figures.rfft import RUNS

LABELS = ROOT / "benchmarks" / "labels" / "rfft_labels.json"
PER_SHEET = 20  # pictures
BLOCK = 100  # products that are labelled together
EACH = 3  # labellers of a picture
PAIRED = 100  # products shown in pairs
GRID, FRONT = ROOT / "docs" / "pictures" / "rfft_before_after.jpg", ROOT / "docs" / "pictures" / "rfft_front.png"
COLLAPSE = ROOT / "docs" / "pictures" / "rfft_collapse.jpg"
COLUMNS, CELL = 10, 128
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
    return {}, {"labels_rows": rows}


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
        pictures, texts = [], []
        for row in rows[first : first + PER_SHEET // 2]:
            ways = ("before", "after") if row["after"] == "right" else ("after", "before")
            pictures += [to_image(drawn[way].pictures[row["product"] * studio.seeds + 1]) for way in ways]
            texts += [
                f"{row['product']} left: {studio.products[row['product']].product.caption}",
                f"{row['product']} right",
            ]
        write_picture(options.out / f"pairs-{first:03d}.png", sheet(pictures, texts, 4, 300))
    write_text(options.out / "pairs.json", json.dumps(rows))
    return {}, {"labels_pairs": rows}


def preferred(found: dict, rows: list) -> np.ndarray:
    """For each pair 1 where the picture of after is the one to publish, 0 where the other is, and a half for "same";
    found: {product: "left", "right" or "same"}.
    """
    return np.array(
        [0.5 if (side := found[str(row["product"])]) == "same" else float(side == row["after"]) for row in rows]
    )


def labels(options) -> tuple[dict[str, Figure], dict]:
    """Labels by language models, {"labels": {labeller: {hash: label}}}: the share that is available before and after by
    what most labellers of a picture say, and the difference of the same products, over all of them and by hundreds.
    "pairs", {labeller: {product: side}}: how often the picture of after is preferred.
    """
    given, report = (json.loads(file.read_text(encoding="utf-8")) for file in (LABELS, RESULTS / "rfft.json"))
    rows, pairs = report["details"]["labels_rows"], report["details"]["labels_pairs"]
    figures = labelled(given["labels"], rows)
    votes = {name: preferred(found, pairs) for name, found in given["pairs"].items()}
    figures["labels_prefers"] = Figure(*mean(sum(votes.values()) / len(votes)), len(pairs))
    figures |= {f"labels_prefers_{name}": Figure(*mean(found), len(found)) for name, found in votes.items()}
    return figures, {}


def labelled(given: dict, rows: list) -> dict[str, Figure]:
    """The shares before and after, and their difference; given: {labeller: {hash: label}}; rows: what was labelled."""
    of_picture = {
        row["hash"]: [found[row["hash"]] == "available" for found in given.values() if row["hash"] in found]
        for row in rows
    }
    if missing := [picture for picture, said in of_picture.items() if len(said) != EACH]:
        raise SystemExit(
            f"{LABELS} lacks labels, {EACH} each, for {len(missing)} pictures of the last sheets: label them again"
        )
    usable = {(row["way"], row["product"]): sum(of_picture[row["hash"]]) > EACH / 2 for row in rows}
    products = sorted({row["product"] for row in rows})
    figures = {}
    for number in range(0, len(products), BLOCK):
        figures |= gained(f"_{number // BLOCK + 1}", usable, products[number : number + BLOCK])
    figures |= gained("", usable, products)
    for name, found in given.items():
        own = {(row["way"], row["product"]): found[row["hash"]] == "available" for row in rows if row["hash"] in found}
        figures |= gained(f"_{name}", own, sorted({product for _, product in own}))
    return figures


def gained(name: str, usable: dict, products: list) -> dict[str, Figure]:
    """usable: {(way, product): bool}."""
    before, after = (np.array([usable[way, product] for product in products], float) for way in ("before", "after"))
    return {
        f"labels_gain{name}": Figure(*mean(after - before), len(products)),
        f"labels_before{name}": Figure(*share(int(before.sum()), len(before)), len(before)),
        f"labels_after{name}": Figure(*share(int(after.sum()), len(after)), len(after)),
    }


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
    chosen = [5 * i for i in range(2 * COLUMNS) if 5 * i < len(studio.products)]
    halves = []
    for way, found in drawn.items():
        rows = [product * studio.seeds for product in chosen]
        passed = [bool(found.reviewer[row] >= 0.5) for row in rows]
        cells = [edged(to_image(found.pictures[row]), fits) for row, fits in zip(rows, passed)]
        half = Image.new("RGB", (COLUMNS * (CELL + 4) + 4, 2 * (CELL + 4) + 40), "white")
        half.paste(contact_sheet(cells, COLUMNS, gap=2), (2, 34))
        pen = ImageDraw.Draw(half)
        pen.text((6, 6), f"{way}: {sum(passed)} of {len(rows)} pass", "black", ImageFont.load_default(22))
        halves.append(half)
    return contact_sheet(halves, columns=1)


def edged(picture: Image.Image, passed: bool) -> Image.Image:
    cell = Image.new("RGB", (CELL + 2, CELL + 2), GREEN if passed else RED)
    cell.paste(picture.resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (3, 3))
    return cell


def collapse(drawn: dict, studio) -> Image.Image:
    """A row for each way: every twentieth product, once."""
    chosen = [
        studio.seeds * product for product in range(0, len(studio.products), max(1, len(studio.products) // COLUMNS))
    ][:COLUMNS]
    lines = []
    for way, found in drawn.items():
        line = Image.new("RGB", (COLUMNS * CELL, CELL + 28), "white")
        ImageDraw.Draw(line).text((4, 4), way, "black", ImageFont.load_default(18))
        line.paste(contact_sheet([to_image(found.pictures[row]) for row in chosen], COLUMNS), (0, 28))
        lines.append(line)
    return contact_sheet(lines, columns=1)


def front(histories: dict) -> bytes:
    """Every evaluation of every training on validation products: the rate against the diversity that is left."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7.5, 4.6), layout="constrained")
    styles = {"": "-", "long": "-", "strong": "--", "again": "-."}
    for name, rows in histories.items():
        kind, _, variety = name.partition("_")
        kept, risen = (
            [row["diversity"] / rows[0]["diversity"] for row in rows],
            [100 * row["rate"]["value"] for row in rows],
        )
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
