"""Adapting a reviewer to one's own pictures: it learns from labels of one's own in the way that cross-validation over
products likes best, and the old reviewer stays where none is better.
"""

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..data.errors import DataError
from ..data.labelling import LabelFolder
from ..data.samples import Findings
from ..data.sources import open_samples
from ..files import check_writable
from ..fusion import kept_fusion
from ..model import RFNet
from ..sizes import kept_sizes
from ..weights import save_reviewer
from .candidates import TOLERANCE, Choice, choose, out_of_fold
from .comparison import compare, loss
from .finetune import Tuning, device
from .labelled import Labelled, open_labelled
from .learners import Learners, Old, remembered_pictures
from .methods import METHODS
from .remember import share_unfamiliar
from .report_page import PAGE_FILES, write_page

THRESHOLD = 0.5  # of p(available), calibrated on pictures that it did not learn from
FORGOTTEN = 0.02  # average precision on what it knew before, of which more must not be lost
CACHE = "features.safetensors"  # beside the labels


@dataclass
class Adapted:
    """report: JSON-able; path: the new weights file, None where the old reviewer is better; findings: what was wrong
    with the data, line by line, "" where nothing was.
    """

    report: dict
    path: Path | None
    findings: str = ""


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
    page=None,
    cache=None,
    numbers: dict | None = None,
) -> Adapted:
    """Learns from labels, starting from a reviewer file, and writes `out` if it is no worse on pictures that it did not
    learn from.

    labels: a LabelFolder, or data as sources.open_samples reads them, and numbers as it takes them. method: "head" fits
    an added head on the features of the network, in seconds; "low_rank" lets each weight of the network learn a change
    of a low rank, "full" trains the whole network on, both for `epochs` at the rate `lr`; "auto" takes what
    cross-validation likes best. keep_worse: write it all the same. mixed: {"train", "val": folders or tables}, labelled
    pictures from elsewhere: it learns from the first so that it forgets less, and must not get worse on the second. By
    default those that the weights remember (`rfnet remember`), if any.
    watch(network, steps): called once with each network that will look at pictures, steps being the training steps to
    come (0 where it only looks); what it raises from a hook there, such as a cancel, ends everything with nothing
    written to `out`. tell(stage): what is being tried. page: a folder for the report as a page (report_page.py). cache:
    a file that keeps features, so that they are computed once; by default it lies beside the labels of a LabelFolder.
    cpu: stay off the accelerator that is there. Raises DataError, weights.WeightsError, OSError.
    """
    began = time.monotonic()
    out = Path(out)
    _check(method, out, page)
    old = Old.load(weights, watch)
    data = open_labelled(labels, old.size, 4 if method == "head" else 3, numbers)
    if cache is None and isinstance(labels, LabelFolder):
        cache = labels.folder / CACHE
    with tempfile.TemporaryDirectory() as folder:
        others = {name: open_samples(path, old.size, numbers).without_broken() for name, path in (mixed or {}).items()}
        others = others or remembered_pictures(old, folder)
        learners = Learners(old, data.samples, others, cache, watch, Tuning(epochs, lr, seed, device(cpu)))
        judged = [out_of_fold(candidate, data.folds, data.labels, tell) for candidate in learners.candidates(method)]
        choice, learned, remembered = _learn(learners, judged, data, keep_worse, tell)
        report = _report(learners, data, judged, choice) | {
            "remembered": remembered,
            "seconds": round(time.monotonic() - began, 1),
        }
        better = learned is not None and (keep_worse or _no_worse(report))
        report = {"kept": better, "file": out.name if better else None, **report}
        report = {"reason": _reason(report), **report}
        if better and learned:
            about = _about(old, data, choice.temperature, report)
            about |= kept_sizes(old.metadata) if choice.best.method == "head" else {}
            save_reviewer(out, learned[0], learned[1], about, learners.memory(choice.best, learned, folder))
        if page is not None:
            write_page(page, report, data.samples, learners.before(), choice.probabilities)
    said = [str(each) for each in _findings(learners) if each.counts]
    return Adapted(report, out if better else None, "\n".join(said))


def _findings(learners: Learners) -> list[Findings]:
    """Of everything that was learned from."""
    return [samples.findings for samples in (learners.own, *learners.others.values())]


def _check(method: str, out: Path, page) -> None:
    if method not in METHODS:
        raise DataError(f'the method is "{method}": use one of {", ".join(METHODS)}.')
    if out.exists():
        raise DataError(f'"{out.name}" is there already: choose another name, or load it with RF Load Reviewer.')
    if page is not None:
        for file in PAGE_FILES:
            check_writable(Path(page) / file)


def _no_worse(report: dict) -> bool:
    """The cross-entropy falls, and average precision doesn't, up to TOLERANCE."""
    losses = report["loss"]
    return losses["after"] < losses["before"] and report["held_out"]["difference"]["ap"]["value"] >= -TOLERANCE


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
        **kept_fusion(old.metadata),
    }


def _report(learners: Learners, data: Labelled, judged: list, choice: Choice) -> dict:
    """What was learned from, how, and what came of it."""
    before, after = learners.before(), choice.probabilities
    thresholds = learners.old.threshold, THRESHOLD
    others = learners.others
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
        "damaged": sum(each.damaged for each in _findings(learners)),
        "left_out": next((each.brief for each in _findings(learners) if each.damaged), ""),
        "candidates": [
            {"name": one.candidate.name, "loss": round(float(one.losses.mean()), 4), "ap": round(one.ap, 4)}
            for one in judged
        ],
        "held_out": compare(before, after, data.labels, data.samples.product_ids, data.folds.of, thresholds),
        "loss": {"before": loss(before, data.labels), "after": loss(after, data.labels)},
        "unfamiliar_before": share_unfamiliar(learners.old.memory, learners.features.features),
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
    losses = report["loss"]
    text += f" Cross-entropy: {losses['before']:.3f} before, {losses['after']:.3f} after."
    if report["kept"] and not gain["low"] > 0:
        text += f" The gain in average precision may be chance ({gain['low']:+.3f} to {gain['high']:+.3f}): label more."
    if not report["kept"]:
        text += " Label more pictures, of more products."
    if report["damaged"]:
        text += f" {report['damaged']} lines or files can't be learned from and were left out ({report['left_out']})."
    return " ".join([text, *report["notes"]])
