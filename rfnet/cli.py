"""`rfnet train | evaluate | review`: one command each, errors as one sentence and exit status 1."""

import argparse
import json
import sys
from pathlib import Path

import torch

from .data import DataError, read_scenes
from .pictures import PictureError, open_picture
from .product import Product, place
from .reviewer import ReviewError
from .weights import DEFAULT_WEIGHTS, WeightsError, load_networks, load_reviewer


def main(argv=None) -> int:
    args = _parser().parse_args(argv)
    torch.set_num_threads(args.threads)
    try:
        args.command(args)
    except (PictureError, ReviewError, WeightsError, DataError, OSError, RuntimeError) as error:
        print(f"rfnet: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("rfnet: stopped; run the same command again to go on.", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="rfnet", description="The reviewer of advertising images (arXiv:2408.00418).")
    commands = parser.add_subparsers(required=True)

    def command(name, function, help):
        sub = commands.add_parser(name, help=help, description=help, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
        sub.add_argument("--threads", type=int, default=torch.get_num_threads(), help="CPU threads")
        sub.set_defaults(command=function)
        return sub

    sub = command("train", train, "Train a reviewer on labelled scenes; run it again after an interruption and it goes on.")
    sub.add_argument("--data", required=True, help="folder with train/ and val/ of .zip shards")
    sub.add_argument("--out", required=True, help="weights file to write, .safetensors")
    sub.add_argument("--roundtrip", help=".npy of the training images after a VAE, or a folder of such files; used half of the time")
    sub.add_argument("--epochs", type=float, default=6)
    sub.add_argument("--map-epochs", type=float, default=3, help="epochs of the depth and saliency estimator, trained first")
    sub.add_argument("--minutes", type=float, help="end by the clock instead of by epochs")
    sub.add_argument("--batch", type=int, default=32)
    sub.add_argument("--lr", type=float, default=1e-3, help="learning rate of the new layers")
    sub.add_argument("--backbone-lr", type=float, default=3e-4)
    sub.add_argument("--init", choices=("imagenet", "random"), default="imagenet")
    sub.add_argument("--limit", type=int, help="use only so many scenes of each split, for a look")
    sub.add_argument("--seed", type=int, default=0)

    sub = command("evaluate", evaluate, "Scores of a weights file on one split, with 95 %% bootstrap intervals by product.")
    sub.add_argument("weights", nargs="?", default=str(DEFAULT_WEIGHTS))
    sub.add_argument("--data", required=True, help="folder of one split, such as DATA/test")
    sub.add_argument("--threshold", type=float, help="accept from this p(available); by default the weights' own")
    sub.add_argument("--limit", type=int)
    sub.add_argument("--json", action="store_true")

    sub = command("review", review, "Verdicts on generated images of one product, or of an index of them.")
    sub.add_argument("images", nargs="*")
    sub.add_argument("--product", help="product cut-out with transparency")
    sub.add_argument("--caption", default="", help="what is sold")
    sub.add_argument("--index", help='.jsonl with lines of {"image", "product", "caption"}, paths relative to it')
    sub.add_argument("--image-scale", type=float, help="the image_scale it was placed with; by default 0.72, or its own place where product and image have one size")
    sub.add_argument("--threshold", type=float)
    sub.add_argument("--weights", default=str(DEFAULT_WEIGHTS))
    sub.add_argument("--json", action="store_true", help="one JSON object per image and line")
    return parser


def train(args) -> None:
    from .train import Run, TrainConfig

    names = TrainConfig.__dataclass_fields__
    Run(TrainConfig(**{key: value for key, value in vars(args).items() if key in names}))()


def evaluate(args) -> None:
    from tqdm import tqdm

    from .evaluate import predict, score
    from .metrics import table

    rfnet, mapnet, metadata = load_networks(args.weights)
    scenes = read_scenes(args.data, args.limit, rfnet.config.image_size)
    threshold = float(metadata["threshold"]) if args.threshold is None else args.threshold
    logits = predict(rfnet, mapnet, scenes, progress=lambda steps: tqdm(steps, desc="review", disable=args.json))
    report = score(logits, scenes, float(metadata["temperature"]), threshold)
    report |= {"weights": Path(args.weights).name, "data_fingerprint": scenes.fingerprint, "skipped": len(scenes.skipped)}
    print(json.dumps(report) if args.json else table(report))


def review(args) -> None:
    reviewer = load_reviewer(args.weights)
    for line in _lines(args):
        image = open_picture(line["image"])[..., :3]
        product = Product.from_picture(line["product"], line.get("caption", ""))
        height, width = image.shape[:2]
        own_place = args.image_scale is None and product.rgba.shape[:2] == (height, width)
        width, height = (max(8, round(side / 8) * 8) for side in (width, height))
        canvas = place(product, width, height, args.image_scale or 0.72, position="keep" if own_place else "centre")
        images = torch.from_numpy(image).permute(2, 0, 1)[None]
        if images.shape[2:] != (height, width):
            images = torch.nn.functional.interpolate(images, (height, width), mode="bilinear", antialias=True)
        row = {"image": str(line["image"]), **reviewer.review(images, canvas, args.threshold).rows()[0]}
        if args.json:
            print(json.dumps(row, ensure_ascii=False), flush=True)
        else:
            print(f"{row['image']}: {'accepted' if row['accepted'] else 'rejected'}, {row['label']} {row['probabilities'][row['label']]:.2f}", flush=True)


def _lines(args):
    """{"image", "product", "caption"} per image to review, from the arguments or from the index."""
    if not args.index:
        if not args.images or not args.product:
            raise PictureError("nothing to review: give images and --product FILE, or --index FILE.jsonl.")
        yield from ({"image": image, "product": args.product, "caption": args.caption} for image in args.images)
        return
    base = Path(args.index).parent
    with open(args.index, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            if not text.strip():
                continue
            try:
                line = json.loads(text)
                yield {**line, "image": base / line["image"], "product": base / line["product"]}
            except (ValueError, KeyError, TypeError) as error:
                raise PictureError(f'line {number} of "{args.index}" needs "image" and "product" as JSON text ({error!r}).') from error
