"""Training: first the map estimator on true depth and silhouettes, then RFNet on what that estimator sees.

On one CPU, one GPU or, through `accelerate launch`, on many machines; resumable at any moment.
"""

import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from msgspec import Meta
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..data.errors import DataError
from ..data.rf1m import numbers_of
from ..labels import LABELS
from .augment import Batch
from .batches import BatchDataset, Order, load_roundtrips, unwrap_errors
from .checkpoint import Tensors, add_prefix, load_optimizer_state, optimizer_state, resume, save_state, select_prefix
from .config import TrainConfig
from .losses import label_weights
from .mixed import MixedDataset
from .networks import start_networks
from .processes import accelerator
from .step import Step
from .validation import Validation

STAGES = ("maps", "rfnet")
SHARES = {"maps": 0.25, "rfnet": 0.75}  # of the minutes of a run that ends by the clock


@dataclass
class Place:
    """Where a run is: its stage, steps and seconds in it, scores so far, losses since the last of them, and
    {row: why} of the samples that could not be read. A checkpoint says it beside the tensors.
    """

    stage: Literal["maps", "rfnet", "done"] = "maps"
    step: Annotated[int, Meta(ge=0)] = 0
    seconds: float = 0.0
    best: float = -1.0
    history: list[dict] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)


class Run:
    """One training run: networks, place in the schedule, and the checkpoint beside the weights from which it resumes.

    A step depends on nothing but its number and the weights, so that a run that was killed and resumed ends with the
    same weights as one that was not, bit for bit on one CPU. Only the first process writes files.
    """

    def __init__(self, config: TrainConfig, clock=time.monotonic, cpu: bool = False):
        """clock: what config.minutes are counted by; time.process_time gives runs on a busy machine the same computing.

        cpu: stay off the accelerator that is there.
        """
        self.clock = clock
        self.config = config
        self.checkpoint = Path(f"{config.out}.state")
        self.accelerator = accelerator(cpu=cpu, mixed_precision=config.precision)
        self.first = self.accelerator.is_main_process
        _check_processes(config, self.accelerator.num_processes)
        self.train, self.val = _open_data(config)
        if self.first:
            print(
                f"{self.train}\n{self.val}\n{self.accelerator.num_processes} process(es) on {self.accelerator.device},"
                f" precision {config.precision}"
            )
        self.roundtrips = load_roundtrips(config.roundtrip, len(self.train), config.architecture.image_size)
        self.networks = start_networks(config, self.accelerator.device)
        self.identity = json.dumps(
            [config.identity(), self.train.fingerprint, json.loads(self.networks.rfnet.config.to_json())], default=str
        )
        counts = np.bincount(self.train.labels, minlength=len(LABELS))
        self.label_weights = label_weights(counts, config.balance).to(self.accelerator.device)
        self.validation = Validation(config, self.networks, self.train, self.val, self.first)
        self.place = Place()
        self._begin_stage()
        mismatch = "belongs to a run with other settings or data: delete it to start over, or give another --out."
        resume(self.checkpoint, self.identity, self._restore, DataError, mismatch)

    def __call__(self) -> dict:
        """Train to the end; returns the validation report of the weights written."""
        while self.place.stage in STAGES:
            self._run_stage()
            self.place.stage = "rfnet" if self.place.stage == "maps" else "done"
            self.place.step = 0
            self.place.seconds = 0.0
            self._begin_stage()
            self.save()
        self.accelerator.wait_for_everyone()
        report = self.validation.finish(self.accelerator.device)
        if self.first:
            self.checkpoint.unlink(missing_ok=True)
            if broken := self.place.broken:
                first = next(iter(broken.values()))
                print(f"{len(broken)} samples of train could not be read and were left out, first: {first}")
        return report

    @property
    def damaged(self) -> int:
        """How many samples and files were left out because something is wrong with them."""
        return self.train.damaged + self.val.damaged + len(self.place.broken)

    def _begin_stage(self) -> None:
        """The step of the stage, with an optimiser that begins anew, and the order in which it sees the samples."""
        stage = self.place.stage
        if stage not in STAGES:
            return
        self.order = Order(
            len(self.train),
            self.config.batch,
            self.config.seed,
            STAGES.index(stage),
            len(STAGES),
            self.accelerator.process_index,
            self.accelerator.num_processes,
        )
        self.step = Step(
            stage, self.config, self.networks, self.accelerator, self.label_weights, bool(self.train.map_name)
        )

    def _run_stage(self) -> None:
        config = self.config
        place = self.place
        per_epoch = self.order.steps_per_epoch
        epochs = config.map_epochs if place.stage == "maps" else config.epochs
        total = max(1, round(per_epoch * epochs)) if epochs else 0
        bar = tqdm(
            total=None if config.minutes else total,
            initial=place.step,
            desc=place.stage,
            unit="step",
            mininterval=2,
            disable=not self.first,
        )
        batches = None
        while (progress := self._progress(total)) < 1:
            batches = batches or self._batches()
            start = self.clock()
            loss = self._train_step(next(batches), progress)
            took = self.clock() - start
            place.step += 1
            place.seconds += took
            place.losses.append(loss)
            bar.update()
            speed = f"{config.batch / took:.1f}"
            bar.set_postfix(loss=f"{loss:.3f}", scenes_per_second=speed, done=f"{progress:.0%}", refresh=False)
            epoch_ends = place.step % per_epoch == 0
            if place.stage == "rfnet" and (epoch_ends or self._progress(total) >= 1):
                self.validation(place.step, place.losses)
                place.losses = []
            if place.step % config.save_every == 0 or epoch_ends:
                self.save()
        bar.close()

    def _train_step(self, batch: Batch, progress: float) -> float:
        torch.manual_seed(self.order.seed_of(self.place.step))
        return self.step(batch, progress)

    def _progress(self, total: int) -> float:
        """The share of the stage that is done, by steps or by the clock."""
        if total == 0:
            return 1.0
        if self.config.minutes is None:
            return self.place.step / total
        return self.place.seconds / (60 * self.config.minutes * SHARES[self.place.stage])

    def _batches(self) -> Iterator[Batch]:
        """This process's share of the batch of every step from the present one on."""
        loader: DataLoader = DataLoader(
            BatchDataset(self.train, self.roundtrips, self.config.augment),
            sampler=self.order.from_step(self.place.step),
            batch_size=None,
            num_workers=self.config.workers,
        )
        for batch in unwrap_errors(loader):
            self.place.broken |= {str(row): sentence for row, sentence in batch.broken.items()}
            yield batch

    def save(self) -> None:
        """Write the checkpoint."""
        if not self.first:
            return
        self.place.best = self.validation.best
        self.place.history = self.validation.history
        tensors = self.networks.state_dict() | add_prefix("optimizer.", optimizer_state(self.step.optimizer))
        save_state(self.checkpoint, self.identity, tensors, asdict(self.place))

    def _restore(self, tensors: Tensors, place: dict) -> None:
        if place.keys() != set(Place.__dataclass_fields__):
            raise ValueError("its place in the training can't be read")
        self.place = msgspec.convert(place, Place)
        self.networks.load_state_dict(tensors)
        self.validation.best = self.place.best
        self.validation.history = self.place.history
        if self.place.stage not in STAGES:
            return
        self._begin_stage()
        load_optimizer_state(self.step.optimizer, select_prefix("optimizer.", tensors))
        if self.first:
            print(f"resumed at step {self.place.step} of {self.place.stage}")


def _check_processes(config: TrainConfig, processes: int) -> None:
    """Raises DataError where a run with this config can't be shared by so many."""
    if config.minutes and processes > 1:
        raise DataError(
            f"minutes is {config.minutes:g}, and each of {processes} processes would end by a clock of its own: give"
            " epochs."
        )
    if config.batch % processes:
        raise DataError(f"batch is {config.batch}, which {processes} processes can't share evenly: make it a multiple.")


def _open_data(config: TrainConfig) -> tuple[MixedDataset, MixedDataset]:
    """The config's train and val. Raises DataError."""
    size = config.architecture.image_size
    limit = config.limit
    numbers = numbers_of(config.label_numbers)
    train_maps, val_maps = (config.own_map_name or maps for maps in (config.train_maps, config.val_maps))
    train = MixedDataset.open(config.train, size, limit, "train", train_maps, numbers=numbers)
    val = MixedDataset.open(
        config.val, size, limit, "val", val_maps, all_labels=False, drop_broken=True, numbers=numbers
    )
    if train.map_name != val.map_name:
        raise DataError(
            f"train has maps of {train.map_name} and val of {val.map_name}: compute both with the same models."
        )
    return train, val
