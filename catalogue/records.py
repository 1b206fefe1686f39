"""A record: what one job came to, as JSON; and the manifest's rows that are made of it, one per attempt."""

from __future__ import annotations

import json
import time
from typing import Any

from ..cyclic.gallery import Row, row_of
from ..rfnet.labels import LABELS, shown_label
from .rows import Job

COLUMNS = (  # of the manifest: name, type of Arrow
    ("key", "string"),
    ("id", "string"),
    ("picture", "string"),
    ("image", "string"),
    ("caption", "string"),
    ("prompt", "string"),
    ("line", "int64"),
    ("attempt", "int32"),
    ("seed", "uint64"),
    ("accepted", "bool"),
    ("returned", "bool"),
    ("label", "string"),
    *((f"p_{label}", "float32") for label in LABELS),
    ("stopped_early", "bool"),
    ("steps", "int32"),
    ("seconds", "float64"),
    ("error", "string"),
    ("remedies", "string"),
    ("file", "string"),
    ("thumbnail", "string"),
    ("job_accepted", "bool"),
    ("job_seconds", "float64"),
    ("ended_by", "string"),
    ("ended", "float64"),
    ("peak_mib", "int64"),
    ("certificate", "string"),
    ("versions", "string"),
    ("worker", "string"),
    ("carried", "string"),
    ("decided_by", "string"),
    ("opinions", "string"),
    ("notes", "string"),
)
COUNTED = (
    "key",
    "attempt",
    "accepted",
    "label",
    "stopped_early",
    "steps",
    "error",
    "job_accepted",
    "job_seconds",
    "peak_mib",
)


def record_of(job: Job, report: dict, files: dict, seconds: float, about: dict) -> dict:
    """The record of a job that was done.

    report: RecurrentRun.report(); files: {"pictures": of what was given back, "thumbnails": of each attempt}; about:
    {"worker", "versions", "peak_mib"}.
    """
    return {
        "key": job.key,
        "id": job.id,
        "picture": job.picture,
        "image": job.image,
        "file": job.id,  # as galleries call it
        "caption": job.caption,
        "prompt": job.prompt,
        "seed": job.seed,
        "line": job.line,
        "carried": job.carried,
        **files,
        "report": report,
        "seconds": round(seconds, 3),
        "ended": round(time.time(), 3),  # seconds since 1970
        **about,
    }


def given_back(report: dict) -> list[int]:
    """The attempts that a run gave back, from 1."""
    returned = report.get("returned")
    return report.get("usable") or ([returned] if returned else [])


def rows_of(record: dict) -> list[dict]:
    """The manifest's rows of a record, by COLUMNS."""
    report, kept = record["report"], given_back(record["report"])
    files = dict(zip(kept, record["pictures"]))
    common: dict[str, Any] = {
        **{name: record[name] for name in ("key", "id", "picture", "image", "caption", "prompt", "line", "worker")},
        "job_accepted": bool(report["accepted"]),
        "job_seconds": record["seconds"],
        "ended_by": report["ended_by"],
        "ended": record["ended"],
        "peak_mib": record["peak_mib"],
        "certificate": _json(report.get("certificate")),
        "versions": _json(record["versions"]),
        "carried": _json(record["carried"]),
    }
    return [
        {
            **common,
            "attempt": attempt["attempt"],
            "seed": attempt["seed"],
            "accepted": bool(attempt["accepted"]),
            "returned": attempt["attempt"] in kept,
            "label": shown_label(attempt) or "",
            **{f"p_{label}": attempt["probabilities"].get(label) for label in LABELS},
            "stopped_early": bool(attempt.get("dropped")),
            "steps": attempt["steps"],
            "seconds": attempt["seconds"],
            "error": attempt.get("error", ""),
            "remedies": _json(attempt.get("remedies")),
            "file": files.get(attempt["attempt"], ""),
            "thumbnail": thumbnail,
            "decided_by": attempt.get("decided_by", ""),
            "opinions": _json(attempt.get("opinions")),
            "notes": _json(attempt.get("notes")),
        }
        for attempt, thumbnail in zip(report["attempts"], record["thumbnails"])
    ]


def shown(record: dict) -> Row | None:
    """The record as a gallery's page shows it, from a page in a folder beside the pictures; None where it can't be."""
    return row_of({**record, "pictures": [f"../{name}" for name in record["pictures"]]}, "../")


def _json(value) -> str:
    return json.dumps(value, ensure_ascii=False, default=str) if value else ""
