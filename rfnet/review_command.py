"""`rfnet review`: verdicts on generated images of one product, or of an index of them."""

import json
import os
import sys
from collections.abc import Callable
from glob import glob
from pathlib import Path
from typing import Annotated

import msgspec

from .arguments import SHARE, add_painter, decimal, painter_files, path
from .commands import Commands, sentence
from .common_sizes import LARGEST_CM, SMALLEST_CM
from .files import check_writable, quoted, write_text
from .finished import canvas_of, on_canvas
from .labels import LABELS, shown_label
from .painters import painter_of
from .pictures import PictureError, open_picture
from .product import Product
from .risks import ACCEPT, doubt, doubting
from .structured import StructureError, convert, parse_json
from .textfiles import TextError, read_text
from .weights import DEFAULT_WEIGHTS, load_reviewer

INDEX_LIMIT = 1 << 30  # bytes
SCALE = decimal(0.01, 1)  # as nodes have it


class IndexLine(msgspec.Struct):
    """A line of an index, which may hold more."""

    image: Annotated[str, msgspec.Meta(min_length=1)]
    product: Annotated[str, msgspec.Meta(min_length=1)]
    caption: str | None = None
    size_cm: Annotated[float, msgspec.Meta(ge=0, le=LARGEST_CM)] = 0.0


def add_review(commands: Commands, advise: Callable = lambda reviewer, args: reviewer):
    """advise(reviewer, args) -> what reviews in its place, with second opinions. Returns the parser."""
    sub = commands.add("review", review, "Verdicts on generated images of one product, or of an index of them.")
    sub.add_argument("images", type=path, nargs="*")
    sub.add_argument("--product", type=path, help="product cut-out with transparency")
    sub.add_argument("--caption", default="", help="what is sold")
    sub.add_argument(
        "--size-cm",
        type=decimal(SMALLEST_CM, LARGEST_CM),
        default=0.0,
        help="its largest side in centimetres, for the opinion size",
    )
    sub.add_argument(
        "--index",
        type=path,
        help='.jsonl with lines of {"image", "product", "caption"}, and perhaps "size_cm"; paths relative to it',
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
    add_painter(sub)
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
    sub.set_defaults(advise=advise)
    return sub


def review(args) -> None:
    if isinstance(args.json, str) and (not args.json.endswith(".json") or "\0" in args.json):
        raise PictureError(
            f"{quoted(args.json)} after --json is no name of a .json file: give one, or put --json last."
        )
    if isinstance(args.json, str):
        check_writable(args.json)
    reviewer = args.advise(load_reviewer(args.weights), args)
    lines = list(_lines(args))
    rows = []
    threshold = reviewer.threshold_for(args.accept, args.threshold)
    files = painter_files(args)
    doubted = doubt(reviewer.certificate(args.accept, painter_of(*files) if files else None))
    width = max(len("image"), *(len(str(line["image"])) for line in lines), 0)
    say = (lambda text: None) if args.json is True else lambda text: print(text, flush=True)
    say(f"{'image':<{width}}  verdict   label              " + "  ".join(LABELS))
    try:
        for line in lines:
            rows.append(row := doubting(_review_line(line, reviewer, threshold, args.image_scale), doubted))
            say(f"{row['image']:<{width}}  {_table_row(row)}")
            if args.json is True:
                print(json.dumps(row, ensure_ascii=False), flush=True)
    finally:  # what was judged is kept where the user stops it, too
        if isinstance(args.json, str):
            write_text(args.json, json.dumps(rows, ensure_ascii=False, indent=1) + "\n")
    failed = [row for row in rows if "error" in row]
    say(f"{sum(row.get('accepted', False) for row in rows)} of {len(rows)} accepted, from available >= {threshold:g}")
    if doubted:
        say(doubted)
    for note in dict.fromkeys(note for row in rows if "opinions" in row for note in row.get("notes", ())):
        say(note)
    if failed:
        args.status = 1
        print(
            f"rfnet: {len(failed)} of {len(rows)} could not be reviewed, first: {failed[0]['error']}", file=sys.stderr
        )


def _review_line(line: dict, reviewer, threshold: float, image_scale: float | None) -> dict:
    """{"image", "label", "probabilities", "accepted"} of one line of _lines; {"image", "error"} where a file can't be
    used.
    """
    try:
        verdict = {"error": line["error"]} if "error" in line else _verdict(line, reviewer, threshold, image_scale)
    except (PictureError, OSError) as error:
        verdict = {"error": f"{line.get('where', '')}{sentence(error)}"}
    return {"image": str(line["image"]).encode("utf-8", "replace").decode("utf-8"), **verdict}


def _table_row(row: dict) -> str:
    """A row of the table behind the image's name."""
    if "error" in row:
        return f"error     {row['error']}"
    scores = "  ".join(f"{row['probabilities'][label]:{len(label)}.2f}" for label in LABELS)
    decided = f"  decided by {decider}" if (decider := row.get("decided_by", "rfnet")) != "rfnet" else ""
    decided += "".join(f"  {name}: {text}" for name, text in row.get("said", {}).items())
    unlike = "  unfamiliar picture: label a few" if row.get("unfamiliar") else ""
    return f"{'accepted' if row['accepted'] else 'rejected'}  {shown_label(row):<17}  {scores}{decided}{unlike}"


def _verdict(line: dict, reviewer, threshold: float, image_scale: float | None) -> dict:
    """The row of Review.rows() for one line of _lines."""
    picture = open_picture(line["image"])
    product = Product.from_picture(line["product"], line.get("caption", ""), line.get("size_cm", 0.0))
    canvas = canvas_of(product, picture.shape[1], picture.shape[0], image_scale)
    row = reviewer.review(on_canvas(picture, canvas), canvas, threshold).rows()[0]
    return row if row.get("unfamiliar") else {key: value for key, value in row.items() if key != "familiar"}


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
        given = {"product": args.product, "caption": args.caption, "size_cm": args.size_cm}
        yield from ({"image": image, **given} for image in images)
        return
    base = Path(args.index).parent
    name = quoted(Path(args.index).name, 60)
    numbered = [(number, text) for number, text in enumerate(_index_lines(args.index), 1) if text.strip()]
    if not numbered:
        wanted = '{"image": FILE, "product": FILE, "caption": TEXT}'
        raise PictureError(f"nothing to review: {name} is empty; write lines of {wanted}.")
    for number, text in numbered:
        where = f"line {number} of {name}"
        try:
            line = parse_json(text, "it")
            line = convert(
                {key: line[key] for key in IndexLine.__struct_fields__ if key in line}
                if isinstance(line, dict)
                else line,
                IndexLine,
                "it",
            )
            yield {
                "image": base / line.image,
                "product": base / line.product,
                "caption": line.caption or "",
                "size_cm": line.size_cm,
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


def _index_lines(path) -> list:
    try:
        return read_text(path, INDEX_LIMIT).split("\n")
    except TextError as error:
        raise PictureError(f"the index {error}") from error
