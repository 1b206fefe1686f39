"""One attempt: sampled as the stock sampler does it, decoded as stock VAE Decode does it, the product pasted back."""

import copy
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import comfy.model_management
import comfy.patcher_extension
import comfy.sample
import comfy.sampler_helpers
import comfy.samplers
import comfy.utils
import latent_preview
import torch

from . import families
from .types import channels_first, stop_if_cancelled

# between two live previews: a small model takes steps faster than anybody looks, and each preview costs milliseconds
PREVIEW_SECONDS = 0.1


class SamplingError(ValueError):
    """Inputs of the sampler that don't fit together; one sentence that says what to do."""


@dataclass(frozen=True)
class Draw(ABC):
    """The sampler's inputs without the seed; `draw(seed, check)` is one attempt, `draw.together(seeds, checks)` several
    at once.

    preview: the cyclic.preview.Preview that preview checks see through; None decodes what they see. What samples is the
    subclasses' business.
    """

    latent: dict
    vae: Any
    canvas: Any
    on_step: Callable[[int, int, Any], None] = field(default=lambda step, steps, preview: None)
    preview: Any = None

    @property
    @abstractmethod
    def patcher(self):
        """The ModelPatcher of the network that paints."""

    @property
    @abstractmethod
    def conditions(self) -> dict:
        """{"positive": [[tokens (1, T, C), values], ...], ...}: what guides it, each as a CONDITIONING."""

    @abstractmethod
    def changed(self, conditions: dict, guidance: float, **fields) -> "Draw":
        """With other conditions, cfg times guidance, and other fields: what remedies change."""

    @abstractmethod
    def settings(self, threshold: float) -> dict:
        """What a profile of early rejection holds for, and what draws this again, seed and models aside."""

    @abstractmethod
    def noise(self, seed: int) -> torch.Tensor:
        """The stock node's noise (N, C, h, w) for this seed."""

    @abstractmethod
    def run(self, noise: torch.Tensor, seed: int, callback: Callable) -> torch.Tensor:
        """The latent (N, C, h, w) that the stock node samples; callback(step, x0, x, steps) after each step."""

    @abstractmethod
    def with_patcher(self, patcher) -> "Draw":
        """With another ModelPatcher of the network that paints."""

    def _with_wrapper(self, wrapper: Callable) -> "Draw":
        """With a wrapper around each pass of the network (comfy's CALC_COND_BATCH), which may leave rows out."""
        patcher = self.patcher.clone()
        patcher.add_wrapper(comfy.patcher_extension.WrappersMP.CALC_COND_BATCH, wrapper)
        return self.with_patcher(patcher)

    def check(self) -> None:
        """Finds before the first step what would otherwise be found after all of them."""
        samples = self.latent["samples"]
        if not len(samples):
            raise SamplingError("the latent holds no picture: look at the node that made it")
        if not torch.isfinite(samples).all():
            raise SamplingError(
                "the latent holds NaN or infinite values: look at the node that made it; a VAE in half precision is the"
                " usual cause"
            )
        scale = self.vae.spacial_compression_decode()
        height = samples.shape[-2] * scale
        width = samples.shape[-1] * scale
        if (width, height) != (self.canvas.width, self.canvas.height):
            raise SamplingError(
                f"the latent is for a picture of {width}x{height} but the product was placed on"
                f" {self.canvas.width}x{self.canvas.height}: encode the image that comes out of the same RF Product,"
                f" whose width and height must be multiples of {scale} for this VAE"
            )
        families.check(self)

    @property
    def pictures(self) -> list:
        """A Draw for each picture of the latent: of a single one, this."""
        count = len(self.latent["samples"])
        return [self] if count == 1 else [replace(self, latent=picked(self.latent, [row])) for row in range(count)]

    def __call__(self, seed: int, check: Callable) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the picture (3, H, W) with the product's own pixels, and the latent (1, C, h, w).

        check: a cyclic.preview_check.PreviewCheck.
        """
        samples = self.sample(seed, check)
        return self.decode(samples)[0], samples

    def together(self, seeds: list, checks) -> tuple[torch.Tensor, list]:
        """Returns the pictures (N, 3, H, W) and latents of the rows that were not stopped early.

        checks: a cyclic.preview_check.PreviewChecks.
        """
        noise = torch.cat([self.noise(seed) for seed in seeds])
        latent = {
            name: value.expand(len(seeds), *value.shape[1:]) if name == "samples" else value
            for name, value in self.latent.items()
        }

        def only_alive(executor, model, conds, x, timestep, options):
            rows = checks.alive
            if len(rows) == len(x):
                return executor(model, conds, x, timestep, options)
            outputs = []
            for part in executor(model, conds, x[rows], timestep[rows], options):
                outputs.append(x.clone())  # a clean picture that is x itself: the sampler leaves it where it is
                outputs[-1][rows] = part
            return outputs

        drawing = replace(self, latent=latent)._with_wrapper(only_alive)
        callback = self._callback(checks, lambda x0, rows: self.unfinished(x0[rows]))
        samples = drawing.run(noise, seeds[0], callback)[checks.alive]
        return self.decode(samples), list(samples.split(1))

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """The pictures (N, 3, H, W) of latents (N, C, h, w), with the product's own pixels."""
        stop_if_cancelled()
        decoded = self.vae.decode(samples)
        stop_if_cancelled()
        pictures = channels_first(decoded.reshape(-1, *decoded.shape[-3:])).float()
        return self.canvas.paste(pictures).cpu()

    def unfinished(self, samples: torch.Tensor) -> torch.Tensor:
        """As decode, of predicted clean latents, for a preview check."""
        if self.preview is None:
            return self.decode(samples)
        return self.canvas.paste(self.preview(single(samples), self.canvas.height, self.canvas.width)).cpu()

    def sample(self, seed: int, check: Callable) -> torch.Tensor:
        """The latent (1, C, h, w); the same calls, in the same order, as the stock node's: attempt 1 is its result to
        the last bit.
        """
        return self.run(self.noise(seed), seed, self._callback(check, lambda x0: self.unfinished(x0)[0]))

    def _callback(self, check: Callable, predicted: Callable) -> Callable:
        """A sampler's callback: notices a cancel, shows a live preview, and lets `check` ask for `predicted` clean
        pictures.
        """
        previewer = latent_preview.get_previewer(self.patcher.load_device, self.patcher.model.latent_format)
        shown = -PREVIEW_SECONDS

        def callback(step, x0, x, total_steps):
            nonlocal shown
            stop_if_cancelled()
            due = previewer is not None and time.monotonic() - shown >= PREVIEW_SECONDS
            shown = time.monotonic() if due else shown
            self.on_step(step + 1, total_steps, previewer.decode_latent_to_preview_image("JPEG", x0) if due else None)
            clean = self.patcher.model.process_latent_out
            check(step + 1, total_steps, lambda *rows: predicted(clean(x0.float()), *rows))

        return callback

    @property
    def fixed_latent(self) -> torch.Tensor:
        return comfy.sample.fix_empty_latent_channels(self.patcher, self.latent["samples"])


@dataclass(frozen=True)
class KSamplerDraw(Draw):
    """As stock KSampler samples."""

    model: Any = None
    steps: int = 20
    cfg: float = 7.0
    sampler_name: str = "euler"
    scheduler: str = "normal"
    positive: list = ()
    negative: list = ()
    denoise: float = 1.0

    def settings(self, threshold: float) -> dict:
        return {
            "steps": self.steps,
            "cfg": self.cfg,
            "sampler_name": self.sampler_name,
            "scheduler": self.scheduler,
            "denoise": self.denoise,
            "threshold": threshold,
            **told_guidance(self.conditions),
        }

    @property
    def patcher(self):
        return self.model

    @property
    def conditions(self) -> dict:
        return {"positive": self.positive, "negative": self.negative}

    def changed(self, conditions: dict, guidance: float, **fields) -> "KSamplerDraw":
        return replace(self, **conditions, cfg=self.cfg * guidance, **fields)

    def noise(self, seed: int) -> torch.Tensor:
        return comfy.sample.prepare_noise(self.fixed_latent, seed, self.latent.get("batch_index"))

    def run(self, noise: torch.Tensor, seed: int, callback: Callable) -> torch.Tensor:
        return comfy.sample.sample(
            self.model,
            noise,
            self.steps,
            self.cfg,
            self.sampler_name,
            self.scheduler,
            self.positive,
            self.negative,
            self.fixed_latent,
            denoise=self.denoise,
            noise_mask=self.latent.get("noise_mask"),
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seed,
        )

    def with_patcher(self, patcher) -> "KSamplerDraw":
        return replace(self, model=patcher)


@dataclass(frozen=True)
class GuidedDraw(Draw):
    """As stock SamplerCustomAdvanced samples; seeds after the first come from noise with that seed."""

    random: Any = None
    guider: Any = None
    sampler: Any = None
    sigmas: torch.Tensor = None

    def settings(self, threshold: float) -> dict:
        """As KSamplerDraw's, as far as a guider says it."""
        name = getattr(
            getattr(self.sampler, "sampler_function", None), "__name__", type(self.sampler).__name__
        ).removeprefix("sample_")
        schedule = ",".join(f"{float(sigma):.4g}" for sigma in self.sigmas)
        return {
            "steps": len(self.sigmas) - 1,
            "cfg": float(getattr(self.guider, "cfg", 1.0)),
            "sampler_name": name,
            "scheduler": schedule,
            "denoise": 1.0,
            "threshold": threshold,
            **told_guidance(self.conditions),
        }

    @property
    def patcher(self):
        return self.guider.model_patcher

    @property
    def conditions(self) -> dict:
        return {
            name: [[cond.get("cross_attn"), cond] for cond in conds]
            for name, conds in self.guider.original_conds.items()
        }

    def changed(self, conditions: dict, guidance: float, **fields) -> "GuidedDraw":
        guider = copy.copy(self.guider)
        guider.original_conds = {name: comfy.sampler_helpers.convert_cond(conds) for name, conds in conditions.items()}
        if guidance != 1 and hasattr(guider, "cfg"):
            guider.cfg = guider.cfg * guidance
        return replace(self, guider=guider, **fields)

    def noise(self, seed: int) -> torch.Tensor:
        random = copy.copy(self.random)
        random.seed = seed
        return random.generate_noise({**self.latent, "samples": self.fixed_latent})

    def run(self, noise: torch.Tensor, seed: int, callback: Callable) -> torch.Tensor:
        samples = self.guider.sample(
            noise,
            self.fixed_latent,
            self.sampler,
            self.sigmas,
            denoise_mask=self.latent.get("noise_mask"),
            callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED,
            seed=seed,
        )
        return samples.to(comfy.model_management.intermediate_device())

    def with_patcher(self, patcher) -> "GuidedDraw":
        guider = copy.copy(self.guider)
        guider.model_patcher, guider.model_options = patcher, patcher.model_options
        return replace(self, guider=guider)


def told_guidance(conditions: dict) -> dict:
    """{"guidance": what a distilled model such as Flux.1 dev is told}, empty where the prompt says nothing of it."""
    told = [values["guidance"] for _, values in conditions.get("positive", ()) if values.get("guidance") is not None]
    return {"guidance": float(told[0])} if told else {}


def picked(latent: dict, rows: list) -> dict:
    """These pictures of a LATENT, as stock LatentFromBatch picks them.

    Each has its own noise mask, and its place in the batch, which its noise comes from. A single picture gets no place
    that it didn't have.
    """
    count = len(latent["samples"])
    masks = latent.get("noise_mask")
    picked = {**latent, "samples": latent["samples"][rows]}
    if masks is not None and masks.ndim > 2 and len(masks) > 1:
        picked["noise_mask"] = masks[[row % len(masks) for row in rows]]
    if places := latent.get("batch_index") or (list(range(count)) if count > 1 else None):
        picked["batch_index"] = [places[row % len(places)] for row in rows]
    return picked


def single(samples: torch.Tensor) -> torch.Tensor:
    """Latents of pictures (N, C, h, w), also out of those of a model that counts frames (N, C, 1, h, w)."""
    return samples.movedim(2, 1).flatten(0, 1) if samples.ndim == 5 else samples


def reviewing(draw: Draw, reviewer, threshold: float) -> Callable[[torch.Tensor], dict]:
    """A function of pictures (3, H, W) that gives their rows of the review."""

    def review(image: torch.Tensor) -> dict:
        verdict = reviewer.review(image[None], draw.canvas, threshold).rows()[0]
        stop_if_cancelled()
        return verdict

    return review
