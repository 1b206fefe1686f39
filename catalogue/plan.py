"""What a run would do, and about how long it would take: `cyclic produce ... --dry-run`. Writes nothing."""

from __future__ import annotations

from collections.abc import Callable

from .claim import check_same, compare
from .manifest import Manifest
from .progress import duration
from .run import Run, planned
from .summary import Totals

GIB = 2**30


def dry_run(run: Run, workers: int | None, say: Callable[[str], object] = print) -> None:
    """Says it in a few lines. workers: how many there will be, None where that is the cluster's business."""
    for sentence in run.spec.check():
        say(sentence)
    settings = run.spec.settings()
    there = compare(run.out, {**settings, "seed": run.catalogue.seed})
    manifest = Manifest(run.out, readonly=True)
    if there:
        manifest.open()
    plan = planned(run.catalogue, manifest.is_done)
    check_same(run.out, len(manifest.done), plan.known)
    count = min(plan.to_do, run.limit) if run.limit else plan.to_do
    for sentence in plan.failures.sentences():
        say(f"Left out: {sentence}")
    say(f"{plan.jobs:,} jobs, {plan.known:,} of them done; {count:,} in this run.")
    say("Settings: " + ", ".join(f"{name} {value}" for name, value in settings.items() if value not in (None, "", [])))
    say(memory(run.spec.weights(), manifest.totals))
    for line in hours(count, manifest.totals, workers, run.price):
        say(line)


def memory(weights: int, totals: Totals) -> str:
    """Of a worker, in a sentence."""
    if totals.peak_mib:
        return f"Memory per worker: {totals.peak_mib / 1024:.1f} GiB at most, measured on {totals.jobs:,} results here."
    if not weights:
        return "Memory per worker: the servers' own."
    return f"Memory per worker: {weights / GIB:.1f} GiB of weights, and what drawing takes besides."


def hours(count: int, totals: Totals, workers: int | None, price: float | None) -> list[str]:
    """Expected of so many jobs, from what those with a result took."""
    if not totals.jobs:
        return ["Time: not known yet. Draw some with --limit 20, then ask again with --dry-run."]
    each = totals.seconds / totals.jobs
    total = each * count
    told = [
        f"A job took {each:.1f} worker-seconds on average of {totals.jobs:,}: {total / 3600:,.1f} worker-hours to do."
    ]
    if price is not None:
        told[0] += f" Price: {total / 3600 * price:,.2f}."
    counts = [workers] if workers else [1, 8, 64]
    told += [f"With {n} worker{'s' * (n > 1)}: {duration(total / n)}." for n in counts]
    return told
