"""Figures of `python -m benchmarks.rfft`; <!-- trainings --> and <!-- moved --> are tables of docs/rfft.md."""

from __future__ import annotations

from .entry import Entry

RUNS = {
    "none": "no regulariser",
    "none_long": "no regulariser, six times as long",
    "kl": "KL, beta 0.05",
    "cc": "consistent condition, beta 0.05",
    "cc_strong": "consistent condition, beta 0.2",
    "cc_again": "consistent condition, beta 0.05, another seed",
}
VARIANTS = {
    "pocket": "its own checkpoint",
    "seed": "a checkpoint of another training seed",
    "poster": "a checkpoint of style poster",
    "lora_sepia": "a LoRA of style sepia",
    "lora_night": "a LoRA of style night",
    "lora_pastel": "a LoRA of style pastel",
}
KINDS = {
    "rate": ("accepted by RFNet", "accepted", "share"),
    "gain": ("accepted by RFNet, points", "gain, points", "points"),
    "second_gain": ("accepted by the second reviewer, points", "gain by the second reviewer, points", "points"),
    "diversity": ("diversity across seeds, of before", "diversity left", "of before"),
    "diversity_colour": ("colours of backgrounds across seeds, of before", "of colours", "of before"),
}
TARGETS = {
    "gain_cc": ">= 0.2",
    "second_gain_cc": ">= 0.15",
    "diversity_cc": ">= 0.9",
    "diversity_colour_cc": ">= 0.9",
    "diversity_none_long": "<= 0.5",
    "diversity_colour_none_long": "<= 0.5",
}
README = {
    "gain_cc": "Tuned ControlNet: more accepted by the reviewer, points",
}
UNTUNED = "none: the ControlNet as it was"


def of_run(run: str, kind: str) -> Entry:
    title, column, unit = KINDS[kind]
    key = f"{kind}_{run}"
    shown = {"trainings": (RUNS[run], column)} | ({"figures": README[key]} if key in README else {})
    return Entry(key, f"RFFT, {RUNS[run]}: {title}", unit, TARGETS.get(key, ""), shown)


def beside(variant: str) -> list[Entry]:
    """The tuned adapter beside one checkpoint or LoRA."""
    columns = {
        "before": ("accepted before", "share"),
        "after": ("accepted after", "share"),
        "gain": ("gain, points", "points"),
        "second_gain": ("gain by the second reviewer, points", "points"),
    }
    return [
        Entry(
            f"transfer_{variant}_{what}",
            f"RFFT's adapter beside {VARIANTS[variant]}: {column}",
            unit,
            shown={"moved": (VARIANTS[variant], column)},
        )
        for what, (column, unit) in columns.items()
    ]


def labelled() -> list[Entry]:
    """What language models said of the pictures, blind: all of them, by hundreds of products, by labeller."""
    usable = "RFFT, consistent condition: usable pictures, labelled blind by language models"
    readme = "... more usable, say language models, blind: {}"
    hundreds = {
        "1": ("first hundred products", readme.format("first hundred, points")),
        "2": (
            "second hundred, stricter labellers, added because the first missed",
            readme.format("second hundred, points"),
        ),
    }
    entries = [
        Entry("labels_gain", f"{usable}, points", "points"),
        Entry("labels_before", "... before", "share"),
        Entry("labels_after", "... after", "share"),
    ]
    for number, (text, short) in hundreds.items():
        entries += [
            Entry(f"labels_gain_{number}", f"... points: {text}", "points", "> 0, interval too", {"figures": short}),
            Entry(f"labels_before_{number}", "... of these before", "share"),
            Entry(f"labels_after_{number}", "... of these after", "share"),
        ]
    for name in "abcfgh":
        entries += [
            Entry(f"labels_gain_labeller_{name}", f"... points, labeller {name}", "points"),
            Entry(f"labels_before_labeller_{name}", f"... before, labeller {name}", "share"),
            Entry(f"labels_after_labeller_{name}", f"... after, labeller {name}", "share"),
        ]
    preferred = "of two pictures of a product, after is the one to publish, say language models, blind"
    return [
        *entries,
        Entry("labels_prefers", f"RFFT, consistent condition: {preferred}", "share", "> 0.5, interval too"),
        *(Entry(f"labels_prefers_labeller_{name}", f"... labeller {name}", "share") for name in "de"),
    ]


FIGURES = [
    Entry(
        "rate_before",
        "RFFT: accepted by RFNet before, one ControlNet as it was",
        "share",
        shown={"trainings": (UNTUNED, "accepted")},
    ),
    Entry("rate_after", "... after (consistent condition, beta 0.05)", "share"),
    Entry("second_before", "... by the second reviewer, before", "share"),
    *(of_run(run, kind) for run in RUNS for kind in KINDS),
    Entry(
        "cc_above_kl",
        "Consistent condition, beta 0.05, above KL, beta 0.05, accepted by RFNet (the two betas are of different"
        " quantities)",
        "points",
        "> 0, interval too",
    ),
    *labelled(),
    *(entry for variant in VARIANTS for entry in beside(variant)),
    Entry(
        "transfer_min_share",
        "RFFT, other checkpoints and LoRAs: least gain by RFNet, of its own",
        "of its own",
        ">= 0.5",
    ),
    Entry(
        "passes_ratio",
        "RFFT: UNet passes to +15 points, of those with one update per drawing (lr 1e-3, rank 16, batch 4, 20 steps;"
        " not the paper's own schedule)",
        "of the paper's",
        "<= 0.333",
    ),
    Entry("passes_ours", "... passes, eight updates per drawing, drawn without guidance", "passes"),
    Entry("passes_paper", "... passes, one update per drawing", "passes"),
    Entry("attempts_before", "Recurrent generation, attempts per usable picture: before", "attempts"),
    Entry("attempts_after", "... after", "attempts"),
    Entry("within_5_before", "... products with one within five, before", "share"),
    Entry("within_5_after", "... after", "share"),
    Entry(
        "memory_ratio",
        "RFFT: memory of a step with recomputed activations, of the same without (SD 1.5, 256 px)",
        target="<= 0.45",
    ),
    Entry("memory_kept_mib", "... without, MiB", "MiB"),
    Entry("memory_recomputed_mib", "... with, MiB", "MiB"),
    Entry("estimate_512_kept_gib", "... estimated at 512 px in bf16: without, GiB", "GiB"),
    Entry("estimate_512_recomputed_gib", "... with, GiB", "GiB"),
    Entry("estimate_512_ratio", "... with, of without", target="<= 0.45"),
    Entry(
        "two_process_gradient_error",
        "Two processes' gradient against one's, largest difference",
        target="<= 1e-05",
    ),
    Entry("two_process_gradient_error_fp64", "... in float64", target="<= 1e-05"),
    Entry("two_process_gradient_error_at_once", "... in float32, the one process computing both pictures at once"),
]
