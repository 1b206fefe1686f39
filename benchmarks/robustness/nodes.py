"""Bad inputs of the nodes that draw and review; server.py sends them."""

from __future__ import annotations

from reliable_ads.cyclic.remedies import REMEDIES
from reliable_ads.devtools.api_graph import node

from . import models, states
from .inputs import Bad, Bench, maker
from .server import good_graph, sampling_graph
from .weights import BRACKETS, DIGITS

NAMES = (
    "../x",
    "/etc/passwd",
    "..",
    "a/b",
    "a\\b",
    "",
    " ",
    "a\0b",
    "x" * 400,
    "\ud83d",
    "CON",
    "a\nb",
    "~",
    ".hidden",
    "C:\\x",
    "%2e%2e",
    "\u202egnp",
)
NUMBERS = (
    -1,
    0,
    7,
    63,
    10**6,
    10**19,
    1e300,
    float("nan"),
    float("inf"),
    "x",
    "",
    "9" * 5000,
    None,
    [],
    {},
    [[]],
    True,
)


def graph(made: dict, *names: str, files: tuple = (), like: dict | None = None) -> Bad:
    return Bad("graph", {"graph": made, "files": list(files)}, names, {"graph": like} if like else None)


@maker("nodes")
def product_with_odd_numbers(bench: Bench) -> Bad:
    name = bench.pick(("width", "height", "image_scale", "alpha_threshold", "mask_dilation"))
    return graph(good_graph(**{f"product__{name}": bench.pick(NUMBERS)}), name, like=good_graph())


@maker("nodes")
def product_with_odd_words(bench: Bench) -> Bad:
    name, value = bench.pick(
        (
            ("mask_marks", "foreground"),
            ("position", ""),
            ("mask_marks", 7),
            ("position", ["centre"]),
            ("caption", {"a": 1}),
            ("image", ["gone", 0]),
            ("image", ["picture", 9]),
            ("mask", ["reviewer", 0]),
            ("image", "product.png"),
            ("position", "x" * 9000),
            ("mask", ["small", 1]),
        )
    )
    made = good_graph(**{f"product__{name}": value})
    made["small"] = node("LoadImage", image="drawn.png")
    return graph(made, name, "node", "required")


@maker("nodes")
def names_of_reviewers_that_are_none(bench: Bench) -> Bad:
    value = bench.pick((*NAMES, "gone.safetensors", "../pocket/pocket_sd.safetensors", 7, None))
    return graph(good_graph(reviewer__reviewer_name=value), "reviewer_name", "models/rfnet")


@maker("nodes")
def names_of_maps_that_are_none(bench: Bench) -> Bad:
    name = bench.pick(("depth_model", "saliency_model"))
    return graph(
        good_graph(**{f"reviewer__{name}": bench.pick((*NAMES, "dpt/gone", "../../secret"))}),
        name,
        "models folder",
        "no model",
    )


def weights_of(bench: Bench, kind: str) -> tuple:
    """(the input that a maker of weights made, its path below the input's folder)."""
    makers = {
        "reviewer": (
            models.config_with_odd_numbers,
            models.config_with_odd_names,
            models.odd_thresholds_and_temperatures,
            models.odd_risks_maps_labels_and_scores,
        ),
        "pocket": (models.family_of_odd_sizes, models.family_of_another_shape),
        "adapter": (models.odd_facts_about_the_base,),
    }[kind]
    bad = bench.pick(makers)(bench)
    return bad, bad.names[0]


@maker("nodes")
def a_bad_reviewer_in_a_graph(bench: Bench) -> Bad:
    _bad, name = weights_of(bench, "reviewer")
    return graph(good_graph(reviewer__reviewer_name=name), name, files=(("reviewer", name),), like=good_graph())


@maker("nodes")
def a_bad_pocket_file_in_a_graph(bench: Bench) -> Bad:
    bad, name = weights_of(bench, "pocket")
    slot = "control_net_name" if name in bad.arguments["controlnet"] else "ckpt_name"

    def drawn(**files):
        return {
            "models": node(
                "RFPocketModels",
                **{"ckpt_name": "pocket_sd.safetensors", "control_net_name": "pocket_canny.safetensors", **files},
            ),
            "prompt": node("CLIPTextEncode", text="a box", clip=["models", 1]),
            "shown": node("PreviewAny", source=["prompt", 0]),
        }

    return graph(drawn(**{slot: name}), name, files=(("pocket", name),), like=drawn())


@maker("nodes")
def a_bad_adapter_in_a_graph(bench: Bench) -> Bad:
    _bad, name = weights_of(bench, "adapter")

    def loaded(adapter):
        return {
            "net": node(
                "RFControlNetLoader", control_net_name="pocket_canny.safetensors", adapter=adapter, strength=1.0
            ),
            "shown": node("PreviewAny", source=["net", 0]),
        }

    return graph(loaded(name), name, "adapter", files=(("adapter", name),), like=loaded("adapter.safetensors"))


@maker("nodes")
def adapters_with_odd_strengths(bench: Bench) -> Bad:
    name, value = bench.pick(
        (
            ("strength", 7),
            ("strength", float("nan")),
            ("strength", "x"),
            ("adapter", "gone.safetensors"),
            ("adapter", "../x"),
            ("control_net_name", "gone.safetensors"),
            ("control_net_name", "adapter.safetensors"),
            ("strength", -1),
        )
    )
    made = {
        "net": node(
            "RFControlNetLoader",
            **{
                "control_net_name": "pocket_canny.safetensors",
                "adapter": "adapter.safetensors",
                "strength": 1.0,
                name: value,
            },
        ),
        "shown": node("PreviewAny", source=["net", 0]),
    }
    return graph(made, name, str(value))


@maker("nodes")
def sampler_with_odd_values(bench: Bench) -> Bad:
    name, values = bench.pick(
        (
            ("attempts", (0, -1, 10**6, "x", None)),
            ("steps", (0, -3, 10**9, "x")),
            ("cfg", (float("nan"), -1, 1000, "x")),
            ("denoise", (2, -1, float("nan"))),
            ("threshold", (2, -1, float("nan"), "x")),
            ("sampler_name", ("gone", "", 7)),
            ("scheduler", ("gone", None)),
            ("on_exhausted", ("explode", 7)),
            ("accept", ("5 % risk", "none")),
            ("seed", (-1, 2**65, "x")),
            ("early_rejection", ("gone", "../x")),
            ("latent_image", (["encode", 3], ["picture", 0])),
            ("product", (["picture", 0], None)),
            ("vae", (["models", 0],)),
        )
    )
    return graph(sampling_graph(**{f"sampler__{name}": bench.pick(values)}), name, "early", "risk")


@maker("nodes")
def a_bad_profile_in_a_graph(bench: Bench) -> Bad:
    bad = bench.pick(
        (
            states.a_field_of_another_type,
            states.odd_thresholds,
            states.no_json,
            states.odd_settings,
            states.fields_missing_or_unknown,
        )
    )(bench)
    name = bad.names[0]
    return graph(
        sampling_graph(sampler__early_rejection=name.removesuffix(".gates.json")),
        name,
        name.removesuffix(".gates.json"),
        "early",
        files=(("profile", name),),
    )


@maker("nodes")
def remedies_that_are_none(bench: Bench) -> Bad:
    made = sampling_graph(sampler__remedies=["remedies", 0])
    text = bench.pick(
        (
            "[",
            "{}",
            "7",
            "null",
            BRACKETS,
            DIGITS,
            '["tuned"]',
            '[{"remedy": "x"}]',
            '[{"remedy": "guidance", "value": NaN}]',
            '[{"remedy": "guidance", "value": 1e300}]',
            '[{"remedy": "dilation", "value": "x"}]',
            "words",
            "[[]]",
            '[{"remedy": []}]',
        )
    )
    made["remedies"] = node(
        "RFRemedies", contrast_words="x", surface_words="y", begin_at=text, **{remedy.name: True for remedy in REMEDIES}
    )
    return graph(made, "begin_at", "remed")


@maker("nodes")
def folders_that_are_none(bench: Bench) -> Bad:
    name, value = bench.pick(
        (
            ("folder", bench.pick((*NAMES, "gone", "product.png"))),
            ("gallery", bench.pick(NAMES)),
            ("prompts", ""),
            ("prompts", "\n \n"),
            ("seed", -1),
            ("at_most", -1),
            ("folder", "/proc"),
            ("folder", "/dev"),
        )
    )
    made = {
        "list": node(
            "RFProductFolder", **{"folder": "shop", "prompts": "on a table", "gallery": "fuzz", "seed": 1, name: value}
        ),
        "shown": node("PreviewAny", source=["list", 6]),
    }
    return graph(made, name, "product", "prompt", "cut-outs")
