"""Pictures of scores, as PNG bytes. Matplotlib is needed for these alone and imported when one is drawn."""

import io

import numpy as np

from ..labels import LABELS
from .metrics import BINS

INK = "#1f2933"
GREY = "#7b8794"
LINE = "#d9dee4"
ACCENT = "#0b6e99"
DEFECTS = ("#d1495b", "#e0912f", "#5b8e3c", "#8660b0")  # by position in LABELS[1:]


def draw(report: dict) -> dict:
    """{"reliability.png", "confusion.png", "precision_recall.png": PNG bytes} of a report of evaluate.score with
    evaluate.curves.

    RuntimeError without matplotlib.
    """
    return {
        "reliability.png": reliability(report),
        "confusion.png": confusion(report),
        "precision_recall.png": precision_recall(report),
    }


def reliability(report: dict) -> bytes:
    """What p(available) says against what is true, with 95 % intervals, over a histogram of p."""
    bins = report["reliability"]
    x, y, low, high = (
        np.array(values)
        for values in zip(*((b["confidence"], *(b["share"][k] for k in ("value", "low", "high"))) for b in bins))
    )
    figure, (above, below) = _figure(6.4, 7.2, nrows=2, sharex=True, height_ratios=(4, 1))
    above.plot((0, 1), (0, 1), color=GREY, linewidth=1, linestyle=(0, (4, 3)), label="as it should be")
    above.vlines(x, low, high, color=ACCENT, alpha=0.3, linewidth=4, label="95 % interval by product")
    above.plot(x, y, "o-", color=ACCENT, linewidth=1.8, markersize=6, label="the reviewer")
    above.set(xlim=(0, 1), ylim=(-0.02, 1.02), ylabel="share that is available")
    above.legend(loc="upper left", frameon=False, fontsize=9, labelcolor=INK)
    _title(
        above,
        "Is p(available) calibrated?",
        f"calibration error {_score(report['ece'], 3)}; {report['n']:,} pictures of {report['products']:,} products",
    )
    below.bar(
        (np.floor(np.minimum(x * BINS, BINS - 1)) + 0.5) / BINS,
        [b["n"] for b in bins],
        width=0.85 / BINS,
        color=ACCENT,
        alpha=0.75,
    )
    below.set(xlabel="p(available)", ylabel="pictures")
    return _png(figure)


def confusion(report: dict) -> bytes:
    """Truth against verdict: share of each row with its interval and the count."""
    counts = np.array(report["confusion"])
    shares = report["confusion_shares"]
    values = np.array([[cell["value"] for cell in row] for row in shares])
    names = [name.replace("_", "\n") for name in LABELS]
    figure, (axes,) = _figure(7.2, 6.6)
    from matplotlib.colors import LinearSegmentedColormap

    axes.imshow(np.nan_to_num(values), cmap=LinearSegmentedColormap.from_list("", ("#f7f9fb", ACCENT)), vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        cell = shares[row][column]
        colour = "white" if values[row, column] > 0.55 else INK
        if count or row == column:
            known = cell["value"] == cell["value"]
            axes.text(
                column,
                row - 0.13,
                f"{cell['value']:.0%}" if known else "–",
                color=colour,
                ha="center",
                va="center",
                fontsize=14,
                fontweight="bold",
            )
            axes.text(
                column,
                row + 0.2,
                f"{cell['low']:.0%} to {cell['high']:.0%}\nn = {count:,}" if known else "no such picture",
                color=colour,
                ha="center",
                va="center",
                fontsize=8,
            )
    axes.set_xticks(range(len(LABELS)), names)
    axes.set_yticks(range(len(LABELS)), names)
    axes.set(xlabel="the reviewer says", ylabel="it is")
    axes.grid(False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    _title(
        axes,
        "Confusion: true label and verdict",
        f"shares of each row with 95 % intervals by product; five-way accuracy {_score(report['accuracy'])}",
    )
    return _png(figure)


def precision_recall(report: dict) -> bytes:
    """Precision against recall: "available" with its band and the thresholds in use, each defect as a thin line."""
    lines = report["precision_recall"]
    recall = np.array(lines["recall"])
    figure, (axes,) = _figure(7.2, 5.4)
    for name, colour in zip(LABELS[1:], DEFECTS):
        axes.plot(
            recall, lines[name], color=colour, linewidth=1.1, label=f"{name}  AP {_score(report['defects'][name])}"
        )
    axes.fill_between(recall, lines["low"], lines["high"], color=ACCENT, alpha=0.16, linewidth=0)
    axes.plot(recall, lines[LABELS[0]], color=ACCENT, linewidth=2.4, label=f"{LABELS[0]}  AP {_score(report['ap'])}")
    for text, x, y in _operating_points(report):
        axes.plot(x, y, "o", color="white", markeredgecolor=ACCENT, markeredgewidth=2, markersize=8, zorder=4)
        axes.annotate(
            text,
            (x, y),
            (0, -16),
            textcoords="offset points",
            ha="center",
            color=INK,
            fontsize=9,
            bbox={"facecolor": "white", "alpha": 0.75, "linewidth": 0, "pad": 1},
        )
    axes.set(
        xlim=(0, 1),
        ylim=(0, 1.02),
        xlabel="recall: share of them that is found",
        ylabel="precision: share of the found that is right",
    )
    handles, texts = axes.get_legend_handles_labels()
    axes.legend(
        handles[-1:] + handles[:-1],
        texts[-1:] + texts[:-1],
        loc="lower left",
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    _title(
        axes,
        "Precision and recall of each verdict",
        f"{report['n']:,} pictures of {report['products']:,} products, band and brackets: 95 % intervals by product",
    )
    return _png(figure)


def _operating_points(report: dict):
    """(text, recall, precision) of "available" at the threshold and at each certified risk."""
    points = [(f"threshold {report['threshold']:g}", report["recall"]["value"], report["precision"]["value"])]
    points += [
        (f"{float(risk) * 100:g} % risk", entry["recall"]["value"], 1 - entry["bad"]["value"])
        for risk, entry in report.get("risks", {}).items()
        if "refused" not in entry
    ]
    return [point for point in points if np.isfinite(point[1:]).all()]


def training(history: list) -> bytes:
    """A training's course: loss above, AP of "available" and of each defect on the validation data below.

    history: rows of train.Run.
    """
    figure, (above, below) = _figure(7.2, 6.4, nrows=2, sharex=True, height_ratios=(1, 2))
    steps = [row["step"] for row in history]
    above.plot(steps, [row["loss"] for row in history], "o-", color=INK, linewidth=1.6, markersize=4)
    above.set_ylabel("training loss")
    for name, colour in zip(LABELS[1:], DEFECTS):
        below.plot(
            steps, [row[f"ap_{name}"] for row in history], "o-", color=colour, linewidth=1.2, markersize=3, label=name
        )
    below.plot(
        steps, [row["ap"] for row in history], "o-", color=ACCENT, linewidth=2.2, markersize=5, label="available"
    )
    below.set(ylim=(0, 1.02), xlabel="step", ylabel="average precision")
    below.legend(loc="lower right", frameon=False, fontsize=9, labelcolor=INK)
    best = max(history, key=lambda row: row["ap"], default=None)
    _title(
        above, "Training", f"best: AP {best['ap']:.3f} after {best['step']:,} steps" if best else "no validation yet"
    )
    return _png(figure)


def _figure(width: float, height: float, **layout):
    """(figure, its axes as a list), in the style of this page; no global state of pyplot is touched."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise RuntimeError("drawing scores needs matplotlib: pip install matplotlib.") from None
    figure = Figure((width, height), dpi=160, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    all_axes = np.atleast_1d(figure.subplots(**layout)).tolist()
    for axes in all_axes:
        axes.grid(color=LINE, linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(GREY)
        axes.tick_params(colors=GREY, labelcolor=INK, labelsize=9)
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
    return figure, all_axes


def _title(axes, title: str, subtitle: str) -> None:
    axes.set_title(f"{title}\n", loc="left", color=INK, fontsize=13, fontweight="bold")
    axes.text(0, 1.02, subtitle, transform=axes.transAxes, color=GREY, fontsize=8.5, va="bottom", in_layout=False)


def _score(score: dict, digits: int = 2) -> str:
    """ "0.83 [0.80, 0.86]", or a dash for what could not be measured."""
    if score["value"] != score["value"]:
        return "–"
    return "{value:.{d}f} [{low:.{d}f}, {high:.{d}f}]".format(**score, d=digits)


def _png(figure) -> bytes:
    data = io.BytesIO()
    figure.savefig(data, format="png")
    return data.getvalue()
