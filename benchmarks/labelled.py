"""Blind labels: sheets on which nobody sees which way drew a picture, and what three language models said of them.

    python -m benchmarks.labelled NAME --blind OUT/blind.json --labels A.json B.json C.json

keeps their labels (JSON: {number: label}) in benchmarks/labels/NAME.json by the pictures' hashes; those of other
pictures stay. "The labels" of docs/protocol.md are the majority of the three.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from reliable_ads.pocket.training.label import AVAILABLE, majority
from reliable_ads.pocket.training.label_sheets import cell, cut_out_of, write_sheets
from reliable_ads.rfnet.files import write_text
from reliable_ads.rfnet.labels import LABELS, UNSUITABLE

from .common import ROOT

FOLDER = ROOT / "benchmarks" / "labels"
LABELLERS = "abc"


def picture_hash(picture: Image.Image) -> str:
    """What a picture is called, whatever it shows."""
    return hashlib.sha256(picture.convert("RGB").tobytes()).hexdigest()[:16]


def blind_sheets(found: list, out: Path) -> None:
    """Every picture once, in an order that tells nothing, on OUT/sheet-000.png ...; OUT/blind.json lists their hashes.

    found: (path of the picture, its hash, its Product) each.
    """
    once = list({row[1]: row for row in found}.values())
    rows = [once[i] for i in np.random.default_rng(0).permutation(len(once))]
    write_sheets(out, [partial(_cell, number, *row) for number, row in enumerate(rows)], 0)
    write_text(out / "blind.json", json.dumps([row[1] for row in rows]))


def _cell(number: int, path: Path, _hash: str, product) -> Image.Image:
    with Image.open(path) as picture:
        return cell(picture, cut_out_of(product.rgba), number, product.caption)


def said(name: str) -> dict[str, list[str]]:
    """{hash: what each labeller said}, of the pictures that all have labelled."""
    file = FOLDER / f"{name}.json"
    if not file.exists():
        raise SystemExit(f"{file} is missing: have the sheets labelled, and keep the labels with benchmarks.labelled")
    given = json.loads(file.read_text(encoding="utf-8"))["labels"]
    every = set.intersection(*(set(one) for one in given.values()))
    return {key: [one[key] for one in given.values()] for key in sorted(every)}


def available(name: str) -> dict[str, bool]:
    """{hash: whether the labels call it available}; pictures without a majority are left out."""
    answers = {key: majority(words) for key, words in said(name).items()}
    return {key: answer[0] == AVAILABLE for key, answer in answers.items() if answer}


def keep(name: str, blind: Path, labels: list[Path]) -> Path:
    """Adds labels by number to those by hash. Raises SystemExit where a number or label is none."""
    hashes = json.loads(blind.read_text(encoding="utf-8"))
    file = FOLDER / f"{name}.json"
    given = json.loads(file.read_text(encoding="utf-8"))["labels"] if file.exists() else {}
    for labeller, path in zip(LABELLERS, labels, strict=True):
        words = json.loads(path.read_text(encoding="utf-8"))
        missing = [n for n in range(len(hashes)) if words.get(str(n)) not in (*LABELS, UNSUITABLE)]
        if missing or len(words) != len(hashes):
            raise SystemExit(f"{path} must label 0 to {len(hashes) - 1}; look at number {(missing or ['?'])[0]}")
        given.setdefault(labeller, {}).update({hashes[int(n)]: label for n, label in words.items()})
    write_text(file, json.dumps({"labels": given}, indent=0) + "\n")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=["single", "accepted", "tuned"])
    parser.add_argument("--blind", type=Path, required=True, help="blind.json beside the sheets")
    parser.add_argument("--labels", type=Path, nargs=3, required=True, help="one file for each labeller")
    options = parser.parse_args()
    print(keep(options.name, options.blind, options.labels))


if __name__ == "__main__":
    main()
