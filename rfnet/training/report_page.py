"""One page on an adaptation: what each defect gained, the worst mistakes as pictures, and what was learned from how
many labels. It needs no other file but the pictures beside it.
"""

from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from ..data.samples import Samples
from ..files import write_picture, write_text
from ..labels import LABELS, PLAIN

WORST = 10
PAGE_FILES = ("index.html", "pictures/1.png")
METHODS = {
    "keep": "nothing",
    "head": "a head on the reviewer's features",
    "low_rank": "a change of a low rank for each weight",
    "full": "the whole network",
}
STYLE = """
:root { color-scheme: light dark; --faint: #667; --line: #8884; --before: #999; --after: #2a78d6; --bad: #c33; }
@media (prefers-color-scheme: dark) { :root { --faint: #99a; --before: #888; --after: #6aaaf5; --bad: #f77; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
table { border-collapse: collapse; } td, th { padding: .25rem .9rem .25rem 0; text-align: left; vertical-align: middle;
  border-bottom: 1px solid var(--line); } td.number { text-align: right; font-variant-numeric: tabular-nums; }
.faint { color: var(--faint); }
.worst { display: grid; grid-template-columns: repeat(auto-fill, minmax(10.5rem, 1fr)); gap: 1rem; padding: 0; }
.worst li { list-style: none; font-size: .85rem; line-height: 1.35; } .worst img { width: 100%; border-radius: 4px; }
.said { color: var(--bad); } svg text { fill: currentColor; font-size: 11px; }
"""


def write_page(folder, report: dict, samples: Samples, before: np.ndarray, after: np.ndarray) -> Path:
    """Writes index.html and its pictures into a folder, which may be there, and returns the page's path.

    report: of adapt; samples: the N labelled pictures; before, after: probabilities (N, 5) of the old reviewer and of
    what had not learned from the picture. Raises OSError.
    """
    folder = Path(folder)
    worst = _worst(samples, after)
    for place, row in enumerate(worst, 1):
        write_picture(folder / "pictures" / f"{place}.png", Image.fromarray(samples.read(row)["image"]))
    cards = [_card(place, row, samples, before, after) for place, row in enumerate(worst, 1)]
    body = [
        f"<h1>{escape(report['dataset'])}: what the reviewer learned</h1>",
        f"<p>{escape(report['reason'])}</p>",
        "<h2>Average precision, before and after</h2>",
        _scores(report["held_out"]),
        f"<h2>The {len(worst)} worst mistakes</h2>" if worst else "<h2>No mistakes</h2>",
        '<p class="faint">By what had not learned from the picture. Look whether the label is right, and label more'
        " pictures like these.</p>"
        if worst
        else "",
        f'<ul class="worst">{"".join(cards)}</ul>',
        "<h2>What it learned from</h2>",
        _learned_from(report),
        "<h2>What was tried</h2>",
        _tried(report),
    ]
    title = f"{escape(report['dataset'])}: adapted reviewer"
    write_text(
        folder / "index.html",
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}</style></head>\n<body>\n'
        + "\n".join(body)
        + "\n</body></html>\n",
    )
    return folder / "index.html"


def _worst(samples: Samples, after: np.ndarray) -> list[int]:
    """Rows of the mistakes that it was surest of: another label, or an available picture that it finds bad."""
    labels = samples.labels.astype(int)
    loss = -np.log(np.clip(after[np.arange(len(labels)), labels], 1e-9, 1))
    wrong = np.flatnonzero(after.argmax(1) != labels)
    return wrong[np.argsort(-loss[wrong], kind="stable")][:WORST].tolist()


def _card(place: int, row: int, samples: Samples, before: np.ndarray, after: np.ndarray) -> str:
    label = int(samples.labels[row])
    said = int(after[row].argmax())
    earlier = int(before[row].argmax())
    return (
        f'<li><img src="pictures/{place}.png" alt="mistake {place}" loading="lazy"><b>{_plain(label)}</b>, you say.<br>'
        f'<span class="said">{_plain(said)} {after[row, said]:.2f}</span>, it says'
        f' (<span class="faint">before: {_plain(earlier)} {before[row, earlier]:.2f}</span>).</li>'
    )


def _scores(held_out: dict) -> str:
    """A row for each label: its scores before and after with their intervals, and the difference."""
    rows = []
    for label in LABELS:
        old, new = (held_out[when]["ap"] if label == LABELS[0] else held_out[when]["defects"][label] for when in WHEN)
        gain = held_out["difference"]["ap"] if label == LABELS[0] else held_out["difference"]["defects"][label]
        if new["value"] is None:
            rows.append(
                f'<tr><td>{_plain(LABELS.index(label))}</td><td colspan="4" class="faint">not labelled</td></tr>'
            )
            continue
        rows.append(
            f"<tr><td>{_plain(LABELS.index(label))}</td><td>{_bars(old, new)}</td>"
            f'<td class="number">{old["value"]:.2f}</td><td class="number">{new["value"]:.2f}</td>'
            f'<td class="number">{gain["value"]:+.2f} <span class="faint">({_span(gain)})</span></td></tr>'
        )
    ece = [held_out[when]["ece"]["value"] for when in WHEN]
    return (
        "<table><tr><th></th><th>0 to 1, with 95 % intervals</th><th>before</th><th>after</th><th>gain</th></tr>"
        f'{"".join(rows)}</table><p class="faint">Grey: before. Blue: after. Calibration error of p(available):'
        f" {ece[0]:.2f} before, {ece[1]:.2f} after.</p>"
    )


WHEN = ("before", "after")


def _span(score: dict) -> str:
    return "no interval" if score["low"] is None else f"{score['low']:+.2f} to {score['high']:+.2f}"


def _bars(old: dict, new: dict, width: int = 260) -> str:
    """Two intervals over each other."""
    marks = []
    for y, score, colour in ((6, old, "var(--before)"), (16, new, "var(--after)")):
        x = score["value"] * width
        if score["low"] is not None:
            low, high = score["low"] * width, score["high"] * width
            line = f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="{colour}" stroke-width="2"/>'
            marks.append(line)
        marks.append(f'<circle cx="{x:.1f}" cy="{y}" r="4" fill="{colour}"/>')
    axis = f'<line x1="0" x2="{width}" y1="22" y2="22" stroke="var(--line)"/>'
    return f'<svg width="{width}" height="24" viewBox="-4 0 {width + 8} 24" role="img">{axis}{"".join(marks)}</svg>'


def _learned_from(report: dict) -> str:
    counts = "".join(
        f'<tr><td>{_plain(LABELS.index(label))}</td><td class="number">{count}</td></tr>'
        for label, count in report["labels"].items()
    )
    mixed = f" and {report['mixed_in']} pictures that it knew before" if report["mixed_in"] else ""
    known = report["remembered"]
    kept = (
        f"<p>On {known['n']} pictures of before: {known['before']:.3f}, now {known['after']:.3f}.</p>" if known else ""
    )
    return f"<p>{report['n']} labels of {report['products']} products{mixed}.</p><table>{counts}</table>{kept}"


def _tried(report: dict) -> str:
    rows = "".join(
        f'<tr><td>{escape(row["name"])}</td><td class="number">{row["loss"]:.3f}</td>'
        f'<td class="number">{row["ap"]:.3f}</td></tr>'
        for row in report["candidates"]
    )
    return (
        f"<p>What learned: {METHODS[report['method']]}. {report['folds']} folds {escape(report['split'])}; each is"
        " judged by what learned from the others.</p><table><tr><th>candidate</th><th>cross-entropy</th>"
        f"<th>average precision of available</th></tr>{rows}</table>"
        f'<p class="faint">{report["seconds"]:.0f} seconds</p>'
    )


def _plain(label: int) -> str:
    return escape(PLAIN[LABELS[label]])
