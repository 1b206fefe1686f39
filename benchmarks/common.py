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

from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET
from reliable_ads.rfnet.files import write_text
from reliable_ads.rfnet.intervals import wilson
from reliable_ads.rfnet.memory import PREFIX
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS
from reliable_ads.synthetic.jobs import jobs_of

from .figures import find

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
# What `synthetic products` made: published figures are measured on the first, every choice and every --quick on the
# second (docs/protocol.md).
UNSEEN = ROOT / "benchmarks" / "products" / "unseen.zip"
VALIDATION = ROOT / "benchmarks" / "products" / "validation.zip"
DRAWS = 2000  # of a bootstrap


@dataclass(frozen=True)
class Figure:
    """One number with its 95 % interval and the sample behind it.

    unit, target, holds: only for one without a definition in benchmarks/figures/, which says them otherwise.
    """

    value: float
    low: float | None = None
    high: float | None = None
    n: int | None = None
    unit: str = ""
    target: str = ""
    holds: bool | None = None


share = wilson  # a share with its 95 % interval: value, low, high


def mean(values, draws: int = DRAWS, seed: int = 0) -> tuple[float, float, float]:
    """A mean with its bootstrap 95 % interval."""
    values = np.asarray(values, float)
    means = np.random.default_rng(seed).choice(values, (draws, len(values))).mean(1)
    return float(values.mean()), float(np.percentile(means, 2.5)), float(np.percentile(means, 97.5))


def between(draws) -> tuple[float, float]:
    """The middle 95 % of a bootstrap's draws, some of which may be without end."""
    low, high = np.percentile(draws, (2.5, 97.5), method="linear" if np.isfinite(draws).all() else "nearest")
    return float(low), float(high)


def products(count: int, quick: bool) -> list:
    """Jobs of so many unseen products; quick: of validation products, so that nothing is looked at before it counts."""
    jobs = jobs_of(VALIDATION if quick else UNSEEN)
    if len(jobs) < count:
        raise SystemExit(f"there are {len(jobs)} such products, {count} were asked for")
    return jobs[:count]


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


def computes_bf16() -> bool:
    """Whether bfloat16 pays here: a CPU without AVX-512 takes many times as long in it."""
    return torch.cuda.is_available() or torch.ops.mkldnn._is_mkldnn_bf16_supported()


def reviewer_print(file=DEFAULT_WEIGHTS) -> str:
    """16 hex digits that name a reviewer's networks; calibrating it anew, or what it remembers, doesn't change them."""
    found = hashlib.sha256()
    with safe_open(file, "np") as tensors:
        for key in sorted(key for key in tensors.keys() if not key.startswith(PREFIX)):
            found.update(key.encode() + tensors.get_tensor(key).tobytes())
    return found.hexdigest()[:16]


def painter_print(checkpoint=CHECKPOINT, controlnet=CONTROLNET) -> str:
    """16 hex digits that name the family that paints."""
    digests = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in (checkpoint, controlnet)]
    return hashlib.sha256("".join(digests).encode()).hexdigest()[:16]


def described(name: str, figures: dict[str, Figure], known: dict[str, dict]) -> dict[str, dict]:
    """Figures as the JSON files have them, with what their definitions say; known: those of the same file."""
    numbers = {key: asdict(figure) for key, figure in figures.items()}
    for key, figure in numbers.items():
        definition = find(name, key)
        figure["title"] = definition.title
        if definition.unit or definition.target:
            figure |= {"unit": definition.unit, "target": definition.target}
            verdict = definition.verdict(figure, {**known, **numbers})
            figure["holds"] = verdict == "yes" if verdict else None
        numbers[key] = figure
    return numbers


def beside(known: dict[str, dict], new: dict, painter: str | None) -> dict[str, dict]:
    """Known figures, those of another family under KEY_ITS_PAINTER where a new one takes their key: the first stays
    beside the next.
    """
    painters = {key: figure.get("painter") for key, figure in known.items()}
    moved = {key for key in new if painters.get(key) not in (None, painter)}
    return {f"{key}_{painters[key]}" if key in moved else key: figure for key, figure in known.items()}


def print_table(name: str, figures: dict[str, dict], known: dict[str, dict]) -> None:
    """known: those of the same file, which targets may speak of."""
    print(f"\n{name} on {machine()}")
    for key, f in figures.items():
        interval = f" [{f['low']:.3f}, {f['high']:.3f}]" if f["low"] is not None else ""
        said = find(name, key).verdict(f, {**known, **figures})
        verdict = {"yes": "  holds", "no": "  FALLS SHORT"}.get(said, f"  {said}".rstrip())
        n = "-" if f["n"] is None else f["n"]
        target = f["target"] or "-"
        print(f"  {key:24s} {f['value']:9.3f}{interval} {f['unit']:10s} n={n}  target {target}{verdict}")


def publish(
    name: str,
    command: str,
    seeds: list[int] | str,
    figures: dict[str, Figure],
    quick: bool,
    details: dict | None = None,
    reviews: bool = True,
    paints: bool = False,
) -> None:
    """Prints the table; unless `quick`, also merges the figures into benchmarks/results/NAME.json, each with its day,
    its machine, its seeds and, where they have a part in it (reviews, paints), the reviewer and the family that ship
    then.
    """
    file = RESULTS / f"{name}.json"
    old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {"figures": {}, "details": {}}
    new = described(name, figures, old["figures"])
    print_table(name, new, old["figures"])
    if quick:
        print("  (--quick: nothing written)")
        return
    RESULTS.mkdir(parents=True, exist_ok=True)
    stamp = {"date": datetime.date.today().isoformat(), "machine": machine()}
    own = {**stamp, "seeds": seeds, "reviewer": reviewer_print() if reviews else None}
    own["painter"] = painter_print() if paints else None
    report = {
        "command": command,
        **stamp,
        "seeds": seeds,
        "figures": {
            **beside(old["figures"], new, own["painter"]),
            **{key: {**figure, **own} for key, figure in new.items()},
        },
        "details": {**old.get("details", {}), **(details or {})},
    }
    write_text(file, json.dumps(report, indent=1) + "\n")
    print(f"  written to {file.relative_to(ROOT)}")


def keep_memory() -> None:
    """Let this process keep what it frees, where the C library is glibc, as MALLOC_MMAP_MAX_=0 and
    MALLOC_TRIM_THRESHOLD_ do for one that is about to begin. A training step on a CPU frees and takes the same hundreds
    of megabytes every time, and having the kernel hand out fresh pages for them costs a tenth of it (`--only step`).
    """
    trim_threshold = -1
    mmap_max = -4  # glibc's malloc.h
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return
    mallopt(trim_threshold, -1)  # never
    mallopt(mmap_max, 0)  # none
