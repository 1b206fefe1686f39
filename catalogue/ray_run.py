"""The same run on a Ray cluster: Ray Data streams chunks of jobs through a pool of actors, each with its own models.

Scheduling, retries, back-pressure, spilling and autoscaling are Ray's. What is written here is that a chunk may safely
be done twice: a job whose record is there is not done again.
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from typing import Any

from ..rfnet.commands import sentence
from .rows import Job
from .storage import Storage, open_storage
from .worker import Spec, Stop, Worker

LARGEST_CHUNK = 32  # jobs that one task does, and that are looked at again where it is killed
CHUNKS_PER_WORKER = 16  # so that the last ones end together
CHUNKS_PER_FILE = 256


@dataclass(frozen=True)
class OnRay:
    """How a run works on Ray, for run.Run.work.

    address: of a cluster, "auto" for the one that this machine belongs to, None for one on this machine; workers: how
    many, None: as many as the cluster gives; cpus, gpus: of each worker, None: a GPU where the cluster has any.
    """

    address: str | None = None
    workers: int | None = None
    cpus: float = 1.0
    gpus: float | None = None

    def __call__(self, spec: Spec, location: str, jobs: Iterable[Job], count: int) -> Iterator[dict]:
        """What a Worker gives for each job, as chunks end. Raises Stop where one says that no job can be done."""
        ray = self._connected()
        try:
            resources = self.resources(ray.cluster_resources())
            workers = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
            size = min(LARGEST_CHUNK, max(1, count // (workers * CHUNKS_PER_WORKER)))
            chunks = write_chunks(open_storage(location), jobs, size)
            for row in self._dataset(spec, location, chunks, size, resources).iter_rows():
                outcome = json.loads(row["outcome"])
                if reason := outcome.get("stop"):
                    raise Stop(reason)
                yield outcome
        finally:
            ray.shutdown()

    def resources(self, cluster: dict) -> dict:
        """What each worker asks Ray for."""
        gpus = self.gpus if self.gpus is not None else float(cluster.get("GPU", 0) > 0)
        return {"num_cpus": self.cpus, **({"num_gpus": gpus} if gpus else {})}

    def _connected(self):
        import ray

        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.WARNING)
        alone: dict[str, Any] = {} if self.address else {"include_dashboard": False}
        ray.init(
            self.address or "local",
            log_to_driver=False,
            logging_level=logging.WARNING,
            ignore_reinit_error=True,
            **alone,
        )
        return ray

    def _dataset(self, spec: Spec, location: str, chunks: int, size: int, resources: dict):
        import ray

        pool: dict[str, Any] = {"size": self.workers} if self.workers else {"min_size": 1}
        # A block a chunk, made here: tasks that read would wait for a CPU that all workers together leave to nobody
        return ray.data.from_items(list(range(chunks)), override_num_blocks=chunks).map_batches(
            ChunkWorker,
            fn_constructor_args=(spec, location, size, int(max(1, self.cpus))),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(**pool),
            **resources,
        )


class ChunkWorker:
    """An actor: opens the engine once, then does chunk after chunk."""

    def __init__(self, spec: Spec, location: str, size: int, threads: int):
        import torch

        torch.set_num_threads(threads)
        self.out = open_storage(location)
        self.worker = Worker(spec.open(), location, spec.versions())

    def __call__(self, batch: dict) -> dict:
        """{"item": numbers of chunks} -> {"outcome": what came of each of their jobs, as JSON}."""
        return {"outcome": [self._done(job) for number in batch["item"] for job in read_chunk(self.out, int(number))]}

    def _done(self, job: Job) -> str:
        try:
            return json.dumps(self.worker(job), default=str)
        except (Stop, OSError) as error:  # the results can't be written: no job after this one could end, either
            return json.dumps({"key": job.key, "stop": sentence(error)})


def write_chunks(out: Storage, jobs: Iterable[Job], size: int) -> int:
    """Writes the jobs as plan/*.parquet, a row group for each chunk -> how many chunks there are."""
    import pyarrow as pa
    from pyarrow import parquet

    jobs, count = iter(jobs), 0
    while rows := list(islice(jobs, size * CHUNKS_PER_FILE)):
        texts = pa.array([json.dumps(asdict(job), ensure_ascii=False, default=str) for job in rows])
        file = io.BytesIO()
        parquet.write_table(pa.table({"job": texts}), file, row_group_size=size, compression="zstd")
        out.write(f"plan/{count // CHUNKS_PER_FILE:06d}.parquet", file.getvalue())
        count += -(-len(rows) // size)
    return count


def read_chunk(out: Storage, number: int) -> list[Job]:
    """The jobs of one chunk."""
    from pyarrow import parquet

    file = parquet.ParquetFile(io.BytesIO(out.read(f"plan/{number // CHUNKS_PER_FILE:06d}.parquet")))
    rows: Any = file.read_row_group(number % CHUNKS_PER_FILE).column("job").to_pylist()
    return [Job(**json.loads(row)) for row in rows]
