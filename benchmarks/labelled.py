"""Blind labels: sheets on which nobody sees which way drew a picture, and what three language models said of them.

    python -m benchmarks.labelled NAME --blind OUT/blind.json --labels A.json B.json C.json

keeps their labels (JSON: {number: label}) in benchmarks/labels/NAME.json by the pictures' hashes; those of other
pictures stay. "The labels" of docs/protocol.md are the majority of the three. NAME: "single" (end_to_end), "accepted"
(sampler) and "tuned" (rfft) say what a picture is, available or its defect; "prompts" what it shows, {"surface",
"room"} in the words of choices.json; "beauty" which of a pair is to publish, "left", "right" or "same".
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
NAMES = ("single", "accepted", "tuned", "prompts", "beauty")


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


def answers(name: str) -> dict[str, dict]:
    """{labeller: {key: answer}} of what is no label: "prompts" and "beauty". Empty where nothing was said yet."""
    file = FOLDER / f"{name}.json"
    return json.loads(file.read_text(encoding="utf-8"))["labels"] if file.exists() else {}


def is_answer(name: str, answer) -> bool:
    if name == "prompts":
        return isinstance(answer, dict) and set(answer) == {"surface", "room"}
    return answer in (("left", "right", "same") if name == "beauty" else (*LABELS, UNSUITABLE))


def keep(name: str, blind: Path, labels: list[Path]) -> Path:
    """Adds labels by number to those by hash. Raises SystemExit where a number or label is none."""
    keys = json.loads(blind.read_text(encoding="utf-8"))
    given = answers(name)
    for labeller, path in zip(LABELLERS, labels, strict=True):
        words = json.loads(path.read_text(encoding="utf-8"))
        missing = [n for n in range(len(keys)) if not is_answer(name, words.get(str(n)))]
        if missing or len(words) != len(keys):
            raise SystemExit(f"{path} must answer 0 to {len(keys) - 1}; look at number {(missing or ['?'])[0]}")
        given.setdefault(labeller, {}).update({keys[int(n)]: answer for n, answer in words.items()})
    file = FOLDER / f"{name}.json"
    write_text(file, json.dumps({"labels": given}, indent=0) + "\n")
    return file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument(
        "--blind", type=Path, required=True, help="blind.json beside the sheets; of beauty blind_pairs.json"
    )
    parser.add_argument("--labels", type=Path, nargs=3, required=True, help="one file for each labeller")
    options = parser.parse_args()
    print(keep(options.name, options.blind, options.labels))


if __name__ == "__main__":
    main()
