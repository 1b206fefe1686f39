"""Whose folder of results this is: made with the same settings, and by one run at a time."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from contextlib import suppress

from ..rfnet.files import quoted
from .storage import Storage

FORMAT, VERSION = "reliable-ads/catalogue", 1
SILENT = 90  # seconds after which a run that says nothing is taken for dead
BEAT = 15  # seconds


class ClaimError(ValueError):
    """These results are another catalogue's or another run's; the message says what to do."""


def claim(out: Storage, settings: dict) -> None:
    """Says in catalogue.json what these results are made with, or compares it with what stands there.

    Raises ClaimError before anything is written where they are others'.
    """
    there = compare(out, settings)
    out.begin()
    if not there:
        content = {"format": FORMAT, "version": VERSION, "settings": settings}
        out.write("catalogue.json", json.dumps(content, indent=1, ensure_ascii=False).encode())


def compare(out: Storage, settings: dict) -> bool:
    """Whether there are results, and of these settings. Raises ClaimError where they are others'."""
    try:
        about = json.loads(out.read("catalogue.json"))
        before, version = about["settings"], about["version"]
        if about["format"] != FORMAT or not isinstance(before, dict):
            raise ValueError(about["format"])
    except FileNotFoundError:
        if out.is_empty():
            return False
        raise ClaimError(
            f"{quoted(out.location)} holds other files and no catalogue's results: give a new or an empty folder"
            " after --out."
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise ClaimError(
            f"{quoted(out.where('catalogue.json'))} can't be read ({str(error)[:80]}): give another folder after --out."
        ) from error
    if version > VERSION:
        raise ClaimError(f"{quoted(out.location)} was written by a newer version: update Reliable Ads.")
    settings = json.loads(json.dumps(settings))
    before = {"seed": settings.get("seed"), **before}  # which results of before did not say
    differs = [name for name in {**before, **settings} if before.get(name) != settings.get(name)]
    if differs and not any(out.names(folder) for folder in ("manifest", "records")):
        return False  # a run that ended before its first result holds nothing that could be mixed
    if differs:
        said = "; ".join(f"{name} was {before.get(name)}, is {settings.get(name)}" for name in differs[:3])
        raise ClaimError(
            f"{quoted(out.location)} holds results of other settings ({said[:160]}): use the same again, or give"
            " another folder after --out."
        )
    return True


def check_same(out: Storage, done: int, known: int) -> None:
    """Raises ClaimError where there are results and none of them is of this catalogue.

    done: jobs with a result; known: those of them that the catalogue has.
    """
    if done and not known:
        raise ClaimError(
            f"{quoted(out.location)} holds {done} results, none of them of this catalogue: give another folder after"
            " --out, or the catalogue that they are of."
        )


class Lease:
    """`with Lease(out):` one run at a time. A thread says now and then that it is alive, however long a job takes."""

    def __init__(self, out: Storage):
        self.out = out
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._beat, daemon=True)
        self.own = {"host": socket.gethostname(), "pid": os.getpid()}

    def __enter__(self) -> Lease:
        try:
            other = json.loads(self.out.read("run.json"))
            silent = time.time() - float(other["beat"])
        except (OSError, ValueError, KeyError, TypeError):
            other, silent = self.own, 0.0
        is_own = all(other.get(name) == value for name, value in self.own.items())
        if not is_own and silent < SILENT and _may_live(other):
            raise ClaimError(
                f"another run works in {quoted(self.out.location)} (process {other.get('pid')} on {other.get('host')}):"
                f" wait for it, or stop it and try again in {SILENT} seconds."
            )
        self._say()
        self.thread.start()
        return self

    def _beat(self) -> None:
        while not self.ended.wait(BEAT):
            with suppress(OSError):  # the run finds out by itself where nothing can be written
                self._say()

    def _say(self) -> None:
        self.out.write("run.json", json.dumps({**self.own, "beat": time.time()}).encode())

    def __exit__(self, *_) -> None:
        self.ended.set()
        self.thread.join()
        with suppress(OSError):
            self.out.delete(["run.json"])


def _may_live(other: dict) -> bool:
    """Whether the process may run: on this host, a POSIX system tells."""
    if other.get("host") != socket.gethostname() or os.name == "nt":
        return True
    try:
        os.kill(int(other["pid"]), 0)
    except (ProcessLookupError, ValueError, KeyError):
        return False
    except OSError:
        return True
    return True
