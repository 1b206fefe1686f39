"""How far a run is: one line for people, numbers for Prometheus."""

from __future__ import annotations

import sys
import time
from typing import Any

from .summary import Failures, Totals

QUIET = 30  # seconds between two lines where nobody watches a terminal
OFTEN = 0.2  # and on a terminal


def duration(seconds: float) -> str:
    """ "3 d 4 h", "2 h 5 min", "40 s"."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"


class Progress:
    """`progress.show()` after each job.

    total: jobs that this run has to do; totals, failures: those that it fills; price: of an hour of one worker.
    """

    def __init__(self, total: int, totals: Totals, failures: Failures, price: float | None = None, stream=None):
        self.total, self.totals, self.failures, self.price = total, totals, failures, price
        self.stream = stream or sys.stderr
        self.live = self.stream.isatty()
        self.began, self.shown = time.monotonic(), float("-inf")
        self.before, self.done, self.failed = totals.jobs, 0, 0

    @property
    def per_second(self) -> float:
        return self.done / max(time.monotonic() - self.began, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        return (self.total - self.done) / self.per_second if self.done else None

    @property
    def hours(self) -> float:
        """Of workers, since the first run."""
        return self.totals.seconds / 3600

    def line(self) -> str:
        left = "" if self.seconds_left is None else f" · {duration(self.seconds_left)} left"
        usable = f" · {self.totals.usable / self.totals.jobs:.0%} usable" if self.totals.jobs else ""
        spent = f" · {self.hours:.2f} worker-hours"
        money = "" if self.price is None else f" = {self.hours * self.price:.2f}"
        failed = f" · {self.failed} failed" if self.failed else ""
        rate = f" · {60 * self.per_second:.1f}/min"
        return f"{self.done:,}/{self.total:,}{rate}{left}{usable}{spent}{money}{failed}"

    def count(self, failed: bool) -> None:
        self.done += 1
        self.failed += failed

    def show(self, last: bool = False) -> None:
        now = time.monotonic()
        if now - self.shown < (OFTEN if self.live else QUIET) and not last:
            return
        self.shown = now
        end = "\n" if last or not self.live else ""
        print(("\r\033[K" if self.live else "") + self.line(), end=end, file=self.stream, flush=True)


def serve_metrics(progress: Progress, port: int) -> Any:
    """Numbers for Prometheus at /metrics of this port, while the process lives. Raises OSError where it is taken."""
    from prometheus_client import CollectorRegistry, Gauge, start_http_server

    registry = CollectorRegistry()
    numbers = {
        "jobs": ("Jobs that this run has to do.", lambda: progress.total),
        "jobs_done": ("Jobs that this run has done, failed ones included.", lambda: progress.done),
        "jobs_failed": ("Jobs that failed in this run.", lambda: progress.failed),
        "results": ("Jobs with a result, of all runs.", lambda: progress.totals.jobs),
        "results_usable": ("Jobs with a usable picture, of all runs.", lambda: progress.totals.usable),
        "attempts": ("Pictures drawn, of all runs.", lambda: progress.totals.attempts),
        "attempts_stopped_early": ("Of them stopped early.", lambda: progress.totals.stopped_early),
        "sampling_steps": ("Sampling steps paid, of all runs.", lambda: progress.totals.steps),
        "worker_seconds": ("Seconds that workers worked, of all runs.", lambda: progress.totals.seconds),
        "seconds_left": ("Expected until the end; NaN before the first job.", lambda: _or_nan(progress.seconds_left)),
        "spend": ("Worker-hours times their price.", lambda: progress.hours * (progress.price or 0)),
    }
    for name, (told, value) in numbers.items():
        Gauge(f"cyclic_{name}", told, registry=registry).set_function(value)
    return start_http_server(port, registry=registry)


def _or_nan(seconds: float | None) -> float:
    return float("nan") if seconds is None else seconds
