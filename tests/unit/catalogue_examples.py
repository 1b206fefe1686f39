"""Small catalogues, and runs over them with an engine that costs no time."""

import csv
import json
from pathlib import Path

from PIL import Image

from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue.manifest import Manifest
from reliable_ads.catalogue.rows import Catalogue
from reliable_ads.catalogue.run import Run
from reliable_ads.catalogue.storage import open_storage
from reliable_ads.pocket.ldm import save_checkpoint, save_controlnet
from reliable_ads.rfnet.fusion import Fusion, Opinion
from reliable_ads.rfnet.weights import change_metadata, save_reviewer

from .rfft_examples import tiny_pocket
from .rfnet_examples import bottle_rgba, small_networks

PROMPTS = ("{caption} on a table",)


def write_products(folder: Path, count: int) -> list[dict]:
    """Rows of so many products, and their pictures beside the table."""
    (folder / "pictures").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(count):
        name = f"pictures/{number % 5}.png"
        if not (folder / name).exists():
            rgba = bottle_rgba()
            rgba[30, 20, 0] = number
            Image.fromarray(rgba, "RGBA").save(folder / name)
        rows.append({"id": f"p{number}", "picture": name, "caption": f"bottle {number}", "colour": "blue"})
    return rows


def write_csv(path: Path, rows: list[dict], delimiter=",") -> Path:
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        table.writeheader()
        table.writerows(rows)
    return path


def tiny_family(folder: Path) -> Path:
    """The folder, with a tiny pocket family, a small reviewer, and one that lets contact say space_mismatch of all."""
    pocket = tiny_pocket()
    save_checkpoint(folder / "checkpoint.safetensors", pocket)
    save_controlnet(folder / "controlnet.safetensors", pocket)
    save_reviewer(folder / "small.safetensors", *small_networks(), {})
    contact = Opinion(weight=[100.0, 0, 0, 0], centre=[-20.0, 0, 0, 0], spread=[1.0] * 4)
    fusion = Fusion(rfnet=1.0, bias=[0.0] * 4, opinions={"contact": contact}, threshold=0.01)
    change_metadata(folder / "small.safetensors", folder / "fused.safetensors", {"fusion": fusion.to_json()})
    return folder


def catalogue(folder: Path, count=6, **more) -> Catalogue:
    path = write_csv(folder / "products.csv", write_products(folder, count))
    return Catalogue(path, **{"prompts": PROMPTS, **more})


def run(listed: Catalogue, out, spec=None, **more) -> dict:
    """The summary of a run; what it says goes nowhere."""
    return Run(listed, spec or SleepingSpec(), open_storage(out), say=lambda line: None, **more)()


def rows(out) -> list[dict]:
    """The manifest's rows, of all parts."""
    from pyarrow import parquet

    parts = sorted(Path(out, "manifest").glob("*.parquet"))
    return [row for part in parts for row in parquet.read_table(part).to_pylist()]


def check_whole(out: Path) -> None:
    """No attempt is twice in the manifest, every picture that it names is whole, and nothing else is there."""
    found = rows(out)
    pairs = [(row["key"], row["attempt"]) for row in found]
    assert len(set(pairs)) == len(pairs)
    named = {row["file"] for row in found if row["file"]} | {row["thumbnail"] for row in found}
    for name in named:
        with Image.open(out / name) as picture:
            picture.load()
    written = {
        path.relative_to(out).as_posix() for folder in ("pictures", "attempts") for path in (out / folder).rglob("*.*")
    }
    assert {name for name in written if not name.endswith(".partial")} == named
    assert not list((out / "records").glob("*.json"))


def failures(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "failures.jsonl").read_text("utf-8").splitlines()]


def opened(out) -> Manifest:
    return Manifest(open_storage(out)).open()
