"""Adapting a reviewer to one's own pictures: it learns from labels of one's own in the way that cross-validation over
products likes best, and the old reviewer stays where none is better.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..data.errors import DataError
from ..data.labelling import ENOUGH, LabelFolder
from ..data.samples import Samples
from ..data.sources import open_samples
from ..files import sha256_of
from ..labels import LABELS
from ..model import RFNet
from ..weights import load_networks, save_reviewer
from .candidates import Choice, choose, out_of_fold
from .comparison import compare
from .folds import Folds, check_labels, contradicting, folds
from .learners import Learners, Old
from .methods import METHODS

THRESHOLD = 0.5  # of p(available), calibrated on pictures that it did not learn from
FORGOTTEN = 0.02  # average precision on what it knew before, of which more must not be lost
CACHE = "features.safetensors"  # beside the labels


@dataclass
class Adapted:
    """report: JSON-able; path: the new weights file, None where the old reviewer is better."""

    report: dict
    path: Path | None


class Progress:
    """A `watch` for adapt that says "reading pictures", or "full, fold 2 of 3: step 3/40", before each pass of a
    network.

    say(text, done, steps): steps is 0 while nothing is trained. check(): called before each pass of any network; what
    it raises ends everything.
    """

    def __init__(self, say: Callable, check: Callable = lambda: None):
        self.say = say
        self.check = check
        self.stage = ""

    def tell(self, stage: str) -> None:
        """What is being tried now."""
        self.stage = stage
        self.check()
        self.say(stage, 0, 0)

    def __call__(self, network, steps: int) -> None:
        done = 0

        def before_pass(module, _):
            nonlocal done
            self.check()
            if isinstance(module, RFNet) and steps and module.training:
                done += 1
                self.say(f"{self.stage}: step {done}/{steps}", done - 1, steps)
            elif not steps:
                self.say("reading pictures", 0, 0)

        network.register_forward_pre_hook(before_pass)


@dataclass
class Labelled:
    """What there is to learn from: samples, their folds, and sentences on what was left out or is lacking."""

    name: str
    samples: Samples
    folds: Folds
    notes: list = field(default_factory=list)

    @property
    def labels(self) -> np.ndarray:
        return self.samples.labels.astype(int)


def adapt(
    weights,
    labels,
    out,
    epochs: float = 4,
    lr: float = 2e-4,
    seed: int = 0,
    mixed: dict | None = None,
    watch=lambda network, steps: None,
    cpu: bool = False,
    method: str = "auto",
    keep_worse: bool = False,
    tell: Callable = lambda stage: None,
) -> Adapted:
    """Learns from labels, starting from a reviewer file, and writes `out` if it is no worse on pictures that it did not
    learn from.

    labels: a LabelFolder, or data as sources.open_samples reads them. method: "head" fits an added head on the features
    of the network, in seconds; "full" trains the whole network on, for `epochs` at the rate `lr`; "auto" takes what
    cross-validation likes best. keep_worse: write it all the same. mixed: {"train", "val": folders or tables}, labelled
    pictures from elsewhere: it learns from the first so that it forgets less, and must not get worse on the second.
    watch(network, steps): called once with each network that will look at pictures, steps being the training steps to
    come (0 where it only looks); what it raises from a hook there, such as a cancel, ends everything with nothing
    written to `out`. tell(stage): what is being tried. cpu: stay off the accelerator that is there. Raises DataError,
    weights.WeightsError, OSError.
    """
    began = time.monotonic()
    out = Path(out)
    mixed = mixed or {}
    if method not in METHODS:
        raise DataError(f'the method is "{method}": use one of {", ".join(METHODS)}.')
    if out.exists():
        raise DataError(f'"{out.name}" is there already: choose another name, or load it with RF Load Reviewer.')
    size = load_networks(weights)[0].config.image_size
    data = _open(labels, size, 4 if method == "head" else 3)
    others = {name: open_samples(path, size).without_broken() for name, path in mixed.items()}
    cache = labels.folder / CACHE if isinstance(labels, LabelFolder) else None
    learners = Learners(Old.load(weights, sha256_of(weights), watch), data.samples, others, cache, watch, cpu)
    learners.tuning(epochs, lr, seed)
    judged = [out_of_fold(candidate, data.folds, data.labels, tell) for candidate in learners.candidates(method)]
    choice, learned, remembered = _learn(learners, judged, data, keep_worse, tell)
    held_out = compare(
        learners.before(),
        choice.probabilities,
        data.labels,
        data.samples.product_ids,
        (learners.old.threshold, THRESHOLD),
    )
    better = learned is not None and (keep_worse or held_out["difference"]["ap"]["value"] >= 0)
    report = _report(data, others, judged, choice) | {
        "kept": better,
        "file": out.name if better else None,
        "held_out": held_out,
        "remembered": remembered,
        "seconds": round(time.monotonic() - began, 1),
    }
    report = {"reason": _reason(report), **report}
    if better and learned:
        save_reviewer(out, learned[0], learned[1], _about(learners.old, data, choice.temperature, report))
    return Adapted(report, out if better else None)


def _about(old: Old, data: Labelled, temperature: float, report: dict) -> dict:
    """What the new file's metadata says."""
    return {
        "temperature": f"{temperature:.4f}",
        "threshold": str(THRESHOLD),
        "data_fingerprint": data.samples.fingerprint,
        "scores": {"split": f"cross-validated by {data.folds.by}", **report["held_out"]["after"]},
        "created_with": "RF Adapt Reviewer",
        "adapted": report,
        "maps": old.metadata["maps"],
    }


def _report(data: Labelled, others: dict, judged: list, choice: Choice) -> dict:
    """What was learned from, and how."""
    return {
        "method": choice.best.method,
        **choice.best.options,
        "dataset": data.name,
        "split": f"by {data.folds.by}",
        "folds": len(data.folds),
        "n": len(data.samples),
        "products": len(set(data.samples.product_ids)),
        "labels": data.samples.count_labels(),
        "mixed_in": len(others["train"]) if "train" in others else 0,
        "damaged": data.samples.findings.damaged + sum(each.findings.damaged for each in others.values()),
        "candidates": [
            {"name": one.candidate.name, "loss": round(float(one.losses.mean()), 4), "ap": round(one.ap, 4)}
            for one in judged
        ],
        "notes": data.notes,
    }


def _learn(learners: Learners, judged: list, data: Labelled, keep_worse: bool, tell) -> tuple:
    """(Choice, (RFNet, MapNet) that have learned from all labels or None where the old reviewer is best, what they know
    of before). What forgets too much is passed over, and the next best is taken. keep_worse: the old one is no choice.
    """
    left = judged[1:] if keep_worse else judged
    while True:
        choice = choose(left, data.folds, data.labels)
        if choice.best.method == "keep":
            return choice, None, None
        tell(f"{choice.best.name}, all labels")
        learned = learners.learn(choice.best)
        remembered = learners.remembered(choice.best, learned)
        if keep_worse or remembered is None or remembered["after"] >= remembered["before"] - FORGOTTEN:
            return choice, learned, remembered
        data.notes.append(
            f"{choice.best.name} was passed over: average precision on what it knew before fell from"
            f" {remembered['before']:.3f} to {remembered['after']:.3f}."
        )
        left = [one for one in left if one.candidate is not choice.best]


def _open(labels, size: int, count: int) -> Labelled:
    """The labelled pictures that can be learned from. Raises DataError."""
    if isinstance(labels, LabelFolder):
        check_labels([LABELS.index(label) for label in labels.read().labels.values()], ENOUGH)
        name = labels.folder.name
        samples = open_samples(labels.write_table(), size)
    else:
        name = Path(labels).name
        samples = open_samples(labels, size)
    samples = samples.without_broken()
    out, sentences = contradicting(samples)
    notes = []
    if sentences:
        notes.append(
            f"{int(out.sum())} labels contradict each other and were left out, first: {sentences[0]} Label one of them"
            " again, or take both labels back."
        )
        samples = samples.select(~out)
    check_labels(samples.labels, ENOUGH)
    divided = folds(samples.labels, samples.product_ids, count)
    products = len(set(samples.product_ids))
    if divided.by == "picture":
        which = "are all of one product" if products == 1 else f"are of {products} products, too few to divide"
        notes.append(
            f"The labels {which}, so pictures of a product both taught and judged: on new products it may do worse."
            " Label pictures of more products, some available and some not."
        )
    if missing := [name for name, number in samples.count_labels().items() if not number]:
        notes.append(
            f"No picture is labelled {', '.join(missing)}: what it knows of that stays as it is. Label some, five of"
            " each at least, where your pictures have such defects."
        )
    return Labelled(name, samples, divided, notes)


def _reason(report: dict) -> str:
    """What became of it, in a few sentences."""
    before, after = (report["held_out"][when]["ap"]["value"] for when in ("before", "after"))
    gain = report["held_out"]["difference"]["ap"]
    how = {"head": "a head on its features", "low_rank": "low-rank changes", "full": "the whole network", "keep": ""}
    if report["kept"]:
        text = f"The adapted reviewer is kept ({how[report['method']]})"
    else:
        text = "The old reviewer stays and nothing was written"
    text += (
        f': average precision of "available" on {report["n"]} labels, each judged by what had not learned from it, was'
        f" {before:.3f} and is {after:.3f} after it."
    )
    if report["kept"] and not gain["low"] > 0:
        text += f" With so few labels that may be chance ({gain['low']:+.3f} to {gain['high']:+.3f}): label more."
    if not report["kept"]:
        text += " Label more pictures, of more products."
    if report["damaged"]:
        text += (
            f" {report['damaged']} files to learn from are damaged or gone and were left out; the console names them."
        )
    return " ".join([text, *report["notes"]])
