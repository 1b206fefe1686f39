"""RFProfile: measures, for one graph, where draws that fail can be given up early, and keeps it for RF Cyclic
Sampler.
"""

import json
import time
from dataclasses import replace

import comfy.utils
from comfy_api.latest import io, ui

from . import early_rejection as gates
from .checked import checked
from .sampling import Draw, KSamplerDraw, reviewing, sampling_inputs, single
from .types import CATEGORY, THRESHOLD_TOOLTIP, accept_input, channels_first, stop_if_cancelled

PREVIEW, VAE = "preview", "vae"  # what unfinished pictures are looked at through


@checked(
    checks={"profile_name": gates.own_path},
    advanced=("share", "denoise", "threshold", "accept", "look_through"),
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
                "Draws pictures to their end, looks at what they are becoming on the way, and writes down below which"
                " probability RF Cyclic Sampler may give a draw up."
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
                        "How many of the pictures that would have been accepted may be lost at most. 0.03 is 3 in 100."
                    ),
                ),
                *sampling_inputs(),
                io.Float.Input("threshold", default=0.0, min=0.0, max=1.0, step=0.01, tooltip=THRESHOLD_TOOLTIP),
                accept_input(),
                io.Combo.Input(
                    "look_through",
                    options=[PREVIEW, VAE],
                    default=PREVIEW,
                    optional=True,
                    tooltip=(
                        "What unfinished pictures are looked at through. preview: colours read off the latent, soft and"
                        " nearly free; vae: decoded, sharp, at the price of a decode."
                    ),
                ),
            ],
            outputs=[
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="The gates, what they save and lose on draws that did not set them, as JSON.",
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
        look_through=PREVIEW,
    ) -> io.NodeOutput:
        from ..cyclic.preview import Preview
        from ..rfnet.files import write_text

        path = gates.own_path(profile_name)
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
        if look_through == PREVIEW and not profile.accepted:
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
    """The profile at this path, to be added to, or a new one. Raises GateError where it is one of something else."""
    from ..cyclic.early_rejection import GateError, Profile

    about = gates.fingerprint_of(model), gates.fingerprint(reviewer.reviewer)
    if not path.exists():
        return Profile(*about, settings)
    profile = gates.read(path)
    if reason := profile.why_not(*about, settings):
        raise GateError(
            f"{path.name} can't take more draws, since {reason}: choose another profile_name, or delete the file."
        )
    return profile


def measure(profile, draw: Draw, review, seed: int) -> None:
    """One draw to its end, looked at on the way; what looks and the final review cost, in steps, is averaged into the
    profile.
    """
    from ..cyclic.early_rejection import Gate
    from ..cyclic.loop import Look

    spent, look = [], Look(review, tuple(Gate(progress, -1.0) for progress in profile.progress))
    began = time.monotonic()

    def watched(step, steps, picture):
        start = time.monotonic()
        look(step, steps, picture)
        if len(look.seen) > len(spent):
            spent.append(time.monotonic() - start)

    latent = draw.sample(seed, watched)
    sampled = time.monotonic()
    row = review(draw.decode(latent)[0])
    step_seconds = max(1e-6, (sampled - began - sum(spent)) / draw.steps)
    count = len(profile.accepted)
    profile.look = (count * profile.look + sum(spent) / max(1, len(spent)) / step_seconds) / (count + 1)
    profile.review = (count * profile.review + (time.monotonic() - sampled) / step_seconds) / (count + 1)
    product = draw.canvas.product
    profile.add([seen["available"] for seen in look.seen], row["accepted"], product.fingerprint)
