"""The pictures of benchmarks/rfft.py: sheets to label, what was said of them, the README's grid of before and after,
and the front of rate against diversity.

Of `sheets`, OUT/sheet-000.png ... show one picture of a product at a time, to be labelled ("tuned") and to be told
surface and room of ("prompts", in the words of OUT/choices.json); OUT/pairs-000.png ... show before and after of the
same product and seed side by side ("beauty"). benchmarks/labelled.py keeps the answers.
"""

from __future__ import annotations

import io
import json

import numpy as np
from PIL import Image, ImageDraw

from reliable_ads.pocket.training.label import AVAILABLE, majority
from reliable_ads.rfnet.files import write_bytes, write_picture, write_text
from reliable_ads.rfnet.lettering import letters, write
from reliable_ads.rfnet.sheets import GREEN, RED, contact_sheet, to_image
from reliable_ads.synthetic.scenes import PANORAMAS, SURFACES, WALL_COLOURS, WALLS, wall_words

from . import labelled, tuning
from .common import RESULTS, ROOT, Figure, mean, share
from .rfft_fronts import together

PAIRS = 10  # on a sheet
GRID, FRONT = ROOT / "docs" / "pictures" / "rfft_before_after.jpg", ROOT / "docs" / "pictures" / "rfft_front.png"
COLLAPSE = ROOT / "docs" / "pictures" / "rfft_collapse.jpg"
COLUMNS, CELL = 8, 192
COLOURS = {"none": "#c05040", "kl": "#d0a040", "cc": "#4878a8"}
INTERVALS = {"labels": lambda values: share(int(sum(values)), len(values)), "prompt": mean, "beauty": mean}
SHOWN = {"none": "no regulariser", "kl": "KL", "cc": "consistent condition"}


def studio_of(options):
    return tuning.Studio(options.products, quick=options.quick)


def both(options, studio) -> dict:
    """{"before", "after": Drawn} of the shipped training."""
    return {"before": studio.draw("before"), "after": studio.draw(options.tuned, tuning.adapter(options.tuned))}


def sheets(options) -> tuple[dict[str, Figure], dict]:
    """The first picture of --labelled products before and after the shipped training, and of --each products of every
    other training; and pairs of second pictures of as many products.
    """
    studio = studio_of(options)
    drawn = both(options, studio) | {
        name: studio.draw(name, tuning.adapter(name)) for name in options.runs if name != options.tuned
    }
    rows, found, pairs = [], [], []
    (options.out / "pictures").mkdir(parents=True, exist_ok=True)
    for way, pictures in drawn.items():
        count = options.labelled if way in ("before", "after") else options.each
        for product in range(min(count, len(studio.products))):
            job, picture = studio.products[product], to_image(pictures.pictures[product * studio.seeds])
            path = options.out / "pictures" / f"{way}-{product:03d}.png"
            write_picture(path, picture)
            found.append((path, labelled.picture_hash(picture), job.product))
            rows.append({"way": way, "product": product, "hash": found[-1][1], "prompt": job.prompt})
            if way != "before":
                pairs.append({"way": way, "product": product})
    labelled.blind_sheets(found, options.out)
    rooms = [*PANORAMAS["train"].values(), *(wall_words(wall, colour) for wall in WALLS for colour in WALL_COLOURS)]
    choices = {"surface": ["a lawn", "sand", "snow", *SURFACES], "room": rooms}
    write_text(options.out / "choices.json", json.dumps({key: sorted(set(each)) for key, each in choices.items()}))
    return {}, {"labels_rows": rows, "labels_pairs": pair_sheets(pairs, drawn, studio, options.out)}


def pair_sheets(pairs: list, drawn: dict, studio, out) -> list:
    """OUT/pairs-000.png ... and OUT/blind_pairs.json; returns the pairs with the side on which "after" is, which lots
    decide, as they decide the order.
    """
    random = np.random.default_rng(1)
    rows = [
        {**pairs[i], "after": "right" if right else "left"}
        for i, right in zip(random.permutation(len(pairs)), random.integers(2, size=len(pairs)))
    ]
    cells = []
    for number, row in enumerate(rows):
        ways = ("before", row["way"]) if row["after"] == "right" else (row["way"], "before")
        place = row["product"] * studio.seeds + 1
        shown = contact_sheet([to_image(drawn[way].pictures[place]) for way in ways], 2, gap=4)
        cell = Image.new("RGB", (shown.width, shown.height + 26), "white")
        cell.paste(shown, (0, 26))
        write(ImageDraw.Draw(cell), (4, 3), f"{number}: {studio.products[row['product']].product.caption}", "black", 16)
        cells.append(cell)
    for first in range(0, len(cells), PAIRS):
        write_picture(out / f"pairs-{first:03d}.png", contact_sheet(cells[first : first + PAIRS], 2, gap=10, margin=6))
    write_text(out / "blind_pairs.json", json.dumps([key_of(row) for row in rows]))
    return rows


def key_of(pair: dict) -> str:
    return f"{pair['way']}-{pair['product']}-{pair['after']}"


def labels(options) -> tuple[dict[str, Figure], dict]:
    """What the labels say of the last `sheets`: how many are available before and after, of the same products, and of
    every training; how often surface and room are those of the prompt; how often "after" is preferred.
    """
    report = json.loads((RESULTS / "rfft.json").read_text(encoding="utf-8"))["details"]
    rows = report["labels_rows"]
    found = {
        "labels": usable(labelled.said("tuned"), rows),
        "prompt": adherence(labelled.answers("prompts"), rows),
        "beauty": beauty(labelled.answers("beauty"), report["labels_pairs"]),
    }
    if not {"before", "after"} <= found["labels"].keys():
        raise SystemExit("no label fits the pictures of the last `sheets` run: have them labelled again")
    figures = {
        f"{kind}_{way}": Figure(*INTERVALS[kind](list(values.values())), len(values))
        for kind, each in found.items()
        for way, values in each.items()
    }
    before, after = found["labels"]["before"], found["labels"]["after"]
    both = sorted(before.keys() & after.keys())
    figures["labels_gain"] = Figure(*mean([after[product] - before[product] for product in both]), len(both))
    fronts = report.get("fronts", [])
    for kind, each in found.items():
        each[options.tuned] = each.pop("after", {})  # the shipped training is labelled as such
        alike = on_the_same({run: values for run, values in each.items() if values})
        figures |= {f"front_{kind}_{way}": figure for way, figure in of_ways(alike).items()}
        for row in fronts:
            row[kind] = float(np.mean(alike[row["run"]])) if row["run"] in alike else None
    return figures, {"fronts": fronts}


def on_the_same(each: dict[str, dict]) -> dict[str, np.ndarray]:
    """{run: (P,)} of the products that every run has; each: {run: {product: share}}."""
    products = sorted(set.intersection(*map(set, each.values()))) if each else []
    return {run: np.array([values[product] for product in products]) for run, values in each.items()}


def of_ways(alike: dict[str, np.ndarray]) -> dict[str, Figure]:
    """Of "before" and of each way of training, over its seeds and the products together; ways with a seed that nobody
    labelled are left out.
    """
    figures = {"before": together(alike["before"][None])} if "before" in alike else {}
    for way in tuning.WAYS:
        runs = [alike[run] for seed in tuning.TRAINING_SEEDS if (run := f"{way}_{seed}") in alike]
        if len(runs) == len(tuning.TRAINING_SEEDS):
            figures[way] = together(np.stack(runs))
    return figures


def usable(said: dict, rows: list) -> dict[str, dict[int, float]]:
    """{way: {product: 1 where the majority calls its picture available, else 0}}; a picture without a majority is left
    out. said: {hash: [label of each labeller]}.
    """
    found: dict[str, dict] = {}
    for row in rows:
        answer = majority(said[row["hash"]]) if row["hash"] in said else None
        if answer:
            found.setdefault(row["way"], {})[row["product"]] = float(answer[0] == AVAILABLE)
    return found


def adherence(given: dict, rows: list) -> dict[str, dict[int, float]]:
    """{way: {product: the share of surfaces and rooms that labellers name as the prompt has them}}; given: {labeller:
    {hash: {"surface", "room"}}}.
    """
    found: dict[str, dict] = {}
    for row in rows:
        asked = asked_of(row["prompt"])
        said = [one[row["hash"]] for one in given.values() if row["hash"] in one]
        if said:
            right = [answer[kind] == asked[kind] for answer in said for kind in asked]
            found.setdefault(row["way"], {})[row["product"]] = float(np.mean(right))
    return found


def asked_of(prompt: str) -> dict[str, str]:
    """What a prompt of synthetic.jobs asks for: "photo, on SURFACE, ROOM, LIGHT"."""
    _, surface, *room, _light = prompt.split(", ")
    return {"surface": surface.removeprefix("on "), "room": ", ".join(room)}


def beauty(given: dict, pairs: list) -> dict[str, dict[int, float]]:
    """{way: {product: the share of labellers that prefer "after"}}, "same" counting half; given: {labeller: {key:
    side}}.
    """
    found: dict[str, dict] = {}
    for pair in pairs:
        said = [one[key_of(pair)] for one in given.values() if key_of(pair) in one]
        if said:
            worth = [0.5 if side == "same" else float(side == pair["after"]) for side in said]
            found.setdefault(pair["way"], {})[pair["product"]] = float(np.mean(worth))
    return found


def graph(options) -> tuple[dict[str, Figure], dict]:
    """docs/pictures: before and after of the same products and seeds, what becomes of them without a regulariser, and
    the front. quick: in OUT.
    """
    studio = studio_of(options)
    drawn = both(options, studio)
    pictures = {GRID: grid(drawn, studio)}
    if tuning.adapter(tuning.LONG).exists():
        long = studio.draw(tuning.LONG, tuning.adapter(tuning.LONG))
        ways = {"before": drawn["before"], "no regulariser": long, "consistent condition": drawn["after"]}
        pictures[COLLAPSE] = collapse(ways, studio)
    for file, picture in pictures.items():
        content = io.BytesIO()
        picture.save(content, "JPEG", quality=90)
        write_bytes(options.out / file.name if options.quick else file, content.getvalue())
    rows = json.loads((RESULTS / "rfft.json").read_text(encoding="utf-8"))["details"].get("fronts")
    if rows and not options.quick:
        write_bytes(FRONT, front(rows))
    return {}, {}


def grid(drawn: dict, studio) -> Image.Image:
    """Two rows before, two rows after, evenly chosen products; a green or red edge is the reviewer's verdict."""
    step = max(1, len(studio.products) // (2 * COLUMNS))
    chosen = range(0, len(studio.products), step)[: 2 * COLUMNS]
    halves = []
    for way, found in drawn.items():
        rows = [product * studio.seeds for product in chosen]
        passed = [bool(found.reviewer[row] >= studio.reviewer.threshold) for row in rows]
        cells = [edged(to_image(found.pictures[row]), fits) for row, fits in zip(rows, passed)]
        half = Image.new("RGB", (COLUMNS * (CELL + 4) + 4, 2 * (CELL + 4) + 40), "white")
        half.paste(contact_sheet(cells, COLUMNS, gap=2), (2, 34))
        pen = ImageDraw.Draw(half)
        pen.text((6, 6), f"{way}: {sum(passed)} of {len(rows)} pass", "black", letters(22))
        halves.append(half)
    return contact_sheet(halves, columns=1)


def edged(picture: Image.Image, passed: bool) -> Image.Image:
    cell = Image.new("RGB", (CELL + 2, CELL + 2), GREEN if passed else RED)
    cell.paste(picture.resize((CELL - 4, CELL - 4), Image.Resampling.LANCZOS), (3, 3))
    return cell


def collapse(drawn: dict, studio) -> Image.Image:
    """A row for each way: evenly chosen products, once."""
    chosen = [
        studio.seeds * product for product in range(0, len(studio.products), max(1, len(studio.products) // COLUMNS))
    ][:COLUMNS]
    lines = []
    for way, found in drawn.items():
        line = Image.new("RGB", (COLUMNS * CELL, CELL + 28), "white")
        ImageDraw.Draw(line).text((4, 4), way, "black", letters(18))
        line.paste(
            contact_sheet([to_image(found.pictures[row]).resize((CELL, CELL)) for row in chosen], COLUMNS), (0, 28)
        )
        lines.append(line)
    return contact_sheet(lines, columns=1)


def front(rows: list) -> bytes:
    """Every training on unseen products: the rate by RFNet, and by the second reviewer, against the diversity that is
    left; a line joins the betas of a loss, each the mean of its seeds.
    """
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(12, 4.4), layout="constrained")
    for axis, kind, title in zip(axes, ("rate", "second"), ("RFNet", "the second reviewer")):
        for loss, colour in COLOURS.items():
            own = [row for row in rows if row["loss"] == loss and row["run"] != tuning.LONG and row[kind] is not None]
            axis.plot(*[[row[key] for row in own] for key in ("diversity", kind)], "o", color=colour, alpha=0.4)
            means = []
            for beta in sorted({row["beta"] for row in own}):
                same = [row for row in own if row["beta"] == beta]
                means.append([np.mean([row[key] for row in same]) for key in ("diversity", kind)])
                place = {"textcoords": "offset points", "xytext": (6, 5) if loss == "cc" else (-6, -11)}
                axis.annotate(f"{beta:g}" if beta else "", means[-1], color=colour, fontsize=9, ha="center", **place)
            axis.plot(*np.array(means).reshape(-1, 2).T, "-o", color=colour, label=SHOWN[loss])
        axis.set(xlabel="diversity, of before", ylabel="accepted", title=f"Accepted by {title}")
        axis.axvline(0.9, color="#999999", linewidth=0.8, linestyle=(0, (4, 4)))
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].legend(frameon=False, fontsize=8)
    file = io.BytesIO()
    figure.savefig(file, dpi=130)
    pyplot.close(figure)
    return file.getvalue()
