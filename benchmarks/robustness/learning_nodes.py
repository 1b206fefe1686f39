"""Bad inputs of the nodes that label, adapt and train; server.py sends them."""

from __future__ import annotations

from reliable_ads.devtools.api_graph import node

from .inputs import Bad, Bench, maker
from .nodes import NAMES, graph
from .server import good_graph
from .weights import BRACKETS, DIGITS

ADVANCED = (
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
    name, value = bench.pick(
        (
            ("advanced", bench.pick(ADVANCED)),
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
    return graph(
        {"train": node("RFTrainer", **values), "shown": node("PreviewAny", source=["train", 4])},
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
