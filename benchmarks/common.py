"""What every benchmark shares: intervals, the machine's description, the table and the JSON file."""

from __future__ import annotations

import ctypes
import datetime
import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import safe_open

from reliable_ads.rfnet.files import write_text
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS

from . import figures

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"


@dataclass(frozen=True)
class Figure:
    """One measured number with its 95 % interval and the sample behind it. What it is called, in which unit, and its
    target stand in benchmarks/figures/.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None


def share(successes: int, n: int) -> tuple[float, float, float]:
    """A share with its Wilson 95 % interval."""
    if n == 0:
        return float("nan"), 0.0, 1.0
    z = 1.959964
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return p, float(max(middle - half, 0)), float(min(middle + half, 1))


def mean(values, draws: int = 2000, seed: int = 0) -> tuple[float, float, float]:
    """A mean with its bootstrap 95 % interval."""
    values = np.asarray(values, float)
    means = np.random.default_rng(seed).choice(values, (draws, len(values))).mean(1)
    return float(values.mean()), float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def machine() -> str:
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        name = next(
            (line.split(":")[1].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")),
            name,
        )
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {gpu}"


def reviewer_print(file=DEFAULT_WEIGHTS) -> str:
    """16 hex digits that name a reviewer's tensors; calibrating it anew doesn't change them."""
    found = hashlib.sha256()
    with safe_open(file, "np") as tensors:
        for key in sorted(tensors.keys()):
            found.update(key.encode() + tensors.get_tensor(key).tobytes())
    return found.hexdigest()[:16]


def publish(
    name: str,
    command: str,
    seeds: list[int] | str,
    found: dict[str, Figure],
    quick: bool,
    details: dict | None = None,
    reviews: bool = True,
) -> None:
    """Prints the table; unless `quick`, also merges the figures into benchmarks/results/NAME.json, each with its day,
    its machine and, where the reviewer has a part in it (reviews), the reviewer that ships then.

    KeyError: a figure that benchmarks/figures/NAME.py doesn't have.
    """
    print(f"\n{name} on {machine()}")
    described = {key: describe(figure, figures.find(name, key)) for key, figure in found.items()}
    for key, row in described.items():
        interval = "" if row["low"] is None else f" [{row['low']:.3f}, {row['high']:.3f}]"
        verdict = {None: "", True: "  holds", False: "  FALLS SHORT"}[row["holds"]]
        print(
            f"  {key:24s} {row['value']:9.3f}{interval} {row['unit']:10s} n={row['n'] or '-'}  target"
            f" {row['target'] or '-'}{verdict}"
        )
    if quick:
        print("  (--quick: nothing written)")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{name}.json"
    old = json.loads(file.read_text()) if file.exists() else {"figures": {}, "details": {}}
    stamp = {"date": datetime.date.today().isoformat(), "machine": machine()}
    reviewer = {"reviewer": reviewer_print() if reviews else None}
    report = {
        "command": command,
        **stamp,
        "seeds": seeds,
        "figures": {**old["figures"], **{key: row | stamp | reviewer for key, row in described.items()}},
        "details": {**old.get("details", {}), **(details or {})},
    }
    write_text(file, json.dumps(report, indent=1) + "\n")
    print(f"  written to {file.relative_to(ROOT)}")


def describe(figure: Figure, entry: figures.Entry) -> dict:
    """A figure as a results file holds it; it holds where the whole interval meets the target."""
    return {
        "title": entry.title,
        **asdict(figure),
        "unit": entry.unit,
        "target": entry.target,
        "holds": entry.holds(figure.value, figure.low, figure.high),
    }


def keep_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc, as MALLOC_MMAP_MAX_=0 and
    MALLOC_TRIM_THRESHOLD_ do for one that is about to begin. A training step on a CPU frees and takes the same hundreds
    of megabytes every time, and having the kernel hand out fresh pages for them costs a tenth of it (`--only step`).
    """
    # glibc's malloc.h
    trim_threshold = -1
    mmap_max = -4
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(trim_threshold, -1)  # never
    mallopt(mmap_max, 0)  # none
