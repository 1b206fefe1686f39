"""Bad inputs of nodes, and bad requests to the routes behind RF Label's buttons. server.py sends them."""

from __future__ import annotations

import base64
import json

from reliable_ads.cyclic.remedies import REMEDIES

from . import models, states
from .inputs import Bad, Bench, maker
from .server import good_graph, node, sampling_graph
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
            states.odd_gates,
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


@maker("nodes")
def labels_with_odd_values(bench: Bench) -> Bad:
    made = {name: value for name, value in good_graph().items() if name in ("picture", "product")}
    name, value = bench.pick(
        (
            ("dataset", bench.pick(NAMES)),
            (
                "report",
                bench.pick(
                    (
                        "[",
                        BRACKETS,
                        "7",
                        "{}",
                        '{"attempts": 7}',
                        '{"attempts": [{"label": 7}]}',
                        "null",
                        '[{"label": "available", "probabilities": []}]',
                        DIGITS,
                        '{"attempts": [{}]}',
                    )
                ),
            ),
            ("images", ["picture", 0]),
        )
    )
    made["label"] = node(
        "RFLabel",
        **{
            "images": ["product", 1],
            "product": ["product", 0],
            "dataset": "fuzz",
            "blind": True,
            "prompt": "x",
            name: value,
        },
    )
    made["shown"] = node("PreviewAny", source=["label", 1])
    return graph(made, name, "dataset", "report", "pictures")


@maker("nodes")
def adapting_without_labels(bench: Bench) -> Bad:
    name, value = bench.pick(
        (
            ("dataset", bench.pick((*NAMES, "gone", "good"))),
            ("result_name", bench.pick(NAMES)),
            ("epochs", 0),
            ("learning_rate", 5.0),
            ("seed", -1),
            ("learning_rate", float("nan")),
        )
    )
    made = {
        "reviewer": node("RFLoadReviewer", reviewer_name="reviewer.safetensors"),
        "adapt": node(
            "RFAdaptReviewer",
            **{
                "reviewer": ["reviewer", 0],
                "dataset": "good",
                "result_name": "adapted",
                "epochs": 1,
                "learning_rate": 2e-4,
                "seed": 0,
                name: value,
            },
        ),
    }
    made["shown"] = node("PreviewAny", source=["adapt", 2])
    return graph(made, name, "label", "name")


@maker("nodes")
def training_that_cannot_begin(bench: Bench) -> Bad:
    advanced = (
        "size = 7",
        "x = 1",
        "[",
        "seed = 1\nseed = 2",
        "steps = 3",
        "name = '../x'",
        "loras = 7",
        BRACKETS,
        "batch = " + DIGITS,
        "batch = -1",
        "guidance = nan",
        "size = 'x'",
        'folder = "C:\\Users"',
        "a" * 5000 + " = 1",
        "rank = 0",
    )
    name, value = bench.pick(
        (
            ("advanced", bench.pick(advanced)),
            ("folder", bench.pick((*NAMES, "gone"))),
            ("prompts", "# none"),
            ("result_name", bench.pick(NAMES)),
            ("ckpt_name", "gone.safetensors"),
            ("control_net_name", "../x"),
            ("reviewer_name", "gone"),
            ("loss", "none at all"),
            ("beta", -1),
            ("steps", -1),
            ("learning_rate", 7),
        )
    )
    values = {
        "ckpt_name": "pocket_sd.safetensors",
        "control_net_name": "pocket_canny.safetensors",
        "reviewer_name": "reviewer.safetensors",
        "folder": "shop",
        "prompts": "on a table",
        "result_name": "tuned",
        "steps": 1,
        "learning_rate": 1e-4,
        "loss": "consistent condition",
        "beta": 0.05,
        "training_seed": 0,
        "advanced": "",
        name: value,
    }
    kind = "RFTrainer"
    return graph(
        {"train": node(kind, **values), "shown": node("PreviewAny", source=["train", 4])},
        name,
        "size",
        "steps",
        "loras",
        "batch",
        "guidance",
        "rank",
        "name",
        "advanced",
        "controlnet",
        "product",
        "prompt",
        "folder",
    )


# routes behind RF Label's buttons

ROUTE = "/reliable_ads/labels/"


def request(method: str, path: str, body: bytes | None = None, *names: str, **headers) -> Bad:
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    encoded = None if body is None else base64.b64encode(body).decode()
    return Bad("request", {"method": method, "path": path, "headers": headers, "body": encoded}, names)


@maker("nodes")
def requests_with_odd_bodies(bench: Bench) -> Bad:
    key = "0123456789abcdef"
    body = bench.pick(
        (
            b"",
            b"{",
            b"[]",
            b"null",
            b"7",
            BRACKETS.encode()[:4000],
            BRACKETS.encode(),
            DIGITS.encode()[:4000],
            b'{"key": 7, "label": "available"}',
            json.dumps({"key": key, "label": "x" * 900}).encode(),
            json.dumps({"key": "../../x", "label": "available"}).encode(),
            json.dumps({"key": key, "label": "available", "blind": 7}).encode(),
            json.dumps({"key": key, "label": ["available"]}).encode(),
            b"\xff\xfe" + '{"key": 1}'.encode("utf-16-le"),
            json.dumps({"key": key, "label": "available"}).encode(),
            b'{"key": NaN, "label": "available"}',
            b"\x00" * 500,
            b'{"key": {"a": 1}, "label": "available"}',
            b'{"label": "available"}',
        )
    )
    path = ROUTE + "good/" + bench.pick(("label", "label", "undo"))
    return request(
        "POST",
        path,
        body,
        "label",
        "key",
        "json",
        "blind",
        "bytes",
        "body",
        "object",
        Content_Type="application/json",
    )


@maker("nodes")
def requests_with_odd_paths(bench: Bench) -> Bad:
    path = bench.pick(
        (
            "../x",
            "%2e%2e",
            "..%2f..%2fetc",
            "good?after=7",
            "good?at=../x",
            "good/pictures/../../x.png",
            "good/pictures/0123456789abcdef.png",
            "good/products/x.png",
            "good/other/0123456789abcdef.png",
            "%00",
            "x" * 3000,
            "a%0ab",
            "good%5c..",
            "%ff",
            "gone/pictures/%2e%2e%2fx.png",
            "CON",
            "%F0%9F%98%80",
        )
    )
    return request("GET", ROUTE + path, None, "dataset", "after", "picture", "name", "http 4", "letters")


@maker("nodes")
def requests_from_elsewhere(bench: Bench) -> Bad:
    headers = bench.pick(
        (
            {"Origin": "http://evil.example"},
            {"Origin": "https://{address}"},
            {"Origin": "http://{address}:99999"},
            {"Origin": "http://127.0.0.1:abc"},
            {"Origin": "null"},
            {"Host": "evil.example"},
            {"Host": "evil.example", "Origin": "http://evil.example"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://[::1"},
            {"Origin": "file://"},
            {"Host": "evil.example", "Sec-Fetch-Site": "same-origin"},
            {"Origin": "\u00ff"},
            {"Host": "127.0.0.1:abc"},
            {"Host": ""},
            {"Origin": "http://127.0.0.1@evil.example"},
        )
    )
    post = bench.random.random() < 0.5
    bad = request(
        "POST" if post else "GET",
        ROUTE + ("good/label" if post else "good"),
        b'{"key": "0123456789abcdef", "label": "available"}' if post else None,
        "site",
        "http 4",
        "host",
        "origin",
        "address",
        **({"Content_Type": "application/json"} if post else {}),
    )
    bad.arguments["headers"].update(headers)
    return bad


@maker("nodes")
def requests_with_other_methods(bench: Bench) -> Bad:
    method = bench.pick(("PUT", "DELETE", "PATCH", "OPTIONS", "POST", "GET"))
    path = {"POST": ROUTE + "good", "GET": ROUTE + "good/label"}.get(
        method,
        ROUTE + bench.pick(("good", "good/label", "good/undo")),
    )
    content = bench.pick(("text/plain", "multipart/form-data", "application/xml", ""))
    return request(method, path, b"{}", "read with get", "http 4", "json", "site", Content_Type=content)
