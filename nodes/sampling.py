"""What both sampling nodes share: their inputs, and one attempt: sampled as stock KSampler samples it, decoded as stock VAE Decode decodes it, the product pasted back."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import comfy.sample
import comfy.samplers
import comfy.utils
import latent_preview
import torch
from comfy_api.latest import io

from .edge import Product, Reviewer, channels_first, stop_if_cancelled


class SamplingError(ValueError):
    """Inputs of the sampler that don't fit together; one sentence that says what to do."""


@dataclass(frozen=True)
class Draw:
    """KSampler's inputs without the seed; `draw(seed, look)` is one attempt."""

    model: Any
    steps: int
    cfg: float
    sampler_name: str
    scheduler: str
    positive: list
    negative: list
    latent: dict
    denoise: float
    vae: Any
    canvas: Any
    on_step: Callable[[int, int, Any], None] = field(default=lambda step, steps, preview: None)

    def settings(self, threshold: float) -> dict:
        """What a profile of early rejection holds for, and what draws this again, seed and models aside."""
        return {"steps": self.steps, "cfg": self.cfg, "sampler_name": self.sampler_name, "scheduler": self.scheduler, "denoise": self.denoise, "threshold": threshold}

    def check(self) -> None:
        """Finds before the first step what would otherwise be found after all of them."""
        samples = self.latent["samples"]
        if len(samples) != 1:
            raise SamplingError(f"the latent holds {len(samples)} pictures, but the cyclic sampler draws one at a time: set the batch size to 1")
        if not torch.isfinite(samples).all():
            raise SamplingError("the latent holds NaN or infinite values: look at the node that made it; a VAE in half precision is the usual cause")
        scale = self.vae.spacial_compression_decode()
        height, width = samples.shape[-2] * scale, samples.shape[-1] * scale
        if (width, height) != (self.canvas.width, self.canvas.height):
            raise SamplingError(
                f"the latent is for a picture of {width}x{height} but the product was placed on {self.canvas.width}x{self.canvas.height}: "
                "encode the image that comes out of the same RF Product"
            )

    def __call__(self, seed: int, look: Callable) -> tuple[torch.Tensor, torch.Tensor]:
        """Returns the picture (3, H, W) with the product's own pixels, and the latent (1, C, h, w). look: an rfnet.recurrent.Look."""
        samples = self.sample(seed, look)
        return self.decode(samples), samples

    def decode(self, samples: torch.Tensor) -> torch.Tensor:
        """The picture (3, H, W) of a latent (1, C, h, w), with the product's own pixels."""
        stop_if_cancelled()
        decoded = self.vae.decode(samples)
        stop_if_cancelled()
        pictures = channels_first(decoded.reshape(-1, *decoded.shape[-3:])).float()
        return self.canvas.paste(pictures)[0].cpu()

    def sample(self, seed: int, look: Callable) -> torch.Tensor:
        """The same calls, in the same order, as stock KSampler: attempt 1 is its result to the last bit."""
        latent = comfy.sample.fix_empty_latent_channels(self.model, self.latent["samples"])
        noise = comfy.sample.prepare_noise(latent, seed, self.latent.get("batch_index"))
        previewer = latent_preview.get_previewer(self.model.load_device, self.model.model.latent_format)

        def callback(step, x0, x, total_steps):
            stop_if_cancelled()
            self.on_step(step + 1, total_steps, previewer and previewer.decode_latent_to_preview_image("JPEG", x0))
            look(step + 1, total_steps, lambda: self.decode(self.model.model.process_latent_out(x0.float())))

        return comfy.sample.sample(
            self.model, noise, self.steps, self.cfg, self.sampler_name, self.scheduler, self.positive, self.negative, latent,
            denoise=self.denoise, noise_mask=self.latent.get("noise_mask"), callback=callback,
            disable_pbar=not comfy.utils.PROGRESS_BAR_ENABLED, seed=seed,
        )  # fmt: skip


def sampling_inputs() -> list:
    """What KSampler asks for and what a review needs, in the order that both sampling nodes show."""
    return [
        io.Model.Input("model", tooltip="The model that paints."),
        io.Conditioning.Input("positive", tooltip="What the scene should show, with the ControlNet applied."),
        io.Conditioning.Input("negative", tooltip="What it should not show, with the ControlNet applied."),
        io.Latent.Input("latent_image", tooltip="The encoded image of RF Product with its inpaint mask set as noise mask: one picture."),
        io.Vae.Input("vae", tooltip="Decodes each attempt for the review."),
        Reviewer.Input("reviewer", tooltip="From RF Load Reviewer."),
        Product.Input("product", tooltip="From the RF Product whose image was encoded. Its own pixels are pasted back exactly."),
        io.Int.Input("seed", default=0, min=0, max=2**64 - 1, control_after_generate=True, tooltip="Seed of the first attempt; the next ones take seed + 1, seed + 2, ..."),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Sampling steps of each attempt."),
        io.Float.Input("cfg", default=7.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip="Guidance: how closely the picture follows the prompt. 5 to 8 suits SD 1.5."),
        io.Combo.Input("sampler_name", options=comfy.samplers.KSampler.SAMPLERS, tooltip="Sampling algorithm, as in KSampler."),
        io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, tooltip="How the noise falls over the steps, as in KSampler."),
        io.Float.Input("denoise", default=1.0, min=0.0, max=1.0, step=0.01, tooltip="1 paints the background from pure noise; less keeps something of what is there."),
    ]


def reviewing(draw: Draw, reviewer, threshold: float) -> Callable[[torch.Tensor], dict]:
    """A function of pictures (3, H, W) that gives their rows of the review."""

    def review(image: torch.Tensor) -> dict:
        verdict = reviewer.review(image[None], draw.canvas, threshold).rows()[0]
        stop_if_cancelled()
        return verdict

    return review
