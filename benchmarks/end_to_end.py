"""The whole way in figures (docs/protocol.md, 1): how often one picture is accepted, how often one of five is, what it
costs, whether memory holds.

    python -m benchmarks.end_to_end [--quick] [--only rates cyclic real seconds memory setup ap labels]

Everything runs through a real ComfyUI server and the shipped workflow. `rates` leaves its pictures in --out, with
sheets that show no verdict; benchmarks/labelled.py keeps what language models say of them, and `labels` counts it.
`real` takes --photos, a folder of cut-out photographs that the project doesn't hold.
"""

from __future__ import annotations

import argparse
import io
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from PIL import Image

from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.demo import PICTURE, PLACED, PROMPT, SAMPLER, WORKFLOW, png_of
from reliable_ads.devtools.graph import load, titled, to_api
from reliable_ads.pocket.training.label_sheets import sheet
from reliable_ads.rfnet.pictures import cut_outs
from reliable_ads.rfnet.product import Product
from reliable_ads.synthetic.jobs import Job

from . import labelled
from .common import RESULTS, ROOT, Figure, mean, products, publish, share
from .labelled import picture_hash

COMMAND = "python -m benchmarks.end_to_end"
ATTEMPTS = 5
SEEDS = "one per product, drawn from its id (synthetic.jobs)"


class Session:
    """The shipped workflow on a running server, asked for one product at a time."""

    def __init__(self, server: ComfyServer):
        self.server = server
        self.client = ComfyClient(server.address)
        self.graph = to_api(load(WORKFLOW), self.client.ask("/object_info"))
        self.usual_prompt = self.graph[titled(self.graph, PROMPT)]["inputs"]["text"]  # the demo's

    def draw(self, job, attempts: int, **sampler) -> tuple[dict, list[Image.Image]]:
        """Runs one job → the sampler's report and all its pictures.

        sampler: other inputs of RF Cyclic Sampler; early rejection is off unless it says so.
        """

        def inputs(title):
            return self.graph[titled(self.graph, title)]["inputs"]

        inputs(PICTURE)["image"] = self.client.upload(f"{job.product_id}.png", png_of(job.product.rgba))
        inputs(PLACED)["caption"] = job.product.caption
        inputs(PROMPT)["text"] = job.prompt or self.usual_prompt
        inputs(SAMPLER).update(
            {"seed": job.seed, "attempts": attempts, "on_exhausted": "best", "early_rejection": "off", **sampler}
        )
        shown = self.client.outputs(self.graph)[titled(self.graph, SAMPLER)]
        return json.loads(shown["report"][0]), [
            Image.open(io.BytesIO(self.client.view(p))).convert("RGB") for p in shown["images"]
        ]


def counted(rows):
    """The same rows, counted on the screen."""
    for number, row in enumerate(rows, 1):
        yield row
        print(f"\r{number}/{len(rows)}", end="\n" if number == len(rows) else "", file=sys.stderr, flush=True)


def rates(session: Session, options) -> tuple[dict[str, Figure], dict]:
    """One picture for each product: the share that RFNet accepts."""
    jobs = products(options.sizes["rates"], options.quick)
    rows, found = [], []
    for number, job in enumerate(counted(jobs)):
        report, (picture, *_) = session.draw(job, 1)
        attempt = report["attempts"][0]
        path = options.out / f"single-{number:03d}.png"
        picture.save(path)
        found.append((path, picture_hash(picture), job.product))
        rows.append(
            {
                "product_id": job.product_id,
                "kind": job.kind,
                "prompt": job.prompt,
                "seed": job.seed,
                "hash": found[-1][1],
                "label": attempt["label"],
                "accepted": attempt["accepted"],
                "p": attempt["probabilities"]["available"],
            }
        )
    labelled.blind_sheets(found, options.out)
    accepted = sum(row["accepted"] for row in rows)
    return {"available_rate_rfnet": Figure(*share(accepted, len(rows)), len(rows))}, {"single": rows}


def cyclic(session: Session, options) -> tuple[dict[str, Figure], dict]:
    """Five attempts per product: how many are accepted, after how many draws."""
    rows = []
    for number, job in enumerate(counted(products(options.sizes["cyclic"], options.quick))):
        report, pictures = session.draw(job, ATTEMPTS)
        rows.append({"product_id": job.product_id, "accepted": report["accepted"], "attempts": len(report["attempts"])})
        texts = [f"{a['label']} {a['probabilities'][a['label']]:.2f}" for a in report["attempts"]]
        sheet(pictures, texts, ATTEMPTS).save(options.out / f"cyclic-{number:03d}.png")
    return {
        "accepted_within_5": Figure(*share(sum(row["accepted"] for row in rows), len(rows)), len(rows)),
        "mean_attempts": Figure(*mean([row["attempts"] for row in rows]), len(rows)),
    }, {"cyclic": rows}


def real(session: Session, options) -> tuple[dict[str, Figure], dict]:
    """Photographs of real products, cut out, with the demo's prompt: how many are accepted within five attempts."""
    if options.photos is None:
        raise SystemExit("real needs --photos FOLDER: cut-out photographs of products")
    rows = []
    for path, caption in counted(cut_outs(options.photos)):
        job = Job(path.stem, Product.from_picture(path, caption), "", 1)
        report, pictures = session.draw(job, ATTEMPTS)
        rows.append({"product": path.name, "accepted": report["accepted"], "attempts": len(report["attempts"])})
        texts = [f"{a['label']} {a['probabilities'][a['label']]:.2f}" for a in report["attempts"]]
        sheet(pictures, texts, ATTEMPTS).save(options.out / f"real-{path.stem}.png")
    return {"real_products": Figure(sum(row["accepted"] for row in rows), n=len(rows))}, {"real": rows}


def seconds(session: Session, options) -> tuple[dict[str, Figure], dict]:
    """What a draw with its review takes on the server's one thread, the first left out."""
    jobs = products(options.sizes["seconds"] + 1, True)  # of any products
    took = [session.draw(job, 1)[0]["attempts"][0]["seconds"] for job in counted(jobs)][1:]
    return {"draw_seconds": Figure(statistics.median(took), n=len(took))}, {"draw_seconds": took}


def memory(session: Session, options) -> tuple[dict[str, Figure], dict]:
    return memory_growth(session, options.sizes["memory"], 20)


def memory_growth(session: Session, attempts: int, first: int) -> tuple[dict[str, Figure], dict]:
    """Resident memory of the server after the last attempt against attempt `first`, in runs of five that never
    accept.
    """
    import psutil

    process = psutil.Process(session.server.process.pid)
    curve = []
    (job,) = products(1, True)
    for done in counted(range(ATTEMPTS, attempts + 1, ATTEMPTS)):
        session.draw(replace(job, seed=job.seed + done), ATTEMPTS, threshold=1.0)
        curve.append((done, process.memory_info().rss / 2**20))
    at = dict(curve)
    return {"memory_growth": Figure(at[attempts] / at[min(first, attempts)] - 1, n=attempts)}, {"rss_mib": curve}


def ap(options) -> tuple[dict[str, Figure], dict]:
    """The shipped reviewer on the shipped test split, through the public command."""
    command = [
        sys.executable,
        "-m",
        "reliable_ads.rfnet",
        "evaluate",
        str(ROOT / "rfnet" / "weights" / "rfnet_compact.safetensors"),
        "--data",
        str(ROOT / "synthetic" / "test_split"),
        "--json",
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    score = report["ap"]
    return {"ap": Figure(score["value"], score["low"], score["high"], report["n"])}, {"reviewer": report}


def labels(options) -> tuple[dict[str, Figure], dict]:
    """What the labels say of the very pictures of `rates`, known by their hashes, against RFNet's verdicts."""
    answers = labelled.available("single")
    rows = json.loads((RESULTS / "end_to_end.json").read_text(encoding="utf-8"))["details"]["single"]
    both = [(row["accepted"], answers[row["hash"]]) for row in rows if row["hash"] in answers]
    if not both:
        raise SystemExit("no label fits a picture of the last `rates` run: have its sheets labelled again")
    usable, agreed = sum(answer for _, answer in both), sum(accepted == answer for accepted, answer in both)
    return {
        "available_rate_labels": Figure(*share(usable, len(both)), len(both)),
        "agreement": Figure(*share(agreed, len(both)), len(both)),
    }, {"labels_left_out": len(rows) - len(both)}


def setup(options) -> tuple[dict[str, Figure], dict]:
    """A fresh clone: the first demo, set-up included, and three more."""
    with tempfile.TemporaryDirectory(prefix="reliable-ads-clone-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        took = []
        for _ in range(2 if options.quick else 4):
            started = time.monotonic()
            code = subprocess.call(
                [shutil.which("python3") or sys.executable, "dev.py", "demo", "--out", str(Path(folder) / "out")],
                cwd=clone,
            )
            if code not in (0, 2):
                raise SystemExit(f"the demo failed in a fresh clone (exit code {code})")
            took.append(time.monotonic() - started)
    demo = statistics.median(took[1:])
    return {"setup_seconds": Figure(took[0] - demo, n=1), "demo_seconds": Figure(demo, n=len(took) - 1)}, {}


ON_A_SERVER = {"rates": rates, "cyclic": cyclic, "real": real, "seconds": seconds, "memory": memory}
ALONE = {"ap": ap, "labels": labels, "setup": setup}
USUALLY = ("rates", "cyclic", "seconds", "memory", "setup", "ap")
SIZES = {"rates": 120, "cyclic": 100, "seconds": 20, "memory": 200}
QUICK = {"rates": 4, "cyclic": 2, "seconds": 2, "memory": 10}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same code on few validation products; writes nothing")
    parser.add_argument("--only", nargs="+", choices=[*ON_A_SERVER, *ALONE], default=USUALLY)
    parser.add_argument("--photos", type=Path, help="for real: a folder of cut-outs, captions beside them")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "end_to_end")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    options.sizes = QUICK if options.quick else SIZES

    def finish(name, result):
        publish(
            "end_to_end", COMMAND, SEEDS, *(result[0], options.quick, result[1]), name not in ("setup",), name != "ap"
        )

    served = [name for name in options.only if name in ON_A_SERVER]
    if served:
        with (
            tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
            ComfyServer(Path(base), options.out / "server.log") as server,
        ):
            session = Session(server)
            for name in served:
                finish(name, ON_A_SERVER[name](session, options))
    for name in options.only:
        if name in ALONE:
            finish(name, ALONE[name](options))


if __name__ == "__main__":
    main()
