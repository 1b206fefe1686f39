"""The commands of `rfnet`, from train to review: errors as one sentence and exit status 1."""

import json
import sys
from pathlib import Path

from .arguments import COUNT, SEED, SHARE, WORKERS, add_label_numbers, add_painter, decimal, painter_files, path, whole
from .commands import Commands
from .data.errors import DataError
from .data.rf1m import numbers_of
from .data.sources import open_samples
from .files import check_writable
from .map_names import BUILTIN
from .opinions.options import add_opinions, advise
from .review_command import add_review
from .risks import RISKS, UNITS, parse_risks
from .training.adapt_command import add_adapt
from .training.fuse_command import add_distill, add_fuse
from .training.remember_command import add_remember
from .training.rounds_command import add_labelling
from .training.sizes_command import add_sizes_command
from .weights import DEFAULT_WEIGHTS, blend, change_metadata, load_memory, load_networks

SIDE = whole(16, 1024)  # of maps, pixels
RISK = decimal(1e-6, 0.999999)


def main(argv=None) -> int:
    commands = Commands("rfnet", "The reviewer of advertising images (arXiv:2408.00418).")
    training = (_add_train, add_adapt, add_remember, _add_maps, _add_evaluate, _add_calibrate, _add_blend, add_fuse)
    for add in (*training, add_sizes_command, add_distill, add_labelling, _add_review):
        add(commands)
    return commands.run(argv)


def _add_review(commands: Commands) -> None:
    from ..catalogue.review_command import add_catalogue_review

    sub = add_review(commands, advise)
    add_opinions(sub)
    add_catalogue_review(sub)


def _add_train(commands: Commands) -> None:
    sub = commands.add(
        "train", train, "Train a reviewer as a TOML file says; run it again after an interruption and it goes on."
    )
    sub.add_argument("config", type=path, help="such as rfnet/configs/compact.toml")
    sub.add_argument(
        "--train", type=path, nargs="+", help="in the place of the config's: folders of shards, tables, folders of RF1M"
    )
    sub.add_argument("--val", type=path, nargs="+")
    sub.add_argument("--out", type=path, help="weights file to write, .safetensors")
    sub.add_argument(
        "--set", nargs="+", default=[], metavar="KEY=VALUE", help="any other key of the config, such as epochs=2 seed=1"
    )


def train(args) -> None:
    from .training.config import read_config
    from .training.toml_config import parse_overrides
    from .training.train import Run

    given = {key: value for key in ("train", "val", "out") if (value := getattr(args, key))}
    config = read_config(args.config, **{**parse_overrides(args.set, DataError), **given})
    check_writable(config.out)
    run = Run(config)
    run()
    args.status = 1 if run.damaged else 0


def _add_blend(commands: Commands) -> None:
    sub = commands.add(
        "blend",
        blend_two,
        "Blend a reviewer with one that was trained on from it: the result keeps most of what the second learned, and"
        " more of what the first knew.",
    )
    sub.add_argument("before", type=path)
    sub.add_argument("after", type=path)
    sub.add_argument(
        "--share",
        type=SHARE,
        default=0.5,
        help="how far from the first to the second, 0 to 1; choose it on validation data",
    )
    sub.add_argument("--out", type=path, required=True, help="weights file to write, .safetensors")


def blend_two(args) -> None:
    check_writable(args.out)
    blend(args.before, args.after, args.share, args.out)
    print(f"wrote {args.out}; its temperature is 1: `rfnet calibrate` fits it")


def _add_maps(commands: Commands) -> None:
    sub = commands.add(
        "maps",
        maps,
        "Compute depth and saliency of a data set once, for training and evaluation; run it again after an interruption"
        " and it goes on.",
    )
    sub.add_argument("--data", type=path, required=True, help="folder of one split, a table, or a folder of RF1M")
    sub.add_argument(
        "--out", type=path, required=True, help="folder to write, which train_maps, val_maps and --maps name"
    )
    sub.add_argument(
        "--weights",
        type=path,
        default=str(DEFAULT_WEIGHTS),
        help="reviewer whose own estimator is used where no other is given",
    )
    sub.add_argument("--depth", type=path, help="folder of a DPT or Depth-Anything model")
    sub.add_argument("--saliency", type=path, help=".onnx file of U2-Net or BiRefNet")
    sub.add_argument("--size", type=SIDE, default=128, help="side of the maps, pixels")
    sub.add_argument("--workers", type=WORKERS, default=0, help="processes that decode pictures")
    add_label_numbers(sub)


def _add_reading(sub) -> None:
    """Of commands that ask a reviewer about a whole data set."""
    add_label_numbers(sub)
    sub.add_argument(
        "--own-maps", action="store_true", help="take the depth and saliency that came with the data, for such weights"
    )


def maps(args) -> None:
    from tqdm import tqdm

    from .data.bulk_maps import precompute_maps
    from .map_sources import open_maps

    check_writable(Path(args.out) / "maps.json")
    estimator = open_maps(load_networks(args.weights)[1], args.depth, args.saliency)
    samples = open_samples(args.data, args.size, numbers_of(args.label_numbers))
    summary = precompute_maps(
        samples,
        estimator,
        args.out,
        args.size,
        progress=lambda chunks: tqdm(chunks, desc="maps", unit="chunk"),
        name=estimator.name,
        workers=args.workers,
    )
    for reason in summary["broken"]:
        print(f"no maps: {reason}", file=sys.stderr)
    if samples.findings.counts:
        print(samples.findings, file=sys.stderr)
    args.status = 1 if summary["broken"] or samples.findings.damaged else 0
    print(f"maps of {summary['samples']} samples by {estimator.name} in {args.out}")


def _add_evaluate(commands: Commands) -> None:
    sub = commands.add(
        "evaluate", evaluate, "Scores of a weights file on one split, with 95 %% bootstrap intervals by product."
    )
    sub.add_argument("weights", type=path, nargs="?", default=str(DEFAULT_WEIGHTS))
    sub.add_argument(
        "--data", type=path, required=True, help="folder of one split, such as DATA/test, a table, or a folder of RF1M"
    )
    sub.add_argument("--maps", type=path, help="folder of `rfnet maps`, for weights that were trained on such")
    sub.add_argument("--threshold", type=SHARE, help="accept from this p(available); by default the weights' own")
    sub.add_argument("--limit", type=COUNT)
    sub.add_argument(
        "--out", type=path, help="folder for report.json, reliability.png, confusion.png and precision_recall.png"
    )
    sub.add_argument("--json", action="store_true")
    _add_reading(sub)


def evaluate(args) -> None:
    from .training.evaluate import curves, score, write_report
    from .training.metrics import format_report, without_nan

    if args.out:
        check_writable(Path(args.out) / "report.json")
    samples, logits, metadata, unlike = _predict_all(args, args.limit)
    threshold = float(metadata["threshold"]) if args.threshold is None else args.threshold
    temperature = float(metadata["temperature"])
    report = score(logits, samples, temperature, threshold, risks=parse_risks(metadata.get("risks", "{}")))
    report |= {
        "weights": Path(args.weights).name,
        "data_fingerprint": samples.fingerprint,
        "findings": samples.findings.counts,
        **unlike,
    }
    print(json.dumps(without_nan(report)) if args.json else format_report(report))
    if args.out:
        for path in write_report(report | curves(logits, samples, temperature), args.out):
            print(f"wrote {path}", file=sys.stderr)


def _add_calibrate(commands: Commands) -> None:
    sub = commands.add(
        "calibrate",
        calibrate,
        "Fit a reviewer's temperature and certify accept thresholds (at most so many of the accepted pictures are"
        " bad), on labelled pictures of products that it never saw.",
    )
    sub.add_argument("weights", type=path)
    sub.add_argument(
        "--data",
        type=path,
        required=True,
        help="folder of one split, with as many bad pictures among the good as the reviewer will meet",
    )
    sub.add_argument("--maps", type=path, help="folder of `rfnet maps`, for weights that were trained on such")
    sub.add_argument("--out", type=path, help="weights file to write; by default the same file")
    sub.add_argument(
        "--risk", type=RISK, nargs="+", default=RISKS, help="share of bad ones among the accepted, such as 0.05"
    )
    sub.add_argument(
        "--unit",
        choices=UNITS,
        default="product",
        help="what counts as one independent draw: a product's first accepted picture, or, weaker, every picture",
    )
    sub.add_argument(
        "--about",
        default="",
        metavar="TEXT",
        help=(
            'what the pictures are, such as "photographs of cosmetics by SDXL": a certificate holds for such ones, and'
            " says so"
        ),
    )
    add_painter(sub)
    _add_reading(sub)
    sub.add_argument(
        "--keep-temperature", action="store_true", help="certify only, and leave every probability as it is"
    )
    sub.add_argument(
        "--lose",
        type=SHARE,
        help="choose the plain threshold, too: the highest that rejects at most this share of the available pictures",
    )
    sub.add_argument(
        "--seed", type=SEED, default=0, help="which products fall into which half, and the order of their pictures"
    )
    sub.add_argument("--json", action="store_true")


def calibrate(args) -> None:
    from .training.calibrate import calibrate, halves, summary
    from .training.evaluate import score
    from .training.metrics import without_nan

    check_writable(args.out or args.weights)
    named = told_of(args)
    samples, logits, metadata, unlike = _predict_all(args)
    if samples.fingerprint == metadata.get("data_fingerprint"):
        raise DataError(
            f'"{args.data}" is what these weights were trained on: give labelled pictures of products that they never'
            " saw."
        )
    calibration = calibrate(
        logits,
        samples.labels,
        samples.product_ids,
        args.risk,
        args.unit,
        before=float(metadata["temperature"]),
        seed=args.seed,
        keep=args.keep_temperature,
        lose=args.lose,
    )
    for entry in calibration.risks.values():
        entry |= named | unlike
    calibration.about |= unlike
    about = {**calibration.about, "data_fingerprint": samples.fingerprint, "seed": args.seed}
    out = args.out or args.weights
    changed = {"temperature": f"{calibration.temperature:.6g}", "risks": calibration.risks, "calibration": about}
    if calibration.threshold is not None:
        changed["threshold"] = f"{calibration.threshold:g}"
    if "scores" not in metadata:  # a blend: nothing has said yet how good it is
        rows = halves(samples.product_ids, args.seed)[1]
        changed["scores"] = {
            "split": "the certifying half",
            **without_nan(score(logits[rows], samples.select(rows), calibration.temperature)),
        }
    change_metadata(args.weights, out, changed)
    print(
        json.dumps({"temperature": calibration.temperature, "risks": calibration.risks, **about})
        if args.json
        else f"{summary(calibration, args.keep_temperature)}\nwrote {out}"
    )


def told_of(args) -> dict:
    """What a certificate says of its pictures: {"about", "painter"}, as far as they were named. Raises PainterError."""
    import msgspec

    from .painters import read_painter

    files = painter_files(args)
    painter = {"painter": msgspec.to_builtins(read_painter(*files))} if files else {}
    return {**({"about": args.about} if args.about else {}), **painter}


def _predict_all(args, limit=None):
    """(samples, logits (N, 5) of the weights on them, the weights' metadata, {"unfamiliar": share of the samples that
    are unlike what it learned from} where the weights know that).
    """
    from tqdm import tqdm

    from .training.remember import judge

    rfnet, mapnet, metadata = load_networks(args.weights)
    memory = load_memory(args.weights, rfnet.feature_width)
    samples = open_samples(args.data, rfnet.config.image_size, numbers_of(args.label_numbers))
    samples = samples.select(range(min(limit or len(samples), len(samples)))).without_broken()
    samples = samples.with_maps(args.maps) if args.maps else samples
    trained = metadata.get("maps", BUILTIN)
    samples = samples.with_own_maps(trained) if args.own_maps else samples
    if (samples.map_name or BUILTIN) != trained:
        print(
            f"rfnet: these weights were trained with {trained} maps and get {samples.map_name or BUILTIN} ones.",
            file=sys.stderr,
        )
    if samples.findings.counts:
        print(samples.findings, file=sys.stderr)
    args.status = 1 if samples.findings.damaged else 0
    logits, unlike = judge(rfnet, mapnet, memory, samples, lambda steps: tqdm(steps, desc="review", disable=args.json))
    return samples, logits, metadata, {} if unlike is None else {"unfamiliar": round(unlike, 4)}
