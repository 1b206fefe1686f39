"""Adapting a reviewer to one's own pictures: training goes on from it with labels of one's own, and labels that it
never saw say whether it helped.
"""

import hashlib
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..architectures import ARCHITECTURES
from ..data.errors import DataError
from ..data.labelling import ENOUGH, LabelFolder
from ..data.samples import Samples
from ..data.sources import open_samples
from ..files import write_text
from ..labels import LABELS
from ..model import RFNet
from ..weights import change_metadata, load_networks
from .config import TrainConfig
from .evaluate import predict, score
from .metrics import without_nan
from .train import Run

LEAST = 40  # labels in all
LEAST_OF_KIND = 4  # of available ones, and of others
# held: to score on; val: to choose the best epoch and the temperature by
DEAL = ("train", "held", "train", "val", "train", "held", "train")
# How often a picture of one's own comes in an epoch, so that these weigh about as much as what is mixed in.
MOST_TIMES = 4
SCORES = ("ap", "accuracy", "precision", "recall", "f1", "ece")


@dataclass
class Parts:
    """A dataset's rows, as labelling.Contents.rows gives them, in three; by: "product" where no product is in two of
    them, else "picture".
    """

    train: list[dict]
    val: list[dict]
    held: list[dict]
    by: str

    @property
    def rows(self) -> dict[str, list[dict]]:
        return {"train": self.train, "val": self.val, "held": self.held}


@dataclass
class Adapted:
    """report: JSON-able; path: the new weights file, None where the old reviewer was better."""

    report: dict
    path: Path | None


class Progress:
    """A `watch` for adapt that says "scoring" and "step 3/40" before each pass of the reviewer.

    say(text, done, steps): steps is 0 while it scores. check(): called before each pass of any network; what it raises
    ends everything.
    """

    def __init__(self, say: Callable, check: Callable = lambda: None):
        self.say = say
        self.check = check
        self.done = 0

    def __call__(self, network, steps: int) -> None:
        def before_pass(module, _):
            self.check()
            if isinstance(module, RFNet) and steps and module.training:
                self.say(f"step {self.done + 1}/{steps}", self.done, steps)
                self.done += 1
            elif isinstance(module, RFNet):
                self.say("scoring", 0, 0)

        network.register_forward_pre_hook(before_pass)


def divide(rows: list) -> Parts:
    """By product where each part then has two products, available pictures and others; a product stays in its part
    while more are labelled. Else by picture.

    Raises DataError where there are too few labels for that.
    """
    available = _available(rows)
    if len(rows) < LEAST:
        raise DataError(
            f"{len(rows)} pictures are labelled: at least {LEAST} are needed, {ENOUGH} are recommended. Label more with"
            " RF Label."
        )
    for count, what in ((available, "as available"), (len(rows) - available, "with a defect")):
        if count < LEAST_OF_KIND:
            raise DataError(
                f"{count} pictures are labelled {what}: at least {LEAST_OF_KIND} are needed to learn and to score the"
                " difference. Label more with RF Label."
            )
    parts = _dealt((DEAL[_hash(row["product_id"]) % len(DEAL)], row) for row in rows)
    if all(
        len({row["product_id"] for row in part}) >= 2 and 0 < _available(part) < len(part) for part in parts.values()
    ):
        return Parts(**parts, by="product")
    kinds = ([row for row in rows if (row["label"] == LABELS[0]) == kind] for kind in (True, False))
    ordered = (sorted(kind, key=lambda row: (row["label"], _hash(row["image"]))) for kind in kinds)
    return Parts(
        **_dealt((DEAL[number % len(DEAL)], row) for kind in ordered for number, row in enumerate(kind)), by="picture"
    )


def adapt(
    weights,
    labels: LabelFolder,
    out,
    epochs: float = 4,
    lr: float = 2e-4,
    seed: int = 0,
    mixed: dict | None = None,
    watch=lambda network, steps: None,
    cpu: bool = False,
) -> Adapted:
    """Trains on from a reviewer file with the labels of a folder, and writes `out` if it is no worse on those that were
    held back.

    mixed: {"train", "val": folders or tables as sources.open_samples reads them}, labelled pictures from elsewhere, so
    that it forgets less and sees labels that are missing here. watch(network, steps): called once with each network
    that will look at pictures, steps being the training steps to come (0 for scoring); what it raises from a hook
    there, such as a cancel, ends everything with nothing written to `out`. Raises DataError, weights.WeightsError,
    OSError. cpu: stay off the accelerator that is there.
    """
    began = time.monotonic()
    out = Path(out)
    mixed = mixed or {}
    if out.exists():
        raise DataError(f'"{out.name}" is there already: choose another name, or load it with RF Load Reviewer.')
    parts = divide(labels.read().rows())
    tables = {name: _write(labels.folder / f"adapt-{name}.jsonl", rows) for name, rows in parts.rows.items()}
    other = open_samples(mixed["train"]) if "train" in mixed else None
    mixed_in = len(other) if other else 0
    _check_labels(parts.train, other)
    before = _score(weights, tables["held"], watch)
    times = max(1, min(MOST_TIMES, round(mixed_in / len(parts.train))))
    batch = max(8, min(32, (times * len(parts.train) + mixed_in) // 8))  # a few labels shall make more than one step
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder) / "reviewer.safetensors"
        config = _config(weights, tables, mixed, times, trained, epochs=epochs, batch=batch, lr=lr, seed=seed)
        run = Run(config, cpu=cpu)
        steps = max(1, round(max(1, len(run.train) // batch) * epochs))
        watch(run.networks.rfnet, steps)
        watch(run.networks.mapnet, steps)
        run()
        after = _score(trained, tables["held"], watch)
        better = after["ap"]["value"] >= before["ap"]["value"]
        report = {
            "kept": better,
            "reason": _reason(before, after, parts, run.damaged),
            "file": out.name if better else None,
            "dataset": labels.folder.name,
            "split": f"by {parts.by}",
            "labels": {name: len(rows) for name, rows in parts.rows.items()},
            "times_each": times,
            "mixed_in": mixed_in,
            "steps": steps,
            "damaged": run.damaged,
            "held_out": {"before": before, "after": after},
            "seconds": round(time.monotonic() - began, 1),
        }
        if better:
            change_metadata(trained, out, {"created_with": "RF Adapt Reviewer", "adapted": report})
    return Adapted(report, out if better else None)


def _config(weights, tables: dict[str, str], mixed: dict, times: int, out: Path, **options) -> TrainConfig:
    """A training that goes on from a reviewer file, each picture of one's own `times` times an epoch beside what is
    mixed in; the estimator of maps stays as it is.
    """
    architecture = load_networks(weights)[0].config
    if architecture.backbone != ARCHITECTURES["compact"].backbone:
        options["frozen"] = []  # the layers that compact freezes have no counterpart in another backbone
    return TrainConfig(
        train=[tables["train"]] * times + ([mixed["train"]] if "train" in mixed else []),
        val=[tables["val"]] + ([mixed["val"]] if "val" in mixed else []),
        out=str(out),
        architecture=architecture,
        weights=[weights],
        map_epochs=0,
        backbone_lr=options["lr"] * 0.4,
        **options,
    )


def _check_labels(rows: list[dict], other: Samples | None) -> None:
    """Raises DataError where nothing to train on has one of the labels: what a reviewer never sees it forgets."""
    seen = {row["label"] for row in rows}
    seen |= {name for name, count in other.count_labels().items() if count} if other else set()
    if missing := [name for name in LABELS if name not in seen]:
        raise DataError(
            f"no picture to train on is labelled {', '.join(missing)}: label some more pictures, three of each at"
            " least, or mix in data that has some."
        )


def _score(weights, table: str, watch) -> dict:
    """Scores of a reviewer file on a table, with intervals."""
    rfnet, mapnet, metadata = load_networks(weights)
    for network in (rfnet, mapnet):
        watch(network, 0)
    samples = open_samples(table, rfnet.config.image_size).without_broken()
    report = score(
        predict(rfnet, mapnet, samples), samples, float(metadata["temperature"]), float(metadata["threshold"])
    )
    return without_nan({"n": report["n"], "products": report["products"], **{name: report[name] for name in SCORES}})


def _reason(before: dict, after: dict, parts: Parts, damaged: int) -> str:
    old = before["ap"]["value"]
    new = after["ap"]["value"]
    verdict = "The adapted reviewer is kept" if new >= old else "The old reviewer stays and nothing was written"
    sentences = (
        f'{verdict}: average precision of "available" on {len(parts.held)} held-out labels was {old:.3f} and is'
        f" {new:.3f} after it."
    )
    if not after["ap"]["low"] > old:
        sentences += (
            f" With so few labels that may be chance ({after['ap']['low']:.3f} to {after['ap']['high']:.3f})."
            if new >= old
            else " Label more, or take a smaller learning rate."
        )
    if parts.by == "picture":
        sentences += (
            " The parts share products, as there are too few of them to divide: on new products it may do worse."
        )
    if damaged:
        sentences += f" {damaged} files to learn from are damaged or gone and were left out; the console names them."
    return sentences


def _dealt(pairs) -> dict:
    parts: dict[str, list[dict]] = {"train": [], "val": [], "held": []}
    for name, row in pairs:
        parts[name].append(row)
    return parts


def _write(path: Path, rows: list) -> str:
    write_text(path, "".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def _available(rows: list) -> int:
    return sum(row["label"] == LABELS[0] for row in rows)


def _hash(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:16], 16)
