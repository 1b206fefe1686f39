"""Inputs that the sampling nodes share, in the order in which they show them."""

import comfy.samplers
from comfy_api.latest import io

from .types import Product, Reviewer


def picture_inputs() -> list:
    """What every loop asks for, whatever it samples with."""
    return [
        io.Latent.Input(
            "latent_image",
            tooltip="The encoded image of RF Product with its inpaint mask set as noise mask. Several pictures each get"
            " a loop of their own.",
        ),
        io.Vae.Input("vae", tooltip="Decodes each attempt for the review."),
        Reviewer.Input("reviewer", tooltip="From RF Load Reviewer."),
        Product.Input(
            "product", tooltip="From the RF Product whose image was encoded. Its own pixels are pasted back exactly."
        ),
    ]


def sampling_inputs() -> list:
    """What KSampler asks for and what a review needs, in the order that RF Cyclic Sampler and RF Profile show."""
    return [
        io.Model.Input("model", tooltip="The model that paints."),
        io.Conditioning.Input("positive", tooltip="What the scene should show, with the ControlNet applied."),
        io.Conditioning.Input("negative", tooltip="What it should not show, with the ControlNet applied."),
        *picture_inputs(),
        io.Int.Input(
            "seed",
            default=0,
            min=0,
            max=2**64 - 1,
            control_after_generate=True,
            tooltip="Seed of the first attempt; the next ones take seed + 1, seed + 2, ...",
        ),
        io.Int.Input("steps", default=20, min=1, max=10000, tooltip="Sampling steps of each attempt."),
        io.Float.Input(
            "cfg",
            default=7.0,
            min=0.0,
            max=100.0,
            step=0.1,
            round=0.01,
            tooltip="Guidance: how closely the picture follows the prompt. 5 to 8 suits SD 1.5.",
        ),
        io.Combo.Input(
            "sampler_name", options=comfy.samplers.KSampler.SAMPLERS, tooltip="Sampling algorithm, as in KSampler."
        ),
        io.Combo.Input(
            "scheduler",
            options=comfy.samplers.KSampler.SCHEDULERS,
            tooltip="How the noise falls over the steps, as in KSampler.",
        ),
        io.Float.Input(
            "denoise",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="1 paints the background from pure noise; less keeps something of what is there.",
        ),
    ]
