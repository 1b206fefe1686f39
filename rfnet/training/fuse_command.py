"""`rfnet fuse`: how much each second opinion counts, fitted on one's own labels. `rfnet distill`: RFNet learns what
they say.
"""

import json
import sys
from pathlib import Path

from ..arguments import SEED, SHARE, add_label_numbers, decimal, path, whole
from ..commands import Commands
from ..data.rf1m import numbers_of
from ..data.samples import Samples
from ..data.sources import open_samples
from ..files import check_writable
from ..opinions.opening import check_twice, open_opinions
from ..opinions.options import add_opinions
from ..opinions.panel import Panel
from ..opinions.protocol import OpinionError
from ..weights import DEFAULT_WEIGHTS, change_metadata, load_reviewer


def add_fuse(commands: Commands) -> None:
    sub = commands.add(
        "fuse",
        fuse,
        "Fit how much each second opinion counts beside the reviewer, on your labels, and write it into the weights if"
        " it foretells the labels of held-out products better.",
    )
    sub.add_argument("weights", type=path, nargs="?", default=str(DEFAULT_WEIGHTS))
    sub.add_argument(
        "--data", type=path, required=True, help="a dataset of RF Label, a table, or a folder of one split"
    )
    add_asked(sub)
    sub.add_argument("--out", type=path, required=True, help="weights file to write, .safetensors")
    sub.add_argument(
        "--lose",
        type=SHARE,
        help="choose the threshold, too: the highest that rejects at most this share of the available pictures; by"
        " default one half",
    )
    sub.add_argument("--seed", type=SEED, default=0, help="which products are held out together")
    sub.add_argument("--json", action="store_true")


def fuse(args) -> None:
    from .fuse import check
    from .fuse import fuse as fitted

    evidence, samples = asked(args, lambda models, samples: check(samples.labels, samples.product_ids))
    result = fitted(evidence, args.seed, args.lose)
    if result.fusion:
        change_metadata(args.weights, args.out, {"fusion": result.fusion.to_json()})
    finish(args, result.report, result.fusion is not None, samples)
    if result.fusion and not args.json:
        print(f"wrote {args.out}")


def add_distill(commands: Commands) -> None:
    sub = commands.add(
        "distill",
        distill,
        "Train the reviewer to say by itself what it and its fitted second opinions say together, so that what needs a"
        " quick and differentiable reviewer (early rejection, RFFT) learns from slow ones.",
    )
    sub.add_argument("weights", type=path, help="weights that `rfnet fuse` wrote")
    sub.add_argument(
        "--data",
        type=path,
        required=True,
        help="pictures to learn on: a dataset of RF Label, a table, or a folder of one split; their labels only judge",
    )
    add_asked(sub)
    sub.add_argument("--out", type=path, required=True, help="weights file to write, .safetensors")
    sub.add_argument("--epochs", type=whole(1, 1000), default=6)
    sub.add_argument("--lr", type=decimal(1e-8, 1), default=2e-4, help="learning rate")
    sub.add_argument("--seed", type=SEED, default=0)
    sub.add_argument("--json", action="store_true")


def distill(args) -> None:
    from .distill import check, fitted
    from .distill import distill as distilled

    def refuse(models: dict, samples: Samples) -> None:
        fitted(args.weights, models)
        check(samples.labels, samples.product_ids)

    evidence, samples = asked(args, refuse)
    tell = (lambda text: None) if args.json else lambda text: print(text, flush=True)
    result = distilled(args.weights, evidence, samples, args.out, args.epochs, args.lr, args.seed, tell)
    finish(args, result.report, result.path is not None, samples)


def add_asked(sub) -> None:
    add_opinions(sub)
    add_label_numbers(sub)
    sub.add_argument(
        "--recorded",
        nargs="+",
        default=[],
        metavar="NAME",
        help="opinions that can't be asked here, such as text_model: what they said in ComfyUI, which RF Label kept"
        " beside the pictures of --data",
    )


def asked(args, check):
    """(Evidence, Samples): what the opinions say of the data, or said of them; kept beside the result until `finish`.
    check({name: model}, samples) may refuse before anything is asked.
    """
    from tqdm import tqdm

    from .fuse import collect
    from .recorded import Recorded

    check_writable(args.out)
    if not args.opinions and not args.recorded:
        raise OpinionError("no opinion is named: give --opinions, or --recorded for what they said in ComfyUI.")
    opinions = open_opinions(args.opinions)
    check_twice([*(opinion.name for opinion in opinions), *args.recorded])
    recorded = Recorded.read(args.data, args.recorded)
    samples = open_samples(args.data, numbers=numbers_of(args.label_numbers))
    if samples.findings.counts:
        print(samples.findings, file=sys.stderr)
    check({opinion.name: opinion.model for opinion in opinions} | recorded.models, samples)
    panel = Panel(load_reviewer(args.weights), opinions)
    evidence = collect(panel, samples, lambda rows: tqdm(rows, desc="opinions", disable=args.json), kept_beside(args))
    evidence = recorded.beside(evidence, samples)
    for note in list(dict.fromkeys(evidence.notes))[:5]:
        print(note, file=sys.stderr)
    return evidence, samples


def kept_beside(args) -> Path:
    """The file that keeps what was asked."""
    return Path(f"{args.out}.asked")


def finish(args, report: dict, written: bool, samples: Samples) -> None:
    """Says what came of it. Answers are kept where nothing was written: more labels need only their own asked."""
    print(json.dumps(report) if args.json else report["reason"])
    if written:
        kept_beside(args).unlink(missing_ok=True)
    args.status = 0 if written and not samples.findings.damaged else 1
