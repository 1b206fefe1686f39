"""What a catalogue came to: the usable share with its interval, what a usable picture costs, and what went wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from ..rfnet.intervals import wilson
from ..rfnet.labels import PLAIN

SHOWN = 3  # failures of a kind that are named in the summary; failures.jsonl has all


@dataclass
class Totals:
    """Counts over the manifest's rows. A job is usable if as many of its pictures were accepted as were asked for."""

    jobs: int = 0
    usable: int = 0
    attempts: int = 0
    accepted: int = 0
    stopped_early: int = 0
    steps: int = 0
    seconds: float = 0.0
    peak_mib: int = 0
    defects: Counter = field(default_factory=Counter)
    last: str = ""

    def add(self, rows: Iterable[dict]) -> None:
        """Rows with records.COUNTED; those of one job follow each other."""
        for row in rows:
            if row["key"] != self.last:
                self.last = row["key"]
                self.jobs += 1
                self.usable += row["job_accepted"]
                self.seconds += row["job_seconds"]
                self.peak_mib = max(self.peak_mib, row["peak_mib"])
            self.attempts += 1
            self.accepted += row["accepted"]
            self.stopped_early += row["stopped_early"]
            self.steps += row["steps"]
            if not row["accepted"]:
                self.defects["error" if row["error"] else row["label"]] += 1

    def each(self, total: float) -> float | None:
        """So much for one accepted picture."""
        return round(total / self.accepted, 4) if self.accepted else None

    def summary(self, price: float | None = None) -> dict:
        """JSON-able. price: of an hour of one worker."""
        share, low, high = wilson(self.usable, self.jobs)
        hours = self.seconds / 3600
        return {
            "jobs": self.jobs,
            "usable": self.usable,
            "usable_share": {"value": share if self.jobs else None, "low": low, "high": high, "n": self.jobs},
            "pictures_accepted": self.accepted,
            "attempts": self.attempts,
            "stopped_early": self.stopped_early,
            "steps": self.steps,
            "worker_hours": round(hours, 4),
            "peak_mib_per_worker": self.peak_mib,
            "per_accepted_picture": {
                "attempts": self.each(self.attempts),
                "steps": self.each(self.steps),
                "seconds": self.each(self.seconds),
                **({"price": self.each(hours * price)} if price is not None else {}),
            },
            **({"price": round(hours * price, 4)} if price is not None else {}),
            "rejected_attempts_by_defect": dict(self.defects.most_common()),
        }


@dataclass
class Failures:
    """Rows and jobs without a result, by kind. `most` of them are kept by name, so that a million can't fill memory."""

    counts: Counter = field(default_factory=Counter)
    listed: list[dict] = field(default_factory=list)
    most: int = 100_000

    def add(self, line: int, id_: str, kind: str, reason: str) -> None:
        self.counts[kind] += 1
        if len(self.listed) < self.most:
            self.listed.append({"line": line, "id": id_, "kind": kind, "reason": reason})

    def sentences(self) -> list[str]:
        """ "2 of a duplicate id: line 7 (mug): ..." for each kind."""
        told = []
        for kind, count in self.counts.most_common():
            first = [each for each in self.listed if each["kind"] == kind][:SHOWN]
            named = "; ".join(f"line {each['line']} ({each['id']}): {each['reason']}" for each in first)
            told.append(f"{count} × {kind}: {named}" + ("; and others" if count > len(first) else ""))
        return told


def lines(summary: dict, failures: Failures, left: int) -> list[str]:
    """The summary for people."""
    share, cost = summary["usable_share"], summary["per_accepted_picture"]
    told = [f"{summary['jobs']} done, {left} to do."]
    if summary["jobs"]:
        told[0] += (
            f" Usable: {summary['usable']}, {share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%}, 95 %"
            " interval)."
        )
    if summary["pictures_accepted"]:
        money = f", {cost['price']:.4g} in money" if cost.get("price") is not None else ""
        told.append(
            f"A usable picture took {cost['attempts']:.2f} attempts, {cost['steps']:.1f} steps,"
            f" {cost['seconds']:.1f} worker-seconds{money}."
        )
    if defects := summary["rejected_attempts_by_defect"]:
        named = ", ".join(f"{PLAIN.get(label, label)} {count}" for label, count in defects.items())
        told.append(f"Rejected attempts: {named}.")
    return [*told, *failures.sentences()]
