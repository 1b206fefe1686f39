"""What surrounds the drawing of a catalogue: Ray, plans, kills (docs/protocol.md, section 8).

    python -m benchmarks.fleet [--quick] [--only plan driver kill speed] [--out out/fleet]

`plan` counts a million rows. `driver` times what the driver does for each job. `kill` works through 200 products while
workers and drivers are killed. `speed` draws with the pocket family, without Ray and with one and two workers: run it
on a machine at rest.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from reliable_ads.catalogue.manifest import Manifest
from reliable_ads.catalogue.rows import Catalogue
from reliable_ads.catalogue.run import Run
from reliable_ads.catalogue.storage import open_storage
from reliable_ads.catalogue.worker import Worker

from .common import Figure, products, publish
from .sleeping_engine import SleepingSpec

COMMAND = "python -m benchmarks.fleet"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_worker_niceness": "0"}
PROMPT = "{caption} on a table"

PLAN = """
import resource, sys, time
began = time.monotonic()
from reliable_ads.catalogue.rows import Catalogue
from reliable_ads.catalogue.run import planned
plan = planned(Catalogue(sys.argv[1], ["{caption} on a table"]), lambda key: False)
print(plan.jobs, time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""
KILLED = """
import sys
from reliable_ads.benchmarks.sleeping_engine import SleepingSpec
from reliable_ads.catalogue import ray_run, rows, run, storage
listed = rows.Catalogue(sys.argv[1], ["{caption} on a table"])
run.Run(listed, SleepingSpec(seconds=0.2), storage.open_storage(sys.argv[2]), work=ray_run.OnRay(workers=2))()
"""


def write_catalogue(folder: Path, count: int, pictures: list | None = None) -> Path:
    """A CSV of so many products. pictures: [(product picture, caption, prompt)], one red square for all without."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "products.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["id", "picture", "caption", "colour", *(["prompt"] if pictures else [])])
        if pictures:
            for number, (picture, caption, prompt) in enumerate(pictures):
                picture.save(folder / f"{number}.png")
                table.writerow([f"p{number}", f"{number}.png", caption, "any", prompt])
        else:
            Image.new("RGBA", (64, 64), (200, 0, 0, 255)).save(folder / "red.png")
            table.writerows([f"p{number}", "red.png", f"product {number}", "red"] for number in range(count))
    return folder / "products.csv"


def plan(options) -> tuple[dict[str, Figure], dict]:
    listed = write_catalogue(options.out / "plan", 50_000 if options.quick else 1_000_000)
    runs = []
    for _ in range(1 if options.quick else 3):
        done = subprocess.run(
            [sys.executable, "-c", PLAN, listed], capture_output=True, text=True, check=True, env=ENVIRONMENT
        )
        runs.append([float(value) for value in done.stdout.split()])
    seconds, mib = ([run[place] for run in runs] for place in (1, 2))
    figures = {"plan_seconds": of_runs(seconds), "plan_mib": of_runs(mib)}
    return figures, {"plan": {"jobs": int(runs[0][0]), "seconds": seconds, "mib": mib}}


def driver(options) -> tuple[dict[str, Figure], dict]:
    """Jobs that are done already, handed to the driver as fast as it takes them; a driver alone and its disk."""
    count, folder = 200 if options.quick else 2000, fresh(options.out / "driver")
    listed = Catalogue(write_catalogue(folder, count), [PROMPT])
    spec, out = SleepingSpec(reads=False), open_storage(folder / "results")
    worker = Worker(spec.open(), out.location, spec.versions())
    outcomes = [json.dumps(worker(job)) for job in listed]
    shutil.rmtree(folder / "results")
    began = 0.0

    def ready(*_):
        nonlocal began
        began = time.monotonic()
        yield from map(json.loads, outcomes)

    Run(listed, spec, out, work=ready, say=lambda line: None)()
    each = 1000 * (time.monotonic() - began) / count
    return {"driver_ms": Figure(each, n=count), "scales_to_at_10_s": Figure(round(1e4 / each), n=count)}, {}


def kill(options) -> tuple[dict[str, Figure], dict]:
    count, events = (40, ["worker", "worker", "driver"]) if options.quick else (200, ["worker"] * 20 + ["driver"] * 5)
    lot = random.Random(0)
    lot.shuffle(events)
    folder = fresh(options.out / "kill")
    listed, out = write_catalogue(folder, count), folder / "results"
    done, process = Counter(), begun(listed, out)
    for event in events:
        wanted = min(ended(out) + 6, count - 1)
        while process.poll() is None and ended(out) < wanted:
            time.sleep(0.05)
        victims = [process.pid] if event == "driver" else [worker.pid for worker in workers_of(process)]
        if process.poll() is not None or not victims:
            continue
        os.kill(lot.choice(victims), signal.SIGKILL)
        done[event] += 1
        print(f"\r{dict(done)}, {ended(out)} of {count} done", end="", file=sys.stderr, flush=True)
        if event == "driver":
            process.wait()
            process = begun(listed, out)
    process.wait()
    if process.returncode:
        process = begun(listed, out)
        process.wait()
    print(file=sys.stderr)
    rows = manifest_rows(out)
    twice = sum(times - 1 for times in Counter((row["key"], row["attempt"]) for row in rows).values())
    lost = count - len({row["id"] for row in rows})
    figures = {"lost": Figure(lost, n=count), "doubled": Figure(twice + torn(out, rows), n=count)}
    return figures, {"kills": dict(done), "workers": len({row["worker"] for row in rows})}


def speed(options) -> tuple[dict[str, Figure], dict]:
    count, pairs = (4, 1) if options.quick else (40, 3)
    jobs = products(count, options.quick)
    pictures = [(picture_of(job.product), job.product.caption, job.prompt) for job in jobs]
    listed = write_catalogue(fresh(options.out / "speed"), count, pictures)
    ways = {"none": [], "one": ["--ray", "--workers", "1"], "two": ["--ray", "--workers", "2"]}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for pair in range(pairs):
        for name in ways if pair % 2 else reversed(ways):
            out = fresh(options.out / "speed" / name)
            command = ["-m", "reliable_ads.cyclic", "produce", listed, "--out", out, "--threads", "1", *ways[name]]
            subprocess.run([sys.executable, *map(str, command)], check=True, env=ENVIRONMENT)
            seconds[name].append(per_product(manifest_rows(out), options.quick))
    none, one, two = (np.array(seconds[name]) for name in ways)
    figures = {"speedup_two_workers": of_runs(one / two), "overhead_per_product": of_runs(one / none - 1)}
    return figures, {"seconds_per_product": seconds}


def per_product(rows: list[dict], quick: bool) -> float:
    """Seconds from one product's end to the next, of all workers together, while all of them work."""
    ends: dict[str, set] = {}
    for row in rows:
        ends.setdefault(row["worker"], set()).add(row["ended"])
    if quick:
        ends = {"all": {end for found in ends.values() for end in found}}
    first = max(min(found) for found in ends.values())
    last = min(max(found) for found in ends.values())
    within = [end for found in ends.values() for end in found if first < end <= last]
    return (last - first) / max(len(within), 1)


def begun(listed: Path, out: Path) -> subprocess.Popen:
    log = open(out.parent / "driver.log", "a")  # noqa: SIM115 (the process keeps it)
    return subprocess.Popen([sys.executable, "-c", KILLED, listed, out], stdout=log, stderr=log, env=ENVIRONMENT)


def workers_of(process: subprocess.Popen) -> list:
    """The actors of a driver that do jobs."""
    found = []
    with suppress(psutil.Error):
        for child in psutil.Process(process.pid).children(recursive=True):
            with suppress(psutil.Error, IndexError):
                found += [child] if child.cmdline()[0].startswith("ray::MapWorker") else []
    return found


def ended(out: Path) -> int:
    """How many products have a picture."""
    return sum(1 for _ in out.glob("pictures/*/*.png"))


def manifest_rows(out: Path) -> list[dict]:
    from pyarrow import parquet

    return [row for part in sorted(out.glob("manifest/*.parquet")) for row in parquet.read_table(part).to_pylist()]


def torn(out: Path, rows: list[dict]) -> int:
    """Files that can't be read; the manifest as a whole counts as one."""
    named = {row[column] for row in rows for column in ("file", "thumbnail") if row[column]}
    return sum(not whole(out / name) for name in named) + (
        Manifest(open_storage(out), readonly=True).open().totals.attempts != len(rows)
    )


def whole(path: Path) -> bool:
    try:
        with Image.open(path) as picture:
            picture.load()
        return True
    except OSError:
        return False


def picture_of(product) -> Image.Image:
    return Image.fromarray((product.rgba * 255 + 0.5).astype(np.uint8), "RGBA")


def of_runs(values) -> Figure:
    return Figure(float(np.median(values)), float(min(values)), float(max(values)), len(values))


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return folder


PARTS = {"plan": plan, "driver": driver, "kill": kill, "speed": speed}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything; nothing written")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--out", type=Path, default=Path("out/fleet"))
    options = parser.parse_args()
    options.out = options.out.resolve()
    for name in options.only:
        figures, details = PARTS[name](options)
        seeds = "0" if name == "kill" else "each product its own" if name == "speed" else "none"
        publish(
            "fleet", COMMAND, seeds, figures, options.quick, details, reviews=name == "speed", paints=name == "speed"
        )


if __name__ == "__main__":
    main()
