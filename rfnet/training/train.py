"""Training: first the map estimator on true depth and silhouettes, then RFNet on what that estimator sees.

On one CPU, one GPU or, through `accelerate launch`, on many machines; resumable at any moment.
"""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader
from tqdm import tqdm

from ..architectures import VIEW
from ..data.errors import DataError
from ..files import write_bytes
from ..labels import LABELS
from ..map_names import BUILTIN
from ..maps import BACKBONE, MapNet
from ..model import build_rfnet
from ..pretrained import load_imagenet, load_pretrained
from ..resize import resize
from ..weights import WeightsError, load_networks, read_metadata, save_reviewer
from .augment import Batch
from .checkpoint import add_prefix, load_optimizer_state, optimizer_state, resume, save_state, select_prefix
from .config import TrainConfig
from .evaluate import fit_temperature, predict, score
from .losses import label_weights, map_loss, verdict_loss
from .metrics import table
from .mixed import Batches, Pool, load_roundtrips, plainly
from .processes import accelerator, spare_bf16
from .scale import ScaleReader, scale_loss

STAGES = ("maps", "rfnet")
PLACE = ("stage", "step", "seconds", "best", "history", "losses", "broken")  # what a state says besides tensors
HISTORY = ("step", "loss", "ap", "accuracy")


class Run:
    """One training run: networks, place in the schedule, and the state file beside the weights from which it goes on.

    A step depends on nothing but its number and the weights, so that a run that was killed and resumed ends with the
    same weights as one that was not, bit for bit on one CPU. Only the first process writes files.
    """

    def __init__(self, config: TrainConfig, clock=time.monotonic, cpu: bool = False):
        """clock: what config.minutes are counted by; time.process_time gives runs on a busy machine the same computing.

        cpu: stay off the accelerator that is there.
        """
        self.clock = clock
        self.config, self.out = config, Path(config.out)
        self.state_file = self.out.with_name(self.out.name + ".state")
        self.accelerator = accelerator(cpu=cpu, mixed_precision=config.precision)
        self.first = self.accelerator.is_main_process
        if config.minutes and self.accelerator.num_processes > 1:
            raise DataError(
                f"minutes is {config.minutes:g}, and each of {self.accelerator.num_processes} processes would end by a"
                " clock of its own: give epochs."
            )
        if config.batch % self.accelerator.num_processes:
            raise DataError(
                f"batch is {config.batch}, which {self.accelerator.num_processes} processes can't share evenly: make it"
                " a multiple."
            )
        size = config.architecture.image_size
        self.train = Pool.open(config.train, size, config.limit, "train", config.train_maps)
        self.val = Pool.open(config.val, size, config.limit, "val", config.val_maps, every=False, readable=True)
        if self.train.map_name != self.val.map_name:
            raise DataError(
                f"train has maps of {self.train.map_name} and val of {self.val.map_name}: compute both with the same"
                " models."
            )
        if self.first:
            print(
                f"{self.train}\n{self.val}\n{self.accelerator.num_processes} process(es) on {self.accelerator.device},"
                f" precision {config.precision}"
            )
        self.roundtrips = load_roundtrips(config.roundtrip, len(self.train), size)
        torch.manual_seed(config.seed)
        self.mapnet, self.rfnet = MapNet(), build_rfnet(config.architecture)
        self.reader = ScaleReader(self.rfnet)
        self._begin()
        if config.precision == "bf16" and self.accelerator.device.type == "cpu":
            spare_bf16(self.rfnet), spare_bf16(self.mapnet)
        self.identity = json.dumps(
            [config.identity(), self.train.fingerprint, json.loads(self.rfnet.config.to_json())], default=str
        )
        self.weights = label_weights(np.bincount(self.train.labels, minlength=len(LABELS)), config.balance).to(
            self.accelerator.device
        )
        self.stage, self.step, self.seconds, self.best, self.history = STAGES[0], 0, 0.0, -1.0, []
        self.losses, self.log, self.broken = [], None, {}
        self.mapnet.to(self.accelerator.device), self.reader.to(self.accelerator.device)
        self._prepare()
        self._resume()

    def __call__(self) -> dict:
        """Train to the end; returns the validation report of the weights written."""
        while self.stage in STAGES:
            self._run_stage()
            self.stage, self.step, self.seconds = (*STAGES, "done")[STAGES.index(self.stage) + 1], 0, 0.0
            if self.stage in STAGES:
                self._prepare()
            self._save_state()
        return self._finish()

    @property
    def damaged(self) -> int:
        """How many samples and files were left out because something is wrong with them."""
        return self.train.damaged + self.val.damaged + len(self.broken)

    @property
    def network(self):
        return self.mapnet if self.stage == "maps" else self.reader if self.config.scale else self.rfnet

    def _begin(self) -> None:
        """The weights that the run starts from."""
        config = self.config
        if config.init == "imagenet" and not config.weights:
            load_imagenet(self.rfnet.images.backbone, self.rfnet.config.backbone)
        if config.init == "imagenet" and config.map_epochs:
            load_imagenet(self.mapnet.backbone, BACKBONE)
        for path in config.weights:
            try:
                read_metadata(path)
            except WeightsError:
                load_pretrained(self.rfnet, path)
                continue
            rfnet, mapnet, _ = load_networks(path)
            if rfnet.tokenize.vocabulary:
                self.rfnet.tokenize.use(rfnet.tokenize.vocabulary)
            mine, theirs = self.rfnet.state_dict(), rfnet.state_dict()
            theirs["images.position"] = resize(
                theirs["images.position"], *mine["images.position"].shape[-2:]
            )  # it may have seen pictures of another size
            kept = {
                name: value for name, value in theirs.items() if name in mine
            }  # or more inputs than this one: an ablation of it
            lacks = [
                name for name in mine.keys() - kept.keys() if not name.startswith("stems.")
            ]  # or another encoder of maps: this one's begins anew
            same = (
                replace(rfnet.config, **{name: getattr(self.rfnet.config, name) for name in ("inputs", *VIEW)})
                == self.rfnet.config
            )
            if not same or lacks or any(value.shape != mine[name].shape for name, value in kept.items()):
                raise DataError(
                    f'"{path}" is a reviewer of another architecture: leave it out, or set architecture to its config'
                    f" {rfnet.config.to_json()}."
                )
            self.rfnet.load_state_dict(mine | kept)
            self.mapnet.load_state_dict(mapnet.state_dict())
        if config.estimator:
            self.mapnet.load_state_dict(load_networks(config.estimator)[1].state_dict())
        if config.init == "imagenet" or config.weights:
            modules = dict(self.rfnet.images.backbone.named_modules())
            for name in config.frozen:
                if name not in modules:
                    raise DataError(
                        f'frozen names "{name}", which the backbone {self.rfnet.config.backbone} lacks: take it out, or'
                        f" name one of {', '.join(list(modules)[1:8])} ..."
                    )
                modules[name].requires_grad_(False)

    def _prepare(self) -> None:
        """Optimiser and, over many processes, gradient averaging for the stage that begins."""
        slow = [self.mapnet.backbone, self.rfnet.images.backbone] + (
            [self.rfnet.text] if self.rfnet.config.reads_captions and self.rfnet.config.text != "small" else []
        )
        slow = {id(p) for module in slow for p in module.parameters()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [
            {"params": [p for p in trained if (id(p) in slow) == inside], "rate": rate}
            for inside, rate in ((False, self.config.lr), (True, self.config.backbone_lr))
        ]
        optimizer = torch.optim.AdamW(
            [group for group in groups if group["params"]],
            lr=self.config.lr,
            weight_decay=self.config.weight_decay,
            betas=(0.9, 0.98),
        )
        self.model, self.optimizer = self.accelerator.prepare(self.network, optimizer)

    def _progress(self, total: int) -> float:
        """The share of the stage that is done, by steps or by the clock."""
        if total == 0:
            return 1.0
        if self.config.minutes is None:
            return self.step / total
        return self.seconds / (60 * self.config.minutes * (0.25 if self.stage == "maps" else 0.75))

    def _run_stage(self) -> None:
        config, per_epoch = self.config, max(1, len(self.train) // self.config.batch)
        epochs = config.map_epochs if self.stage == "maps" else config.epochs
        total = max(1, round(per_epoch * epochs)) if epochs else 0
        bar = tqdm(
            total=None if config.minutes else total,
            initial=self.step,
            desc=self.stage,
            unit="step",
            mininterval=2,
            disable=not self.first,
        )
        batches = None
        while (progress := self._progress(total)) < 1:
            batches = batches or self._batches(per_epoch)
            start = self.clock()
            loss = self._train_step(next(batches), progress)
            self.step += 1
            self.losses.append(loss)
            took = self.clock() - start
            self.seconds += took
            bar.update()
            bar.set_postfix(
                loss=f"{loss:.3f}",
                scenes_per_second=f"{config.batch / took:.1f}",
                done=f"{progress:.0%}",
                refresh=False,
            )
            if self.stage == "rfnet" and (self.step % per_epoch == 0 or self._progress(total) >= 1):
                self._validate()
            if self.step % config.save_every == 0 or self.step % per_epoch == 0:
                self._save_state()
        bar.close()

    def _batches(self, per_epoch: int):
        """This process's share of the batch of every step from the present one on."""
        rank, world = self.accelerator.process_index, self.accelerator.num_processes

        def steps():
            step = self.step
            while True:
                epoch, place = divmod(step, per_epoch)
                order = np.random.default_rng((self.config.seed, STAGES.index(self.stage), epoch)).permutation(
                    len(self.train)
                )
                yield (
                    self._seed(step),
                    order[place * self.config.batch : (place + 1) * self.config.batch][rank::world].tolist(),
                )
                step += 1

        for batch in plainly(
            DataLoader(
                Batches(self.train, self.roundtrips, self.config.augment),
                sampler=steps(),
                batch_size=None,
                num_workers=self.config.workers,
            )
        ):
            self.broken |= {str(row): sentence for row, sentence in batch.broken.items()}
            yield batch

    def _seed(self, step: int) -> int:
        """What this process's random choices in a step begin from."""
        seed = ((self.config.seed + 1) * len(STAGES) + STAGES.index(self.stage)) * 10_000_019 + step
        return seed * self.accelerator.num_processes + self.accelerator.process_index

    def _train_step(self, batch: Batch, progress: float) -> float:
        batch = batch.to(self.accelerator.device)
        torch.manual_seed(self._seed(self.step))
        self.model.train()
        with self.accelerator.autocast():
            if self.stage == "maps":
                loss = map_loss(self.model, batch)
            else:
                with torch.no_grad():  # RFNet learns from the maps that it will get in use
                    maps = batch.maps if self.train.map_name else self.mapnet(batch.image)
                found = self.model(
                    batch.shown, batch.image, *maps, self.rfnet.tokenize(batch.captions).to(batch.image.device)
                )
                logits, sizes = found if self.config.scale else (found, None)
                loss = verdict_loss(
                    logits.float(), batch.labels, self.weights, self.config.smoothing, self.config.labels
                )
                if self.config.scale:
                    loss = loss + self.config.scale * scale_loss(sizes.float(), batch.sizes)
        for group in self.optimizer.param_groups:
            group["lr"] = (
                group["rate"] * min(1, progress / 0.03 + 0.02) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
            )
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _validate(self) -> None:
        """Scores on the validation data, in every process alike; keeps the best weights and the last."""
        report = score(predict(self.rfnet, self.mapnet, self.val, workers=self.config.workers), self.val, resamples=0)
        row = {
            "step": self.step,
            "loss": float(np.mean(self.losses)),
            "ap": report["ap"]["value"],
            "accuracy": report["accuracy"]["value"],
            **{f"ap_{name}": value["value"] for name, value in report["defects"].items()},
        }
        self.losses = []
        self.history.append(row)
        self._show(row)
        if self.first:
            about = {
                "data_fingerprint": self.train.fingerprint,
                "history": self.history,
                "maps": self.train.map_name or BUILTIN,
            }
            if row["ap"] > self.best:
                save_reviewer(self.out, self.rfnet, self.mapnet, about)
            save_reviewer(self.out.with_name(f"{self.out.stem}.last{self.out.suffix}"), self.rfnet, self.mapnet, about)
        self.best = max(self.best, row["ap"])

    def _show(self, row: dict) -> None:
        if not self.first:
            return
        defects = ", ".join(f"{name[3:]} {value:.2f}" for name, value in row.items() if name.startswith("ap_"))
        tqdm.write(
            f"after {row['step']} steps: loss {row['loss']:.3f}, AP {row['ap']:.4f}, five-way accuracy"
            f" {row['accuracy']:.4f}, {defects}"
        )
        if self.config.tensorboard:
            if self.log is None:
                try:
                    from torch.utils.tensorboard import SummaryWriter
                except ImportError:
                    raise DataError(
                        "tensorboard = true needs the package tensorboard: pip install tensorboard, or leave it out."
                    ) from None
                self.log = SummaryWriter(str(self.out.parent / f"{self.out.stem}.tensorboard"))
            for name, value in row.items():
                if name != "step":
                    self.log.add_scalar(name, value, row["step"])
            self.log.flush()

    def _finish(self) -> dict:
        self.accelerator.wait_for_everyone()
        rfnet, mapnet, _ = load_networks(self.out)
        rfnet.to(self.accelerator.device), mapnet.to(self.accelerator.device)
        logits = predict(rfnet, mapnet, self.val, workers=self.config.workers)
        temperature = fit_temperature(logits, torch.from_numpy(self.val.labels))
        report = score(logits, self.val, temperature)
        if not self.first:
            return report
        save_reviewer(
            self.out,
            rfnet,
            mapnet,
            {
                "temperature": f"{temperature:.4f}",
                "threshold": "0.5",
                "data_fingerprint": self.train.fingerprint,
                "scores": {"split": "val", **report},
                "history": self.history,
                "created_with": "rfnet train",
                "maps": self.train.map_name or BUILTIN,
            },
        )
        written = f"wrote {self.out}, {self.out.stat().st_size / 1e6:.1f} MB"
        try:
            from .plots import training

            write_bytes(self.out.with_suffix(".png"), training(self.history))
        except RuntimeError as error:  # without matplotlib everything but the picture is there
            written += f"; no curves were drawn: {error}"
        self.state_file.unlink(missing_ok=True)
        print(f"{table(report)}\ntemperature {temperature:.3f}; {written}")
        if self.broken:
            print(
                f"{len(self.broken)} samples of train could not be read and were left out, first:"
                f" {next(iter(self.broken.values()))}"
            )
        return report

    def _save_state(self) -> None:
        if not self.first:
            return
        tensors = add_prefix("rfnet.", self.rfnet.state_dict())
        tensors |= add_prefix("maps.", self.mapnet.state_dict())
        tensors |= add_prefix("sizes.", self.reader.sizes.state_dict())
        tensors |= add_prefix("optimizer.", optimizer_state(self.optimizer))
        save_state(self.state_file, self.identity, tensors, {key: getattr(self, key) for key in PLACE})

    def _resume(self) -> None:
        mismatch = "belongs to a run with other settings or data: delete it to start over, or give another --out."
        resume(self.state_file, self.identity, self._restore, DataError, mismatch)

    def _restore(self, tensors: dict, place: dict) -> None:
        if (
            place.keys() != set(PLACE)
            or place["stage"] not in (*STAGES, "done")
            or not all(isinstance(place[key], type(getattr(self, key))) for key in PLACE)
        ):
            raise ValueError("its place is none")
        self.rfnet.load_state_dict(select_prefix("rfnet.", tensors))
        self.mapnet.load_state_dict(select_prefix("maps.", tensors))
        self.reader.sizes.load_state_dict(select_prefix("sizes.", tensors))
        for key, value in place.items():
            setattr(self, key, value)
        if self.stage not in STAGES:
            return
        self._prepare()
        load_optimizer_state(self.optimizer, select_prefix("optimizer.", tensors))
        if self.first:
            print(f"resumed at step {self.step} of {self.stage}")
