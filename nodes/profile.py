"""RFProfile: measures, for one graph, where draws that fail can be stopped early; RF Cyclic Sampler reads it."""

import json
import time
from dataclasses import replace

import comfy.utils
from comfy_api.latest import io, ui

from ..cyclic.profiles import fingerprint
from . import early_rejection
from .checked import checked
from .sampling import Draw, KSamplerDraw, reviewing, single
from .sampling_inputs import sampling_inputs
from .types import CATEGORY, THRESHOLD_TOOLTIP, accept_input, channels_first, stop_if_cancelled

PREVIEW = "preview"  # what makes a preview of a latent: a linear map, or the decoder
VAE = "vae"


@checked(
    checks={"profile_name": early_rejection.own_path},
    advanced=("share", "denoise", "threshold", "accept", "preview_method"),
    aliases=("early rejection", "early stopping", "save steps"),
)
class RFProfile(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFProfile",
            display_name="RF Profile Early Rejection",
            category=CATEGORY,
            description=(
                "Draws pictures to their end, checks previews on the way, and writes down below which probability RF"
                " Cyclic Sampler may stop a draw early."
            ),
            inputs=[
                io.String.Input(
                    "profile_name",
                    default="my_model",
                    tooltip=(
                        "The profile's name in models/rfnet. Run it again with other products or seeds and the draws"
                        " add up; 100 or more make it trustworthy."
                    ),
                ),
                io.Int.Input("draws", default=20, min=1, max=10000, tooltip="Pictures to draw now, with this product."),
                io.Float.Input(
                    "share",
                    default=0.03,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip=(
                        "How many of the pictures that would have been accepted may be lost at most. Start with 0.03:"
                        " 3 in 100."
                    ),
                ),
                *sampling_inputs(),
                io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
                accept_input(),
                io.Combo.Input(
                    "preview_method",
                    options=[PREVIEW, VAE],
                    default=PREVIEW,
                    optional=True,
                    tooltip=(
                        "How previews are made. preview: colours read off the latent, soft and nearly free. vae:"
                        " decoded, sharp, at the price of a decode."
                    ),
                ),
            ],
            outputs=[
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip=(
                        "The early-rejection thresholds, and what they save and lose on draws that did not set them, as"
                        " JSON."
                    ),
                )
            ],
            hidden=[io.Hidden.unique_id],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, **inputs):
        return time.time()  # each run adds draws

    @classmethod
    def execute(
        cls,
        profile_name,
        draws,
        share,
        model,
        positive,
        negative,
        latent_image,
        vae,
        reviewer,
        product,
        seed,
        steps,
        cfg,
        sampler_name,
        scheduler,
        denoise,
        threshold,
        accept="threshold",
        preview_method=PREVIEW,
    ) -> io.NodeOutput:
        from ..cyclic.preview import Preview
        from ..rfnet.files import write_text

        path = early_rejection.own_path(profile_name)
        threshold = reviewer.threshold_for(accept, threshold)
        draw = KSamplerDraw(
            latent=latent_image,
            vae=vae,
            canvas=product,
            model=model,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            denoise=denoise,
        )
        draw.check()
        profile = begun(path, model, reviewer, draw.settings(threshold))
        profile.share = share
        if preview_method == PREVIEW and not profile.accepted:
            profile.preview = fitted(draw.pictures[0], seed).factors
        pictures = replace(draw, preview=Preview(profile.preview) if profile.preview else None).pictures
        bar = comfy.utils.ProgressBar(draws, node_id=cls.hidden.unique_id)
        for number in range(draws):
            stop_if_cancelled()
            picture = pictures[number % len(pictures)]
            measure(profile, picture, reviewing(picture, reviewer, threshold), (seed + number) % 2**64)
            write_text(path, profile.to_json())  # a cancel keeps what was drawn
            bar.update_absolute(number + 1)
        report = json.dumps({"profile": profile_name, **profile.report()}, ensure_ascii=False, indent=2)
        write_text(path, profile.to_json())
        return io.NodeOutput(report, ui={**ui.PreviewText(report).as_dict(), "report": [report]})


def fitted(draw: Draw, seed: int):
    """The cyclic.preview.Preview of what this VAE makes of one finished draw."""
    from ..cyclic.preview import Preview

    latent = draw.sample(seed, lambda step, steps, picture: None)
    decoded = draw.vae.decode(latent)
    return Preview.fit(
        single(latent).cpu().float(), channels_first(decoded.reshape(-1, *decoded.shape[-3:])).cpu().float()
    )


def begun(path, model, reviewer, settings: dict):
    """The profile at this path, to be added to, or a new one. Raises ProfileError where it is one of something else."""
    from ..cyclic.early_rejection import Profile, ProfileError

    about = early_rejection.fingerprint_of(model), fingerprint(reviewer.reviewer)
    if not path.exists():
        return Profile(*about, settings)
    profile = Profile.read(path)
    if reason := profile.why_not(*about, settings):
        raise ProfileError(
            f"{path.name} can't take more draws, since {reason}: choose another profile_name, or delete the file."
        )
    return profile


def measure(profile, draw: Draw, review, seed: int) -> None:
    """One draw to its end, with preview checks on the way.

    What the checks and the final review cost, in steps, is averaged into the profile.
    """
    from ..cyclic.early_rejection import EarlyThreshold
    from ..cyclic.preview_check import PreviewCheck

    # no probability is below these thresholds, so every draw goes to its end
    check = PreviewCheck(review, [EarlyThreshold(progress, -1.0) for progress in profile.progress])
    spent = []
    began = time.monotonic()

    def watched(step, steps, picture):
        start = time.monotonic()
        check(step, steps, picture)
        if len(check.results) > len(spent):
            spent.append(time.monotonic() - start)

    latent = draw.sample(seed, watched)
    sampled = time.monotonic()
    row = review(draw.decode(latent)[0])
    step_seconds = max(1e-6, (sampled - began - sum(spent)) / draw.steps)
    count = len(profile.accepted)
    profile.check_cost = (count * profile.check_cost + sum(spent) / max(1, len(spent)) / step_seconds) / (count + 1)
    profile.review_cost = (count * profile.review_cost + (time.monotonic() - sampled) / step_seconds) / (count + 1)
    product = draw.canvas.product
    profile.add([result["available"] for result in check.results], row["accepted"], product.fingerprint)
