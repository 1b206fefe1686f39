"""A whole run: what is to do, who does it, what is kept; on one machine, with nothing else installed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from .claim import Lease, check_same, claim
from .manifest import PART, Manifest
from .page import index_page
from .progress import Progress
from .rows import BadRow, Catalogue, CatalogueError, Job
from .storage import Storage
from .summary import Failures, Totals, lines
from .worker import Spec, Worker

SOONEST = 600.0  # seconds after which what is done becomes a part, however little it is


@dataclass
class Plan:
    """What a catalogue asks for. jobs: all of them; to_do: those without a result."""

    jobs: int = 0
    to_do: int = 0
    failures: Failures = field(default_factory=Failures)

    @property
    def known(self) -> int:
        """Jobs of this catalogue that have a result."""
        return self.jobs - self.to_do


def planned(catalogue: Catalogue, is_done: Callable[[str], bool]) -> Plan:
    """Reads the whole catalogue once. Raises CatalogueError where no row can be used."""
    plan = Plan()
    for row in catalogue:
        if isinstance(row, BadRow):
            plan.failures.add(row.line, row.id, row.kind, row.reason)
        else:
            plan.jobs += 1
            plan.to_do += not is_done(row.key)
    if not plan.jobs:
        first = next(iter(plan.failures.sentences()), "it has no rows")
        raise CatalogueError(f'no row of "{catalogue.location}" can be used: {first[:200]}')
    return plan


def to_do(catalogue: Catalogue, is_done: Callable[[str], bool], limit: int | None = None) -> Iterator[Job]:
    """The jobs without a result, at most `limit`."""
    count = 0
    for row in catalogue:
        if isinstance(row, Job) and not is_done(row.key):
            if count == limit:
                return
            count += 1
            yield row


def on_this_machine(spec: Spec, location: str, jobs: Iterable[Job], count: int) -> Iterator[dict]:
    """What a Worker gives for each job, as they end."""
    engine = spec.open()
    worker = Worker(engine, location, spec.versions())
    if engine.at_once == 1:
        yield from map(worker, jobs)
        return
    with ThreadPoolExecutor(engine.at_once) as threads:
        running: set[Future] = set()
        try:
            for job in jobs:
                running.add(threads.submit(worker, job))
                if len(running) == engine.at_once:
                    ended, running = wait(running, return_when=FIRST_COMPLETED)
                    yield from (future.result() for future in ended)
            while running:
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ended)
        finally:
            for future in running:
                future.cancel()


@dataclass
class Run:
    """`Run(catalogue, spec, out)()` draws what has no result yet, and returns the summary.

    work: how jobs are done, on_this_machine or ray_run.OnRay; price: of an hour of one worker; begin(progress): is
    called before the first job; say: takes lines for people.
    """

    catalogue: Catalogue
    spec: Spec
    out: Storage
    work: Callable[[Spec, str, Iterable[Job], int], Iterator[dict]] = on_this_machine
    limit: int | None = None
    price: float | None = None
    begin: Callable[[Progress], object] = lambda progress: None
    say: Callable[[str], object] = print

    @property
    def title(self) -> str:
        """The catalogue's name."""
        return self.catalogue.location.rstrip("/\\").replace("\\", "/").rpartition("/")[2] or "Catalogue"

    def __call__(self) -> dict:
        for sentence in self.spec.check():
            self.say(sentence)
        claim(self.out, {**self.spec.settings(), "seed": self.catalogue.seed})
        with Lease(self.out):
            manifest = Manifest(self.out, self.title).open()
            plan = planned(self.catalogue, manifest.is_done)
            check_same(self.out, len(manifest.done), plan.known)
            for sentence in plan.failures.sentences():
                self.say(f"Left out: {sentence}")
            count = min(plan.to_do, self.limit) if self.limit else plan.to_do
            self.say(f"{plan.jobs:,} jobs, {plan.known:,} of them done; {count:,} in this run.")
            progress = Progress(count, manifest.totals, plan.failures, self.price)
            self.begin(progress)
            try:
                if count:
                    self._work(manifest, plan, progress)
            finally:
                summary = self._finish(manifest, plan)
        for line in lines(summary, plan.failures, summary["to_do"]):
            self.say(line)
        return summary

    def _work(self, manifest: Manifest, plan: Plan, progress: Progress) -> None:
        jobs = to_do(self.catalogue, manifest.is_done, self.limit)
        for outcome in self.work(self.spec, self.out.location, jobs, progress.total):
            failure = outcome.get("failure")
            if failure:
                plan.failures.add(failure["line"], failure["id"], failure["kind"], failure["reason"])
            elif manifest.add(outcome):
                plan.to_do -= 1
            progress.count(bool(failure))
            progress.show()
            if len(manifest.pending) >= PART or (manifest.pending and manifest.age >= SOONEST):
                self._finish(manifest, plan)
        progress.show(last=True)

    def _finish(self, manifest: Manifest, plan: Plan) -> dict:
        """A part of what is done, and the pages and files that speak of all."""
        manifest.flush()
        totals: Totals = manifest.totals
        summary = {**totals.summary(self.price), "to_do": plan.to_do, "failures": dict(plan.failures.counts)}
        named = "".join(json.dumps(each, ensure_ascii=False) + "\n" for each in plan.failures.listed)
        self.out.write("failures.jsonl", named.encode("utf-8", "replace"))
        self.out.write("summary.json", json.dumps(summary, indent=1, ensure_ascii=False).encode())
        page = index_page(self.title, summary, plan.failures.sentences(), manifest.parts, plan.to_do)
        self.out.write("index.html", page)
        return summary
