"""The advertising graph in other forms: for any sampler, with remedies, over a folder of products, to be profiled."""

from pathlib import Path

from reliable_ads.devtools.api_graph import node

from .ads import ALWAYS, ad

STEPS = 10  # of a profile


def advanced(**changes) -> dict:
    """The advertising graph with RF Cyclic Sampler (Advanced) and the stock nodes that it takes."""
    graph = ad()
    ours = graph["sampler"]["inputs"]
    graph |= {
        "noise": node("RandomNoise", noise_seed=ours["seed"]),
        "guider": node(
            "CFGGuider", model=ours["model"], positive=ours["positive"], negative=ours["negative"], cfg=ours["cfg"]
        ),
        "which": node("KSamplerSelect", sampler_name="dpmpp_2m"),
        "sigmas": node("BasicScheduler", model=ours["model"], scheduler="karras", steps=ours["steps"], denoise=1.0),
    }
    loop = {
        key: ours[key]
        for key in ("latent_image", "vae", "reviewer", "product", "attempts", "on_exhausted", "threshold")
    }
    graph["sampler"] = node(
        "RFCyclicSamplerAdvanced",
        noise=["noise", 0],
        guider=["guider", 0],
        sampler=["which", 0],
        sigmas=["sigmas", 0],
        **{**loop, **changes},
    )
    return graph


def with_remedies(**switches) -> dict:
    """The advertising graph with remedies: only those of this name, or all; begin_at as the node has it."""
    graph = ad(sampler__remedies=["remedies", 0])
    names = ["contrast", "guidance", "control", "dilation", "surface", "position", "scale", "avoid", "tuned"]
    on = {name: name in switches.get("only", names) for name in names}
    graph["remedies"] = node(
        "RFRemedies",
        clip=["models", 1],
        contrast_words="plain background",
        surface_words="on a table",
        avoid_words="floating",
        begin_at=switches.get("begin_at", ""),
        tuned_control_net=["models", 3],
        **on,
    )
    return graph


def listed_ads(where: Path, /, **changes) -> dict:
    """The advertising graph over a folder: three products, two prompts, two attempts of which none is accepted."""
    graph = ad(
        product__image=["folder", 0],
        product__mask=["folder", 1],
        product__caption=["folder", 2],
        prompt__text=["folder", 3],
        sampler__seed=["folder", 4],
        sampler__job=["folder", 5],
        **{"sampler__attempts": 2, **changes},
    )
    del graph["picture"]
    graph["folder"] = node(
        "RFProductFolder", folder=where.name, prompts="{caption} on a table\na beach", gallery=where.name, seed=3
    )
    return graph


def profiling(name: str, **changes) -> dict:
    """The advertising graph measured for early rejection."""
    graph = ad(sampler__steps=STEPS)
    shared = {
        key: value for key, value in graph.pop("sampler")["inputs"].items() if key not in ("attempts", "on_exhausted")
    }
    graph.pop("save")
    graph["profile"] = node(
        "RFProfile", **{**shared, "profile_name": name, "draws": 2, "share": 0.03, "threshold": ALWAYS, **changes}
    )
    return graph
