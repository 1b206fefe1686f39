"""The whole way in figures: how often one picture is accepted, how often one of five is, what it
costs, whether memory holds.

    python -m benchmarks.end_to_end [--quick] [--only rates cyclic memory setup ap labels]

Everything runs through a real ComfyUI server and the shipped workflow. `rates` and `cyclic` leave their pictures in
--out, with contact sheets that show no verdict; the labels that language models gave them go into
benchmarks/labels/end_to_end_labels.json, and `labels` compares them.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.devtools.demo import PICTURE, PLACED, PROMPT, SAMPLER, WORKFLOW, png_of
from reliable_ads.devtools.graph import load, titled, to_api
from reliable_ads.pocket.training.label_sheets import sheet
from reliable_ads.synthetic.jobs import test_jobs

from .common import RESULTS, ROOT, Figure, mean, publish, share

COMMAND = "python -m benchmarks.end_to_end"
LABELS = ROOT / "benchmarks" / "labels" / "end_to_end_labels.json"
SEEDS = "one per product, drawn from its id (synthetic.jobs)"


class Session:
    """The shipped workflow on a running server, asked for one product at a time."""

    def __init__(self, server: ComfyServer):
        self.server = server
        self.client = ComfyClient(server.address)
        self.graph = to_api(load(WORKFLOW), self.client.ask("/object_info"))

    def draw(self, job, attempts: int, **sampler) -> tuple[dict, list[Image.Image]]:
        """Runs one job → the sampler's report and all its pictures.

        sampler: other inputs of RF Cyclic Sampler; early rejection is off unless it says so.
        """

        def inputs(title):
            return self.graph[titled(self.graph, title)]["inputs"]

        inputs(PICTURE)["image"] = self.client.upload(f"{job.product_id}.png", png_of(job.product.rgba))
        inputs(PLACED)["caption"] = job.product.caption
        inputs(PROMPT)["text"] = job.prompt
        inputs(SAMPLER).update(
            {"seed": job.seed, "attempts": attempts, "on_exhausted": "best", "early_rejection": "off", **sampler}
        )
        shown = self.client.outputs(self.graph)[titled(self.graph, SAMPLER)]
        return json.loads(shown["report"][0]), [
            Image.open(io.BytesIO(self.client.view(p))).convert("RGB") for p in shown["images"]
        ]


def picture_hash(picture: Image.Image) -> str:
    return hashlib.sha256(picture.tobytes()).hexdigest()[:16]


def rates(session: Session, count: int, out: Path) -> tuple[dict[str, Figure], dict]:
    """One sample per test product: the share that RFNet calls available."""
    rows = []
    pictures = []
    jobs = test_jobs(count)
    for number, job in enumerate(jobs):
        report, (picture, *_) = session.draw(job, 1)
        picture.save(out / f"single-{number:03d}.png")
        rows.append(
            {
                "number": number,
                "product_id": job.product_id,
                "prompt": job.prompt,
                "seed": job.seed,
                "hash": picture_hash(picture),
                **{k: report["attempts"][0][k] for k in ("label", "accepted")},
                "p": report["attempts"][0]["probabilities"]["available"],
            }
        )
        pictures.append(picture)
        print(f"\rsingle {number + 1}/{count}", end="", file=sys.stderr, flush=True)
    texts = [f"{n}: {job.product.caption}" for n, job in enumerate(jobs)]
    for first in range(0, count, 50):
        sheet(pictures[first : first + 50], texts[first : first + 50], 10, 160).save(
            out / f"single-sheet-{first:03d}.png"
        )
    (out / "single.json").write_text(json.dumps(rows, indent=1))
    return {"available_rate_rfnet": Figure(*share(sum(r["accepted"] for r in rows), count), count)}, {"single": rows}


def cyclic(session: Session, count: int, out: Path) -> tuple[dict[str, Figure], dict]:
    """Five attempts per product: how many are accepted, after how many draws."""
    runs = []
    rows = []
    for number, job in enumerate(test_jobs(count)):
        report, pictures = session.draw(job, 5)
        runs.append(report)
        rows.append({"product_id": job.product_id, "accepted": report["accepted"], "attempts": len(report["attempts"])})
        sheet(
            pictures, [f"{a['label']} {a['probabilities'][a['label']]:.2f}" for a in report["attempts"]], 5, 160
        ).save(out / f"cyclic-{number:03d}.png")
        print(f"\rcyclic {number + 1}/{count}", end="", file=sys.stderr, flush=True)
    tries = Figure(*mean([len(r["attempts"]) for r in runs]), count)
    first = sum(r["attempts"][0]["accepted"] for r in runs) / count
    expected = sum((1 - first) ** k for k in range(5))  # mean of min(geometric, 5) if draws were independent and alike
    print(
        f"\nmean attempts {tries.value:.2f}; 1/p = {1 / max(first, 1e-9):.2f}, cut off at five attempts {expected:.2f}"
        f" (p = {first:.2f} at the first attempt)"
    )
    return {
        "accepted_within_5": Figure(*share(sum(r["accepted"] for r in runs), count), count),
        "mean_attempts": tries,
    }, {"cyclic": rows, "one_over_p": round(1 / max(first, 1e-9), 3), "expected_attempts_cut_at_5": round(expected, 3)}


def memory(session: Session, attempts: int, out: Path) -> tuple[dict[str, Figure], dict]:
    """Resident memory of the server after attempt 10 and after attempt `attempts`, in runs of five that never
    accept.
    """
    import psutil

    process = psutil.Process(session.server.process.pid)
    curve = []
    (job,) = test_jobs(1)
    for done in range(5, attempts + 1, 5):
        session.draw(replace(job, seed=job.seed + done), 5, threshold=1.0)
        curve.append((done, process.memory_info().rss / 2**20))
        print(f"\rmemory {done}/{attempts}: {curve[-1][1]:.0f} MiB", end="", file=sys.stderr, flush=True)
    at = dict(curve)
    return {"memory_growth": Figure(at[attempts] / at[10] - 1, n=attempts)}, {"rss_mib": curve}


def ap(out: Path) -> tuple[dict[str, Figure], dict]:
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


def labels(out: Path) -> tuple[dict[str, Figure], dict]:
    """What language models say of the very pictures of `rates` (checked by hash), against RFNet's verdicts."""
    said = {row["hash"]: row["label"] == "available" for row in json.loads(LABELS.read_text())["labels"]}
    rows = json.loads((RESULTS / "end_to_end.json").read_text())["details"]["single"]
    both = [(row["accepted"], said[row["hash"]]) for row in rows if row["hash"] in said]
    if not both:
        raise SystemExit(f"no label in {LABELS} fits a picture of the last `rates` run: label its sheets again")
    table = np.zeros((2, 2), int)
    for rfnet, label in both:
        table[int(rfnet), int(label)] += 1
    print(
        f"RFNet x labels: both available {table[1, 1]}, only RFNet {table[1, 0]}, only the labels {table[0, 1]},"
        f" neither {table[0, 0]}"
    )
    return {
        "available_rate_labels": Figure(*share(int(table[:, 1].sum()), len(both)), len(both)),
        "agreement": Figure(*share(int(table.trace()), len(both)), len(both)),
    }, {"labels_table": table.tolist()}


def setup(out: Path) -> tuple[dict[str, Figure], dict]:
    """A fresh clone: the first demo (set-up included) and the second."""
    with tempfile.TemporaryDirectory(prefix="reliable-ads-clone-") as folder:
        clone = Path(folder) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        seconds = []
        for _ in range(2):
            started = time.monotonic()
            code = subprocess.call(
                [shutil.which("python3") or sys.executable, "dev.py", "demo", "--out", str(Path(folder) / "out")],
                cwd=clone,
            )
            if code not in (0, 2):
                raise SystemExit(f"the demo failed in a fresh clone (exit code {code})")
            seconds.append(time.monotonic() - started)
    first, second = seconds
    return {"setup_seconds": Figure(first - second, n=1), "demo_seconds": Figure(second, n=1)}, {}


ON_A_SERVER = {"rates": rates, "cyclic": cyclic, "memory": memory}
ALONE = {"ap": ap, "labels": labels, "setup": setup}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the same code on a tenth of the work; writes no results")
    parser.add_argument("--only", nargs="+", choices=[*ON_A_SERVER, *ALONE], default=[*ON_A_SERVER, *ALONE])
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "end_to_end")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    sizes = {"rates": 10, "cyclic": 5, "memory": 15} if options.quick else {"rates": 120, "cyclic": 50, "memory": 100}

    def finish(name, result):
        publish("end_to_end", COMMAND, SEEDS, result[0], options.quick, result[1], reviews=name != "setup")

    served = [name for name in options.only if name in ON_A_SERVER]
    if served:
        with (
            tempfile.TemporaryDirectory(prefix="reliable-ads-") as base,
            ComfyServer(Path(base), options.out / "server.log") as server,
        ):
            session = Session(server)
            for name in served:
                finish(name, ON_A_SERVER[name](session, sizes[name], options.out))
    for name in options.only:
        if name in ALONE:
            finish(name, ALONE[name](options.out))


if __name__ == "__main__":
    main()
