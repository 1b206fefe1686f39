"""`rfnet next | label | rounds`: labelling from the command line, first what the reviewer is least sure of."""

import json
import sys
from pathlib import Path

from ..active import PLANNED
from ..agreement import agreements
from ..arguments import one_line, path, whole
from ..commands import Commands
from ..data.errors import DataError
from ..data.journal import KEY, LONGEST_NAME, Contents, is_name
from ..data.labelling import JOURNAL, LabelFolder
from ..files import quoted, same_name
from ..labels import LABELS
from ..weights import DEFAULT_WEIGHTS


def add_labelling(commands: Commands) -> None:
    for add in (_add_next, _add_label, _add_rounds):
        add(commands)


def _add_next(commands: Commands) -> None:
    sub = commands.add(
        "next", show_next, "Which pictures of a dataset to label next: those that teach the reviewer most."
    )
    _add_dataset(sub)
    sub.add_argument("--count", type=whole(1, PLANNED), default=10)
    sub.add_argument("--pictures", type=path, help="folder of pictures to add to the dataset first; needs --product")
    sub.add_argument("--product", type=path, help="cut-out with transparency that the added pictures show")
    sub.add_argument("--caption", default="", help="what is sold in the added pictures")
    sub.add_argument(
        "--by",
        default="",
        metavar="NAME",
        help="for this labeller, who is also shown every fifth time what only others have labelled",
    )
    sub.add_argument(
        "--verdict",
        action="store_true",
        help="with what the reviewer thinks; it may sway you, so leave it out to label",
    )
    sub.add_argument("--json", action="store_true", help="one JSON object per picture and line")


def _add_label(commands: Commands) -> None:
    sub = commands.add("label", give_label, "Label a picture of a dataset, or take its label back.")
    sub.add_argument("dataset", type=path, help="folder that RF Label, a web UI's tab or `rfnet next` filled")
    sub.add_argument("picture", help="its file, or its key of 16 hex digits")
    sub.add_argument("label", choices=(*LABELS, "undo"))
    sub.add_argument("--by", default="", metavar="NAME", help="who says so, where several label the same dataset")


def _add_rounds(commands: Commands) -> None:
    sub = commands.add(
        "rounds",
        show_rounds,
        "How a reviewer's agreement with the labels of a dataset grows while it learns from them, ten at a time.",
    )
    _add_dataset(sub)
    sub.add_argument("--json", action="store_true")


def _add_dataset(sub) -> None:
    sub.add_argument("dataset", type=path, help="folder that RF Label or a web UI's tab filled")
    sub.add_argument("--weights", type=path, default=str(DEFAULT_WEIGHTS), help="reviewer that learns")


def show_next(args) -> None:
    folder, by = LabelFolder(args.dataset), _name(args.by)
    if args.pictures or args.product:
        added, refused = add_pictures(folder, args.pictures, args.product, args.caption)
        print(f"{added} pictures added to {args.dataset}", file=sys.stderr)
        for sentence in refused:
            print(f"rfnet: left out: {sentence}", file=sys.stderr)
        args.status = 1 if refused else args.status
    learned = _learned(folder, args)
    contents = folder.read()
    keys = contents.shown(learned.plan, args.count, by) if by else learned.plan[: args.count]
    for key in keys:
        item = contents.items[key]
        row = {"image": str(folder.picture(key)), "product_id": item.product_id, "caption": item.caption}
        if args.verdict and key in learned.likely:
            row["label"], row["probability"] = learned.likely[key]
        if args.json:
            print(json.dumps(row, ensure_ascii=False))
        else:
            verdict = f"  {row['label']} {row['probability']:.2f}" if "label" in row else ""
            print(f"{row['image']}  {one_line(item.caption, 200)}{verdict}")
    if not keys:
        waits = len(contents.waiting)
        print(
            f"{waits} pictures wait, and none of them can be read." if waits else "Nothing waits: all is labelled.",
            file=sys.stderr,
        )


def give_label(args) -> None:
    key, by = Path(args.picture).name.removesuffix(".png"), _name(args.by)
    folder = _existing(args.dataset)
    try:
        if not KEY.fullmatch(key):
            raise KeyError(key)
        if args.label == "undo":
            _check_undo(folder.read(), key, by)
        contents = folder.label(key, None if args.label == "undo" else args.label, by=by)
    except KeyError:
        raise DataError(
            f"{quoted(args.picture)} is no picture of this dataset: give a file of its folder pictures, as `rfnet next`"
            " prints them."
        ) from None
    print(contents)


def _name(by: str) -> str:
    """A labeller's name, or "". Raises DataError."""
    if by and not is_name(by):
        raise DataError(f"{quoted(by, 60)} can't name a labeller: give up to {LONGEST_NAME} characters of one line.")
    return same_name(by)


def _check_undo(contents: Contents, key: str, by: str) -> None:
    """Raises DataError where this labeller has nothing to take back, KeyError where there is no such picture."""
    if (key, by) in contents.said:
        return
    others = [name or "somebody without a name" for other, name in contents.said if other == key]
    if key not in contents.items:
        raise KeyError(key)
    if not others:
        raise DataError(f"{key} has no label: there is nothing to take back.")
    raise DataError(
        f"{key} was labelled by {', '.join(others)}, and only who gave a label takes it back: give that name with --by."
    )


def show_rounds(args) -> None:
    folder = _existing(args.dataset)
    learned = _learned(folder, args)
    found = agreements(folder.read().said)
    if args.json:
        pairs = [{"names": one.names, "n": one.n, "same": one.same, "kappa": one.kappa} for one in found]
        print(json.dumps({**learned.summary(), "labellers": pairs}, ensure_ascii=False))
        return
    print("learned  labels  agreed  at first")
    for one in learned.rounds:
        print(f"{one.learned:7}  {one.n:6}  {one.agreed:6}  {one.before:8}")
    print("\n".join([str(learned), *map(str, found)]))


def _existing(dataset: str) -> LabelFolder:
    if not (Path(dataset) / JOURNAL).is_file():
        raise DataError(
            f"{quoted(dataset)} holds no {JOURNAL}: give a dataset's folder, such as output/labels/my_labels; `rfnet"
            " next --pictures FOLDER --product FILE` makes one."
        )
    return LabelFolder(dataset)


def _learned(folder: LabelFolder, args):
    """All that can be learned by now, a rounds.Learned, with a line that says how many pictures are left to look at."""
    from .rounds import Learner

    _existing(args.dataset)
    learner = Learner(folder, args.weights)
    for learned in learner.learn():
        if sys.stderr.isatty() and not args.json:
            print(f"\r{learned.unread} pictures to look at   ", end="\n" * (not learned.unread), file=sys.stderr)
    if learner.learned.damaged:
        print(f"rfnet: {learner.learned.damaged} pictures can't be read and are left out.", file=sys.stderr)
        args.status = 1
    return learner.learned


def add_pictures(folder: LabelFolder, pictures, product, caption: str) -> tuple[int, list[str]]:
    """Adds the pictures of a folder that show one product, as `rfnet review` takes them; returns how many are new, and
    a sentence for each that can't be used. The product's own file and hidden ones are passed over.

    Raises DataError, PictureError, OSError.
    """
    import numpy as np
    from PIL import Image

    from ..data.spans import PICTURES
    from ..finished import canvas_of, cut_out, on_canvas
    from ..pictures import PictureError, open_picture
    from ..product import Product

    if not (pictures and product):
        raise DataError("--pictures and --product belong together: give the pictures' folder and their product's file.")
    files = sorted(
        file
        for file in Path(pictures).glob("[!.]*")
        if file.suffix.lower() in PICTURES and not (Path(product).exists() and file.samefile(product))
    )
    if not files:
        raise DataError(f"{quoted(pictures)} holds no pictures ({', '.join(PICTURES)}): give their folder.")
    shown = Product.from_picture(product, caption)
    added, refused = 0, []
    for file in files:
        try:
            picture = open_picture(file)
            canvas = canvas_of(shown, picture.shape[1], picture.shape[0])
        except PictureError as error:
            named = file.name in str(error)
            refused.append(str(error) if named else f"{quoted(file.name)}: {error}")
            continue
        pixels = on_canvas(picture, canvas)[0].permute(1, 2, 0).numpy()
        image = Image.fromarray((np.clip(pixels, 0, 1) * 255 + 0.5).astype(np.uint8))
        added += folder.add(image, cut_out(canvas), shown.fingerprint, caption)
    return added, refused
