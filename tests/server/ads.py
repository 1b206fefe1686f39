"""The advertising graph in API format, small and quick, and what the tests read out of its results."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from reliable_ads.cyclic.gallery import jobs
from reliable_ads.devtools.api_graph import changed, masked_latent, node, placed_product
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.rfnet.pictures import cut_outs

SIZE = 128
CHECKPOINT, CONTROLNET, REVIEWER = "tiny_sd.safetensors", "tiny_canny.safetensors", "tiny_rfnet.safetensors"
NEVER, ALWAYS = 1.0, 1e-6  # thresholds that no picture and that every picture passes
PROMPTS = "{caption} on a table\n\n  a beach  \n"
NODES = {  # that the pack serves
    "RFProduct",
    "RFProductFolder",
    "RFLoadReviewer",
    "RFReview",
    "RFCyclicSampler",
    "RFCyclicSamplerAdvanced",
    "RFRemedies",
    "RFProfile",
    "RFPocketModels",
    "RFControlNetLoader",
    "RFTrainer",
    "RFLabel",
    "RFAdaptReviewer",
    "RFOpinions",
}


def cut_out(width: int = 200, height: int = 260) -> Image.Image:
    """A product picture: an orange box with a blue lid on a transparent ground."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[40:-30, 50:-50] = (230, 120, 30, 255)
    rgba[40:80, 50:-50] = (30, 60, 200, 255)
    return Image.fromarray(rgba, "RGBA")


def png(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def ad(**changes) -> dict:
    """The advertising graph, small and quick; a change `sampler__attempts=2` sets one input of one node."""
    graph = {
        **placed_product("an orange box", SIZE, SIZE),
        "models": node("RFPocketModels", ckpt_name=CHECKPOINT, control_net_name=CONTROLNET),
        "prompt": node("CLIPTextEncode", text="a box on a table", clip=["models", 1]),
        "negative": node("CLIPTextEncode", text="", clip=["models", 1]),
        "control": node(
            "ControlNetApplyAdvanced",
            positive=["prompt", 0],
            negative=["negative", 0],
            control_net=["models", 3],
            image=["product", 3],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        ),
        **masked_latent(["models", 2]),
        "reviewer": node("RFLoadReviewer", reviewer_name=REVIEWER),
        "sampler": node(
            "RFCyclicSampler",
            model=["models", 0],
            positive=["control", 0],
            negative=["control", 1],
            latent_image=["masked", 0],
            vae=["models", 2],
            reviewer=["reviewer", 0],
            product=["product", 0],
            seed=7,
            steps=2,
            cfg=5.0,
            sampler_name="ddim",
            scheduler="ddim_uniform",
            denoise=1.0,
            attempts=3,
            on_exhausted="best",
            threshold=NEVER,
        ),
        "save": node("SaveImage", images=["sampler", 0], filename_prefix="ad"),
    }
    return changed(graph, changes)


def with_opinions(**changes) -> dict:
    """The advertising graph with RF Opinions at its sampler; `opinions__x` changes an input of it."""
    own = {name.partition("__")[2]: changes.pop(name) for name in list(changes) if name.startswith("opinions__")}
    off = {"contact": True, "own_label": True, "expansion": "off", "language": "off", "server": "off"}
    graph = ad(sampler__opinions=["opinions", 0], **changes)
    graph["opinions"] = node("RFOpinions", **{**off, **own})
    return graph


def report_of(outputs: dict) -> dict:
    return json.loads(outputs["sampler"]["report"][0])


def pixels(client: ComfyClient, shown: dict, index: int = 0) -> np.ndarray:
    """One picture that a node shows, as (H, W, 3) uint8."""
    return np.asarray(Image.open(io.BytesIO(client.view(shown["images"][index]))).convert("RGB"))


def fails(client, graph) -> str:
    with pytest.raises(RuntimeError) as failure:
        client.outputs(graph)
    return str(failure.value)


def latent(base, name: str) -> np.ndarray:
    """The newest latent saved under just this name: "flow" is not "flow_euler"."""
    with safe_open(max((base / "output").glob(f"{name}_[0-9]*.latent")), "np") as file:
        return file.get_tensor("latent_tensor")


def ours(name: str = "rf_canny", adapter: str = "none", strength: float = 1.0, **more) -> dict:
    def ending(value):
        return value if value == "none" or not isinstance(value, str) or "." in value else f"{value}.safetensors"

    values = {"control_net_name": name, "adapter": adapter, "strength": strength, **more}
    return node("RFControlNetLoader", **{key: ending(value) for key, value in values.items()})


def drawn(client, base, loaders: dict) -> dict:
    """{name: the latent that stock nodes draw with this ControlNet}."""
    graph = {key: value for key, value in ad().items() if key in ("picture", "product", "models", "prompt", "negative")}
    graph["empty"] = node("EmptyLatentImage", width=128, height=128, batch_size=1)
    for name, loader in loaders.items():
        graph[name] = loader
        output = 3 if loader["class_type"] == "RFPocketModels" else 0
        graph[f"apply_{name}"] = node(
            "ControlNetApplyAdvanced",
            positive=["prompt", 0],
            negative=["negative", 0],
            control_net=[name, output],
            image=["product", 3],
            strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
        )
        graph[f"sample_{name}"] = node(
            "KSampler",
            model=["models", 0],
            positive=[f"apply_{name}", 0],
            negative=[f"apply_{name}", 1],
            latent_image=["empty", 0],
            seed=3,
            steps=2,
            cfg=3.0,
            sampler_name="euler",
            scheduler="normal",
            denoise=1.0,
        )
        graph[f"keep_{name}"] = node("SaveLatent", samples=[f"sample_{name}", 0], filename_prefix=f"cn_{name}")
    client.outputs(graph)
    return {name: latent(base, f"cn_{name}") for name in loaders}


def jobs_of(folder: Path) -> list:
    return jobs(cut_outs(folder), [line.strip() for line in PROMPTS.splitlines() if line.strip()], seed=3)[0]
