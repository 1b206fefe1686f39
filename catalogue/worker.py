"""A worker: an engine, and a place where it keeps what each job came to."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import time
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from ..cyclic.gallery import safe_stem, thumbnail
from ..rfnet.commands import sentence
from ..rfnet.pictures import PictureError
from .records import given_back, record_of
from .rows import Job
from .storage import StorageError, open_storage, whole_copy

MEMORY, SERVER, PICTURE, OTHER = "out of memory", "no server", "unusable picture", "error"


class EngineError(RuntimeError):
    """An engine can't do this job; kind: what the summary counts it under."""

    def __init__(self, message: str, kind: str = OTHER):
        super().__init__(message)
        self.kind = kind


class Stop(RuntimeError):
    """No job can be done any more, and the run ends; the message says what to do before it is begun again."""


@dataclass(frozen=True)
class Produced:
    """pictures: a Pillow picture of each attempt, in order; report: RecurrentRun.report(); keeps: whether those that
    were given back are kept at full size, since nobody else has them; by: who drew it, where that is not the worker.
    """

    pictures: list[Image.Image]
    report: dict
    keeps: bool = True
    by: str = ""


class Engine(Protocol):
    """at_once: how many jobs it does at the same time, each in a thread of its own."""

    at_once: int

    def produce(self, job: Job, product: io.BytesIO) -> Produced:
        """product: the bytes of the job's picture. Raises PictureError, EngineError."""
        ...


class Spec(Protocol):
    """An engine's settings: plain values that travel to where it is opened."""

    def check(self) -> list[str]:
        """Finds what is wrong before anything is loaded -> sentences on what can be lived with. Raises an error."""
        ...

    def settings(self) -> dict:
        """What its results depend on, JSON-able; the same settings draw the same pictures."""
        ...

    def versions(self) -> dict:
        """What it is made of."""
        ...

    def weights(self) -> int:
        """Bytes that its weights take in each worker; 0 where others hold them."""
        ...

    def open(self) -> Engine:
        """Loads what is needed."""
        ...


class Worker:
    """`Worker(engine, "results", versions)(job)` does a job and keeps it; the record comes last, so a job whose record
    is there is done, and is not done again.
    """

    def __init__(self, engine: Engine, location: str, versions: dict, name: str = ""):
        self.engine = engine
        self.out = open_storage(location)
        self.about = {"versions": versions, "worker": name or f"{socket.gethostname()}:{os.getpid()}"}

    def __call__(self, job: Job) -> dict:
        """The record; or {"key", "failure": {"line", "id", "kind", "reason"}}. Raises OSError where the results can't
        be written.
        """
        path = f"records/{job.key}.json"
        try:
            return json.loads(self.out.read(path))
        except (FileNotFoundError, ValueError):
            pass
        began = time.monotonic()
        try:
            produced = self.engine.produce(job, whole_copy(job.picture))
        except Stop:
            raise
        except Exception as error:
            failure = {"line": job.line, "id": job.id, "kind": kind_of(error), "reason": sentence(error)}
            return {"key": job.key, "failure": failure}
        files = self.keep(job, produced)
        about = {**self.about, "worker": produced.by or self.about["worker"], "peak_mib": peak_mib()}
        record = record_of(job, produced.report, files, time.monotonic() - began, about)
        self.out.write(path, json.dumps(record, ensure_ascii=False, default=str).encode("utf-8", "replace"))
        return record

    def keep(self, job: Job, produced: Produced) -> dict:
        """Writes the pictures and returns their names: {"pictures", "thumbnails"}."""
        folder, stem = job.key[:2], safe_stem(job.id, job.key)
        pictures: list[str] = []
        results = given_back(produced.report)
        for number, attempt in enumerate(results if produced.keeps else (), 1):
            ending = f"-{number}.png" if number > 1 else ".png"
            pictures.append(f"pictures/{folder}/{stem}{ending}")
            self.out.write(pictures[-1], encoded(produced.pictures[attempt - 1], "PNG"))
        thumbnails = [f"attempts/{folder}/{job.key}-{number}.jpeg" for number in range(1, len(produced.pictures) + 1)]
        for name, picture in zip(thumbnails, produced.pictures):
            self.out.write(name, encoded(thumbnail(picture), "JPEG"))
        pictures = pictures if produced.keeps else [thumbnails[attempt - 1] for attempt in results]
        return {"pictures": pictures, "thumbnails": thumbnails}


def encoded(picture: Image.Image, format: str) -> bytes:
    file = io.BytesIO()
    picture.save(file, format=format)
    return file.getvalue()


def peak_mib() -> int:
    """The most memory that this process has had, of the GPU where it has one, else of the system; 0: unknown."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() >> 20
    try:
        import resource
    except ImportError:  # Windows
        return 0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak >> (20 if sys.platform == "darwin" else 10)


def kind_of(error: Exception) -> str:
    """What a failure is counted under."""
    kind: Any = getattr(error, "kind", None)
    if isinstance(kind, str):
        return kind
    if isinstance(error, (PictureError, StorageError)):
        return PICTURE
    return MEMORY if "out of memory" in str(error).lower() or isinstance(error, MemoryError) else OTHER
