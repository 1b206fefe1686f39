"""Training: first the map estimator on rendered truth, then RFNet on what that estimator sees. Resumable at any moment."""

import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from tqdm import tqdm

from .augment import make_batch
from .data import DataError, Scenes, count_labels, read_scenes
from .evaluate import fit_temperature, predict, score
from .maps import MapNet
from .metrics import table
from .model import RFNet, RFNetConfig, load_imagenet, tokenize
from .weights import load_networks, save_reviewer, write_safetensors

STAGES = ("maps", "rfnet")


@dataclass
class TrainConfig:
    """What a run depends on. data: folder with train/ and val/; out: the weights file; roundtrip: .npy of images after a VAE."""

    data: str
    out: str
    roundtrip: str | None = None
    epochs: float = 6
    map_epochs: float = 3
    minutes: float | None = None  # end by the clock instead of by epochs, a quarter of it for the maps
    batch: int = 32
    lr: float = 1e-3
    backbone_lr: float = 3e-4
    weight_decay: float = 0.02
    smoothing: float = 0.05
    frozen: tuple = ("conv_stem", "blocks.0", "blocks.1", "blocks.2")  # edges and textures of ImageNet hold here too
    init: str = "imagenet"  # or "random"
    limit: int | None = None
    save_every: int = 100  # steps
    seed: int = 0


def load_roundtrips(path, scenes: Scenes) -> list:
    """The .npy files at path (one, or a folder of them), each uint8 like scenes.images or like its first rows, memory-mapped."""
    path = Path(path)
    files = sorted(path.glob("*.npy")) if path.is_dir() else [path]
    if not files:
        raise DataError(f'"{path}" holds no .npy files: make them with `pocket train roundtrip`, or leave --roundtrip out.')
    arrays = []
    for file in files:
        try:
            array = np.load(file, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise DataError(f'"{file}" is no readable .npy array ({error}): make it again with `pocket train roundtrip`.') from error
        if array.dtype != np.uint8 or array.shape[1:] != scenes.images.shape[1:] or not 0 < len(array) <= len(scenes):
            raise DataError(f'"{file}" is {array.dtype} {array.shape} but the scenes are uint8 {scenes.images.shape}: make it again from this split.')
        arrays.append(array)
    return arrays


def map_loss(mapnet: MapNet, batch) -> torch.Tensor:
    """L1 on inverse depth plus cross-entropy on the product's silhouette, which is what should stand out."""
    depth, saliency = mapnet(batch.image)
    return F.l1_loss(depth[:, 0], batch.depth) + 0.3 * F.binary_cross_entropy(saliency[:, 0].clamp(1e-5, 1 - 1e-5), batch.alpha)


def verdict_loss(rfnet: RFNet, mapnet: MapNet, batch, smoothing: float) -> torch.Tensor:
    """Cross-entropy on the five labels, with the maps that RFNet will get in use."""
    with torch.no_grad():
        maps = mapnet(batch.image)
    logits = rfnet(batch.shown, batch.image, *maps, tokenize(batch.captions))
    return F.cross_entropy(logits, batch.labels, label_smoothing=smoothing)


class Run:
    """One training run: networks, place in the schedule, and the state file beside the weights from which it goes on."""

    def __init__(self, config: TrainConfig, architecture: RFNetConfig = RFNetConfig()):
        self.config, self.out = config, Path(config.out)
        self.state_file = self.out.with_name(self.out.name + ".state")
        self.train = read_scenes(Path(config.data) / "train", config.limit)
        self.val = read_scenes(Path(config.data) / "val", config.limit)
        for scenes, split in ((self.train, "train"), (self.val, "val")):
            empty = [label for label, count in count_labels(scenes).items() if not count]
            if empty:
                raise DataError(f"{split} has no scene labelled {', '.join(empty)}: every label needs some; render or label more.")
            print(f"{split}: {len(scenes)} scenes, {len(set(scenes.product_ids))} products, {count_labels(scenes)}, {len(scenes.skipped)} unreadable")
            for sentence in scenes.skipped[:5]:
                print(f"  skipped {sentence}")
        self.roundtrips = load_roundtrips(config.roundtrip, self.train) if config.roundtrip else []
        torch.manual_seed(config.seed)
        self.mapnet, self.rfnet = MapNet(), RFNet(architecture)
        if config.init == "imagenet":
            load_imagenet(self.rfnet)
            for name in config.frozen:
                self.rfnet.images.backbone.get_submodule(name).requires_grad_(False)
        settings = {key: value for key, value in asdict(config).items() if key not in ("out", "data", "roundtrip", "save_every")}
        self.identity = json.dumps([settings, self.train.fingerprint, json.loads(architecture.to_json())])
        self.stage, self.step, self.seconds, self.best, self.history = STAGES[0], 0, 0.0, -1.0, []
        self.optimizer = self._optimizer()
        self._resume()

    def __call__(self) -> dict:
        """Train to the end; returns the validation report of the weights written."""
        while self.stage in STAGES:
            self._run_stage()
            following = STAGES.index(self.stage) + 1
            self.stage, self.step, self.seconds = (*STAGES, "done")[following], 0, 0.0
            if self.stage in STAGES:
                self.optimizer = self._optimizer()
            self._save_state()
        return self._finish()

    @property
    def network(self):
        return self.mapnet if self.stage == "maps" else self.rfnet

    def _optimizer(self):
        backbone = {id(p) for p in self.rfnet.images.backbone.parameters()}
        trained = [p for p in self.network.parameters() if p.requires_grad]
        groups = [{"params": [p for p in trained if (id(p) in backbone) == inside], "rate": rate}
                  for inside, rate in ((False, self.config.lr), (True, self.config.backbone_lr))]
        return torch.optim.AdamW([group for group in groups if group["params"]], weight_decay=self.config.weight_decay, betas=(0.9, 0.98))

    def _progress(self, total: int) -> float:
        """The share of the stage that is done, by steps or by the clock."""
        if self.config.minutes is None:
            return self.step / total
        return self.seconds / (60 * self.config.minutes * (0.25 if self.stage == "maps" else 0.75))

    def _run_stage(self):
        config, per_epoch = self.config, max(1, len(self.train) // self.config.batch)
        total = max(1, round(per_epoch * (config.map_epochs if self.stage == "maps" else config.epochs)))
        self.network.train()
        bar = tqdm(total=None if config.minutes else total, initial=self.step, desc=self.stage, unit="step", mininterval=2)
        while (progress := self._progress(total)) < 1:
            start = time.monotonic()
            loss = self._train_step(progress, per_epoch)
            self.step += 1
            took = time.monotonic() - start
            self.seconds += took
            bar.update()
            bar.set_postfix(loss=f"{loss:.3f}", scenes_per_second=f"{config.batch / took:.1f}", done=f"{progress:.0%}", refresh=False)
            if self.stage == "rfnet" and (self.step % per_epoch == 0 or self._progress(total) >= 1):
                self._validate()
            if self.step % config.save_every == 0 or self.step % per_epoch == 0:
                self._save_state()
        bar.close()

    def _train_step(self, progress: float, per_epoch: int) -> float:
        """One step that depends on nothing but the step's number and the weights, so that a resumed run repeats it exactly."""
        config = self.config
        epoch, place = divmod(self.step, per_epoch)
        order = np.random.default_rng((config.seed, STAGES.index(self.stage), epoch)).permutation(len(self.train))
        torch.manual_seed(((config.seed + 1) * len(STAGES) + STAGES.index(self.stage)) * 10_000_019 + self.step)
        rows = order[place * config.batch:(place + 1) * config.batch]
        batch = make_batch(self.train, rows, self.roundtrips, augment=True)
        loss = map_loss(self.mapnet, batch) if self.stage == "maps" else verdict_loss(self.rfnet, self.mapnet, batch, config.smoothing)
        for group in self.optimizer.param_groups:
            group["lr"] = group["rate"] * min(1, progress / 0.03 + 0.02) * (0.01 + 0.99 * (1 + math.cos(math.pi * progress)) / 2)
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        return loss.item()

    def _validate(self):
        logits = predict(self.rfnet, self.mapnet, self.val)
        self.rfnet.train()
        report = score(logits, self.val, resamples=0)
        ap, accuracy = report["ap"]["value"], report["accuracy"]["value"]
        defects = ", ".join(f"{name} {value['value']:.2f}" for name, value in report["defects"].items())
        tqdm.write(f"after {self.step} steps: AP {ap:.4f}, five-way accuracy {accuracy:.4f}, {defects}")
        self.history.append({"step": self.step, "ap": ap, "accuracy": accuracy})
        if ap > self.best:
            self.best = ap
            save_reviewer(self.out, self.rfnet, self.mapnet, {"data_fingerprint": self.train.fingerprint})

    def _finish(self) -> dict:
        rfnet, mapnet, _ = load_networks(self.out)
        logits = predict(rfnet, mapnet, self.val)
        temperature = fit_temperature(logits, torch.from_numpy(self.val.labels))
        report = score(logits, self.val, temperature)
        save_reviewer(self.out, rfnet, mapnet, {
            "temperature": f"{temperature:.4f}", "threshold": "0.5", "data_fingerprint": self.train.fingerprint,
            "scores": {"split": "val", **report}, "history": self.history, "created_with": "rfnet train",
        })
        self.state_file.unlink(missing_ok=True)
        print(f"{table(report)}\ntemperature {temperature:.3f}; wrote {self.out}, {self.out.stat().st_size / 1e6:.1f} MB")
        return report

    def _save_state(self):
        tensors = {f"rfnet.{key}": value for key, value in self.rfnet.state_dict().items()}
        tensors |= {f"maps.{key}": value for key, value in self.mapnet.state_dict().items()}
        for index, values in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{key}": torch.as_tensor(value) for key, value in values.items()}
        place = {key: getattr(self, key) for key in ("stage", "step", "seconds", "best", "history")}
        write_safetensors(self.state_file, tensors, {"identity": self.identity, "place": json.dumps(place)})

    def _resume(self):
        if not self.state_file.exists():
            return
        from safetensors import safe_open

        with safe_open(self.state_file, "pt") as file:
            metadata, tensors = file.metadata(), {key: file.get_tensor(key) for key in file.keys()}
        if metadata["identity"] != self.identity:
            raise DataError(f'"{self.state_file}" belongs to a run with other settings or data: delete it to start anew, or give another --out.')
        part = lambda prefix: {key[len(prefix):]: value for key, value in tensors.items() if key.startswith(prefix)}
        self.rfnet.load_state_dict(part("rfnet."))
        self.mapnet.load_state_dict(part("maps."))
        for key, value in json.loads(metadata["place"]).items():
            setattr(self, key, value)
        if self.stage not in STAGES:
            return
        self.optimizer = self._optimizer()
        state = {}
        for key, value in part("optimizer.").items():
            index, name = key.split(".")
            state.setdefault(int(index), {})[name] = value
        self.optimizer.load_state_dict({"state": state, "param_groups": self.optimizer.state_dict()["param_groups"]})
        print(f"resumed at step {self.step} of {self.stage}")
