"""`rfnet train | maps | evaluate | calibrate | blend | review`: one command each, errors as one sentence and exit
status 1.
"""

import json
import os
import sys
from glob import glob
from pathlib import Path
from typing import Annotated

import msgspec
import torch

from .arguments import COUNT, SEED, SHARE, WORKERS, decimal, path, whole
from .commands import Commands, sentence
from .data.errors import DataError
from .data.sources import open_samples
from .files import check_writable, quoted, write_text
from .labels import LABELS
from .map_names import BUILTIN
from .pictures import PictureError, open_picture
from .product import Product, place
from .risks import ACCEPT, RISKS, UNITS, parse_risks
from .structured import StructureError, convert, parse_json
from .textfiles import TextError, read_text
from .weights import DEFAULT_WEIGHTS, blend, change_metadata, load_networks, load_reviewer

INDEX_LIMIT = 1 << 30  # bytes
SIDE = whole(16, 1024)  # of maps, pixels
RISK = decimal(1e-6, 0.999999)
SCALE = decimal(0.01, 1)  # as nodes have it


class Row(msgspec.Struct):
    """A line of an index, which may hold more."""

    image: Annotated[str, msgspec.Meta(min_length=1)]
    product: Annotated[str, msgspec.Meta(min_length=1)]
    caption: str | None = None


ROW = Row.__struct_fields__


def main(argv=None) -> int:
    return _commands().run(argv)


def _commands() -> Commands:
    commands = Commands("rfnet", "The reviewer of advertising images (arXiv:2408.00418).")
    command = commands.add

    sub = command(
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

    sub = command(
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

    sub = command(
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

    sub = command(
        "calibrate",
        calibrate,
        "Fit a reviewer's temperature and certify its accept thresholds for stated risks, on labelled pictures of"
        " products that it never saw.",
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
    sub.add_argument(
        "--keep-temperature", action="store_true", help="certify only, and leave every probability as it is"
    )
    sub.add_argument(
        "--seed", type=SEED, default=0, help="which products fall into which half, and the order of their pictures"
    )
    sub.add_argument("--json", action="store_true")

    sub = command(
        "blend",
        blend_two,
        "A reviewer between one and another that was trained on from it: most of what that one learned, more of what"
        " the first knew.",
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

    sub = command("review", review, "Verdicts on generated images of one product, or of an index of them.")
    sub.add_argument("images", type=path, nargs="*")
    sub.add_argument("--product", type=path, help="product cut-out with transparency")
    sub.add_argument("--caption", default="", help="what is sold")
    sub.add_argument(
        "--index", type=path, help='.jsonl with lines of {"image", "product", "caption"}, paths relative to it'
    )
    sub.add_argument(
        "--image-scale",
        type=SCALE,
        help=(
            "the image_scale it was placed with; by default 0.72, or its own place where product and image have one"
            " size"
        ),
    )
    sub.add_argument("--threshold", type=SHARE)
    sub.add_argument(
        "--accept",
        choices=tuple(ACCEPT),
        default="threshold",
        help="what decides: the threshold, or a risk that the weights are certified for",
    )
    sub.add_argument("--weights", type=path, default=str(DEFAULT_WEIGHTS))
    sub.add_argument(
        "--json",
        type=path,
        nargs="?",
        const=True,
        metavar="FILE.json",
        help=(
            "write all verdicts into this file; without a name, print one JSON object per image and line in the place"
            " of the table"
        ),
    )
    return commands


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


def blend_two(args) -> None:
    check_writable(args.out)
    blend(args.before, args.after, args.share, args.out)
    print(f"wrote {args.out}; its temperature is 1: `rfnet calibrate` fits it")


def maps(args) -> None:
    from tqdm import tqdm

    from .data.bulk_maps import precompute_maps
    from .map_sources import open_maps

    check_writable(Path(args.out) / "maps.json")
    estimator = open_maps(load_networks(args.weights)[1], args.depth, args.saliency)
    samples = open_samples(args.data, args.size)
    summary = precompute_maps(
        samples,
        estimator,
        args.out,
        args.size,
        progress=lambda chunks: tqdm(chunks, desc="maps", unit="chunk"),
        name=estimator.name,
        workers=args.workers,
    )
    for sentence in summary["broken"]:
        print(f"no maps: {sentence}", file=sys.stderr)
    if samples.findings.counts:
        print(samples.findings, file=sys.stderr)
    args.status = 1 if summary["broken"] or samples.findings.damaged else 0
    print(f"maps of {summary['samples']} samples by {estimator.name} in {args.out}")


def evaluate(args) -> None:
    from .training.evaluate import curves, score, write_report
    from .training.metrics import table, without_nan

    if args.out:
        check_writable(Path(args.out) / "report.json")
    scenes, logits, metadata = _logits(args, args.limit)
    threshold, temperature = (
        float(metadata["threshold"]) if args.threshold is None else args.threshold,
        float(metadata["temperature"]),
    )
    report = score(logits, scenes, temperature, threshold, risks=parse_risks(metadata.get("risks", "{}")))
    report |= {
        "weights": Path(args.weights).name,
        "data_fingerprint": scenes.fingerprint,
        "findings": scenes.findings.counts,
    }
    print(json.dumps(without_nan(report)) if args.json else table(report))
    if args.out:
        for path in write_report(report | curves(logits, scenes, temperature), args.out):
            print(f"wrote {path}", file=sys.stderr)


def calibrate(args) -> None:
    from .training.calibrate import calibrate, halves, summary
    from .training.evaluate import score
    from .training.metrics import without_nan

    check_writable(args.out or args.weights)
    scenes, logits, metadata = _logits(args)
    if scenes.fingerprint == metadata.get("data_fingerprint"):
        raise DataError(
            f'"{args.data}" is what these weights were trained on: give labelled pictures of products that they never'
            " saw."
        )
    calibration = calibrate(
        logits,
        scenes.labels,
        scenes.product_ids,
        args.risk,
        args.unit,
        before=float(metadata["temperature"]),
        seed=args.seed,
        keep=args.keep_temperature,
    )
    for entry in calibration.risks.values():
        entry |= {"about": args.about} if args.about else {}
    about = {**calibration.about, "data_fingerprint": scenes.fingerprint, "seed": args.seed}
    out = args.out or args.weights
    changed = {"temperature": f"{calibration.temperature:.6g}", "risks": calibration.risks, "calibration": about}
    if "scores" not in metadata:  # a blend: nothing has said yet how good it is
        rows = halves(scenes.product_ids, args.seed)[1]
        changed["scores"] = {
            "split": "the certifying half",
            **without_nan(score(logits[rows], scenes.select(rows), calibration.temperature)),
        }
    change_metadata(args.weights, out, changed)
    print(
        json.dumps({"temperature": calibration.temperature, "risks": calibration.risks, **about})
        if args.json
        else f"{summary(calibration, args.keep_temperature)}\nwrote {out}"
    )


def _logits(args, limit=None):
    """(scenes, logits (N, 5) of the weights on them, the weights' metadata)."""
    from tqdm import tqdm

    from .training.evaluate import predict

    rfnet, mapnet, metadata = load_networks(args.weights)
    scenes = open_samples(args.data, rfnet.config.image_size)
    scenes = scenes.select(range(min(limit or len(scenes), len(scenes)))).without_broken()
    scenes = scenes.with_maps(args.maps) if args.maps else scenes
    trained = metadata.get("maps", BUILTIN)
    if (scenes.map_name or BUILTIN) != trained:
        print(
            f"rfnet: these weights were trained with {trained} maps and look at {scenes.map_name or BUILTIN} ones.",
            file=sys.stderr,
        )
    if scenes.findings.counts:
        print(scenes.findings, file=sys.stderr)
    args.status = 1 if scenes.findings.damaged else 0
    return (
        scenes,
        predict(rfnet, mapnet, scenes, progress=lambda steps: tqdm(steps, desc="review", disable=args.json)),
        metadata,
    )


def review(args) -> None:
    if isinstance(args.json, str) and (not args.json.endswith(".json") or "\0" in args.json):
        raise PictureError(
            f"{quoted(args.json)} after --json is no name of a .json file: give one, or put --json last."
        )
    if isinstance(args.json, str):
        check_writable(args.json)
    reviewer, lines, rows = load_reviewer(args.weights), list(_lines(args)), []
    threshold = reviewer.threshold_for(args.accept, args.threshold)
    width = max(len("image"), *(len(str(line["image"])) for line in lines), 0)
    say = (lambda text: None) if args.json is True else lambda text: print(text, flush=True)
    say(f"{'image':<{width}}  verdict   label              " + "  ".join(LABELS))
    try:
        for line in lines:
            rows.append(row := _row(line, reviewer, threshold, args.image_scale))
            say(f"{row['image']:<{width}}  {_words(row)}")
            if args.json is True:
                print(json.dumps(row, ensure_ascii=False), flush=True)
    finally:  # what was judged is kept where the user stops it, too
        if isinstance(args.json, str):
            write_text(args.json, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    failed = [row for row in rows if "error" in row]
    say(f"{sum(row.get('accepted', False) for row in rows)} of {len(rows)} accepted, from available >= {threshold:g}")
    if failed:
        args.status = 1
        print(
            f"rfnet: {len(failed)} of {len(rows)} could not be reviewed, first: {failed[0]['error']}", file=sys.stderr
        )


def _row(line: dict, reviewer, threshold: float, image_scale: float | None) -> dict:
    """{"image", "label", "probabilities", "accepted"} of one line of _lines; {"image", "error"} where a file can't be
    used.
    """
    try:
        verdict = {"error": line["error"]} if "error" in line else _verdict(line, reviewer, threshold, image_scale)
    except (PictureError, OSError) as error:
        verdict = {"error": f"{line.get('where', '')}{sentence(error)}"}
    return {"image": str(line["image"]).encode("utf-8", "replace").decode("utf-8"), **verdict}


def _words(row: dict) -> str:
    """A row of the table behind the image's name."""
    if "error" in row:
        return f"error     {row['error']}"
    scores = "  ".join(f"{row['probabilities'][label]:{len(label)}.2f}" for label in LABELS)
    return f"{'accepted' if row['accepted'] else 'rejected'}  {row['label']:<17}  {scores}"


def _verdict(line: dict, reviewer, threshold: float, image_scale: float | None) -> dict:
    """The row of Review.rows() for one line of _lines."""
    image = open_picture(line["image"])[..., :3]
    product = Product.from_picture(line["product"], line.get("caption", ""))
    height, width = image.shape[:2]
    own_place = image_scale is None and product.rgba.shape[:2] == (height, width)
    width, height = (max(8, round(side / 8) * 8) for side in (width, height))
    canvas = place(product, width, height, image_scale or 0.72, position="keep" if own_place else "centre")
    images = torch.from_numpy(image).permute(2, 0, 1)[None]
    if images.shape[2:] != (height, width):
        images = torch.nn.functional.interpolate(images, (height, width), mode="bilinear", antialias=True)
    return reviewer.review(images, canvas, threshold).rows()[0]


def _lines(args):
    """{"image", "product", "caption"} per image to review, from the arguments or from the index; {"image", "error"} for
    a line that says no such thing.
    """
    if not args.index:
        if not args.images or not args.product:
            raise PictureError("nothing to review: give images and --product FILE, or --index FILE.jsonl.")
        Product.from_picture(args.product)  # what is wrong with it would be wrong with every image
        images = [
            image
            for given in args.images
            for image in ([given] if os.path.exists(given) else sorted(glob(given)) or [given])
        ]  # Windows' shell leaves *.png as it is
        yield from ({"image": image, "product": args.product, "caption": args.caption} for image in images)
        return
    base, name = Path(args.index).parent, quoted(Path(args.index).name, 60)
    numbered = [(number, text) for number, text in enumerate(_index_of(args.index), 1) if text.strip()]
    if not numbered:
        wanted = '{"image": FILE, "product": FILE, "caption": TEXT}'
        raise PictureError(f"nothing to review: {name} is empty; write lines of {wanted}.")
    for number, text in numbered:
        where = f"line {number} of {name}"
        try:
            line = parse_json(text, "it")
            line = convert(
                {key: line[key] for key in ROW if key in line} if isinstance(line, dict) else line, Row, "it"
            )
            yield {
                "image": base / line.image,
                "product": base / line.product,
                "caption": line.caption or "",
                "where": f"{where}: ",
            }
        except StructureError as error:
            yield {
                "image": where,
                "error": (
                    f'{where} is no JSON object with "image" and "product" as texts ({str(error).rstrip(".")}): write'
                    " both."
                ),
            }


def _index_of(path) -> list:
    try:
        return read_text(path, INDEX_LIMIT).split("\n")
    except TextError as error:
        raise PictureError(f"the index {error}") from error
