"""The advertising graph on small random models of flow matching, with the stock samplers beside ours."""

import json

from reliable_ads.devtools.api_graph import changed, masked_latent, node, placed_product

from .ads import ALWAYS, REVIEWER
from .graphs import with_remedies

SIZE = 64

FAMILIES = ["sd35", "flux", "flux_fill", "flux2", "qwen_image", "z_image", "hidream"]
GUIDED = {"sd35", "qwen_image"}  # draws with a negative prompt; the others are distilled, and cfg is 1
STOCK = ("model", "positive", "negative", "latent_image", "seed", "steps", "cfg", "sampler_name", "scheduler")


def flow_ad(family: str, **changes) -> dict:
    """RF Cyclic Sampler on a family; a change `sampler__attempts=2` sets one input of one node."""
    graph = {
        **placed_product("an orange box", SIZE, SIZE),
        "models": node("TestFlowModels", family=family),
        **masked_latent(["models", 1]),
        "reviewer": node("RFLoadReviewer", reviewer_name=REVIEWER),
        "sampler": node(
            "RFCyclicSampler",
            model=["models", 0],
            positive=["models", 2],
            negative=["models", 3],
            latent_image=["masked", 0],
            vae=["models", 1],
            reviewer=["reviewer", 0],
            product=["product", 0],
            seed=7,
            steps=2,
            cfg=3.0 if family in GUIDED else 1.0,
            sampler_name="euler",
            scheduler="simple",
            denoise=1.0,
            attempts=1,
            on_exhausted="best",
            threshold=ALWAYS,
        ),
    }
    if family == "flux_fill":
        graph["fill"] = node(
            "InpaintModelConditioning",
            positive=["models", 2],
            negative=["models", 3],
            vae=["models", 1],
            pixels=["product", 1],
            mask=["product", 2],
            noise_mask=True,
        )
        graph["sampler"]["inputs"] |= {"positive": ["fill", 0], "negative": ["fill", 1], "latent_image": ["fill", 2]}
    return changed(graph, changes)


def with_reference(graph: dict) -> dict:
    """The product as a reference picture, as Flux.1 Kontext and Qwen-Image-Edit take it."""
    graph["reference"] = node("ReferenceLatent", conditioning=["models", 2], latent=["encode", 0])
    graph["sampler"]["inputs"]["positive"] = ["reference", 0]
    return graph


def with_advanced(graph: dict) -> dict:
    """RF Cyclic Sampler (Advanced) beside the graph's sampler, drawing the same."""
    ours = graph["sampler"]["inputs"]
    prompts = {"positive": ours["positive"], "negative": ours["negative"], "cfg": ours["cfg"]}
    guider = node("CFGGuider", model=ours["model"], **prompts)
    if ours["cfg"] == 1:
        guider = node("BasicGuider", model=ours["model"], conditioning=ours["positive"])
    graph |= {
        "noise": node("RandomNoise", noise_seed=ours["seed"]),
        "guider": guider,
        "which": node("KSamplerSelect", sampler_name=ours["sampler_name"]),
        "sigmas": node("BasicScheduler", model=ours["model"], scheduler=ours["scheduler"], steps=ours["steps"]),
    }
    graph["sigmas"]["inputs"]["denoise"] = 1.0
    drawing = {"noise": ["noise", 0], "guider": ["guider", 0], "sampler": ["which", 0], "sigmas": ["sigmas", 0]}
    drawing["latent_image"] = ours["latent_image"]
    loop = {name: value for name, value in ours.items() if name not in (*STOCK, "denoise")}
    graph["advanced"] = node("RFCyclicSamplerAdvanced", **drawing, **loop)
    graph["custom"] = node("SamplerCustomAdvanced", **drawing)
    return graph


def with_stock(graph: dict, **changes) -> dict:
    """Stock KSampler beside the graph's sampler, drawing the same but for these changes."""
    ours = graph["sampler"]["inputs"]
    values = {name: ours[name] for name in STOCK}
    graph["stock"] = node("KSampler", **{**values, "denoise": ours["denoise"], **changes})
    return graph


def kept(graph: dict, **outputs) -> dict:
    """Saves latents: stock=0 saves output 0 of the node stock."""
    for name, output in outputs.items():
        graph[f"keep_{name}"] = node("SaveLatent", samples=[name, output], filename_prefix=f"flow_{name}")
    return graph


def controlled(graph: dict, family: str, **changes) -> dict:
    """The graph with a ControlNet that has RF Product's hint, or, of an inpainting one, its picture and mask.

    A change of an input of the node that applies it: strength=1.15.
    """
    graph["control_net"] = node("TestFlowControlNet", family=family, seed=1)
    graph["control"] = applied(family, **changes)
    graph["sampler"]["inputs"] |= {"positive": ["control", 0], "negative": ["control", 1]}
    return graph


def applied(family: str, **changes) -> dict:
    """The stock node that applies a ControlNet of this kind."""
    values = {"positive": ["models", 2], "negative": ["models", 3], "vae": ["models", 1], "strength": 1.0}
    values |= {"start_percent": 0.0, "end_percent": 1.0, "control_net": ["control_net", 0]}
    if family.endswith("_inpaint"):
        picture = {"image": ["product", 1], "mask": ["product", 2]}
        return node("ControlNetInpaintingAliMamaApply", **{**values, **picture, **changes})
    return node("ControlNetApplyAdvanced", **{**values, "image": ["product", 3], **changes})


PATCHERS = {"qwen_image": "QwenImageDiffsynthControlnet", "z_image": "ZImageFunControlnet"}


def patched(graph: dict, family: str, **changes) -> dict:
    """The graph with a ControlNet that patches the model and has RF Product's hint."""
    graph["model_patch"] = node("TestFlowModelPatch", family=family, seed=1)
    graph["patched"] = patcher(family, **changes)
    graph["sampler"]["inputs"]["model"] = ["patched", 0]
    return graph


def patcher(family: str, **changes) -> dict:
    """The stock node that puts such a ControlNet into the model."""
    values = {"model": ["models", 0], "model_patch": ["model_patch", 0], "vae": ["models", 1]}
    values |= {"image": ["product", 3], "strength": 1.0}
    return node(PATCHERS[family], **{**values, **changes})


def begun_at(graph: dict, remedy: str, before: float, after: float, **links) -> dict:
    """The graph with a remedy that stands there already; links: further inputs of RF Remedies."""
    at = json.dumps([{"remedy": remedy, "before": before, "after": after}])
    graph["remedies"] = with_remedies(only=[remedy], begin_at=at)["remedies"]
    for link in ("clip", "tuned_control_net"):
        del graph["remedies"]["inputs"][link]
    graph["remedies"]["inputs"] |= links
    graph["sampler"]["inputs"]["remedies"] = ["remedies", 0]
    return graph
