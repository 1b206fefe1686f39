"""RFCyclicSampler and RFCyclicSamplerAdvanced: draw, review, draw again until a picture is fit to publish (recurrent
generation, arXiv:2408.00418).
"""

from comfy_api.latest import io

from .checked import checked
from .loop import CHECKS, SELDOM, draw_until_accepted, loop_inputs, loop_outputs
from .sampling import GuidedDraw, KSamplerDraw, SamplingError
from .sampling_inputs import picture_inputs, sampling_inputs
from .screen import Screen
from .types import CATEGORY

ALIASES = (
    "product ad",
    "quality check",
    "background",
    "inpaint product",
    "ksampler retry",
    "best of n",
    "draw until good",
)


@checked(checks=CHECKS, advanced=("denoise", *SELDOM), aliases=ALIASES)
class RFCyclicSampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFCyclicSampler",
            display_name="RF Cyclic Sampler",
            category=CATEGORY,
            description=(
                "KSampler that has each picture reviewed and draws again, with the next seed, until one is accepted."
            ),
            inputs=[*sampling_inputs(), *loop_inputs()],
            outputs=loop_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,  # it shows what it drew; ComfyUI shows a cached result again only in such nodes
        )

    @classmethod
    def execute(
        cls,
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
        attempts,
        **loop,
    ) -> io.NodeOutput:
        screen = Screen(cls.hidden.unique_id, attempts, loop.get("job"), len(latent_image["samples"]))
        draw = KSamplerDraw(
            latent_image,
            vae,
            product,
            screen.step,
            model=model,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            positive=positive,
            negative=negative,
            denoise=denoise,
        )
        return draw_until_accepted(draw, screen, reviewer, seed, attempts, **loop)


@checked(checks=CHECKS, advanced=SELDOM, aliases=ALIASES)
class RFCyclicSamplerAdvanced(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="RFCyclicSamplerAdvanced",
            display_name="RF Cyclic Sampler (Advanced)",
            category=CATEGORY,
            description=(
                "SamplerCustomAdvanced that has each picture reviewed and draws again, with noise of the next seed,"
                " until one is accepted. For any model and guider."
            ),
            inputs=[
                io.Noise.Input(
                    "noise",
                    tooltip=(
                        "From RandomNoise. Its seed is the first attempt's; the next ones take seed + 1, seed + 2, ..."
                    ),
                ),
                io.Guider.Input(
                    "guider", tooltip="From CFGGuider, BasicGuider or another; holds the model and its conditioning."
                ),
                io.Sampler.Input("sampler", tooltip="From KSamplerSelect or a sampler of its own."),
                io.Sigmas.Input(
                    "sigmas", tooltip="From BasicScheduler or another scheduler: how the noise falls over the steps."
                ),
                *picture_inputs(),
                *loop_inputs(),
            ],
            outputs=loop_outputs(),
            hidden=[io.Hidden.unique_id],
            is_output_node=True,  # it shows what it drew; ComfyUI shows a cached result again only in such nodes
        )

    @classmethod
    def execute(
        cls, noise, guider, sampler, sigmas, latent_image, vae, reviewer, product, attempts, **loop
    ) -> io.NodeOutput:
        if len(sigmas) < 2:
            raise SamplingError("the sigmas hold no step: give a scheduler with at least one step")
        screen = Screen(cls.hidden.unique_id, attempts, loop.get("job"), len(latent_image["samples"]))
        draw = GuidedDraw(
            latent_image, vae, product, screen.step, random=noise, guider=guider, sampler=sampler, sigmas=sigmas
        )
        return draw_until_accepted(draw, screen, reviewer, noise.seed, attempts, **loop)
