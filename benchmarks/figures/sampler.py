"""Figures of `python -m benchmarks.sampler`: those of docs/sampler.md's table first."""

from __future__ import annotations

from .entry import Entry

WAYS = {
    "plain": "Plain loop",
    "early": "Early rejection",
    "early_words": "Early rejection and remedies without the tuned ControlNet",
    "early_remedies": "Early rejection and remedies",
    "remedies": "Remedies without early rejection",
    "early_equal": "Early rejection, as many steps as the plain loop may pay",
}
JUDGES = {"": "the second reviewer calls", "labels_": "most of three language models, labelling blind, call"}
HARDER = {"half": "harder half", "hard": "hardest quarter"}


def in_table(key: str, title: str, unit: str = "", target: str = "", readme: str = "") -> Entry:
    """A figure of docs/sampler.md's table; readme: its title in README's."""
    return Entry(key, title, unit, target, {"saved": ""} | ({"figures": readme} if readme else {}))


def served(way: str) -> Entry:
    return in_table(f"served_{way}", f"{WAYS[way]}: products with an accepted picture", "share")


def on_hard_products(way: str, kind: str, text: str, targets: tuple[str, str]) -> list[Entry]:
    """kind: steps or wall; targets: on the harder half of the products and on the hardest quarter."""
    return [
        in_table(f"{kind}_ratio_{way}_{part}", f"... {text}{HARDER[part]}", "of plain", target)
        for part, target in zip(HARDER, targets, strict=True)
    ]


def ratios(way: str, title: str = "", readme: str = "") -> list[Entry]:
    """Steps and seconds against the plain loop."""
    return [
        in_table(f"steps_ratio_{way}", title or "... steps, against the plain loop", "of plain", readme=readme),
        *on_hard_products(way, "steps", "steps, ", ("<= 0.75", "<= 0.6")),
        in_table(f"wall_ratio_{way}", "... seconds", "of plain"),
        *on_hard_products(way, "wall", "seconds, ", ("<= 0.8", "<= 0.65")),
    ]


def bad(prefix: str, who: str, way: str) -> list[Entry]:
    share = in_table(f"{prefix}bad_{way}", f"{WAYS[way]}: accepted pictures that {who} bad", "share")
    more = in_table(f"{prefix}bad_{way}_more", "... more than of the plain loop", "share", "<= 0")
    return [share] if way == "plain" else [share, more]


IN_TABLE = [
    in_table("plain_rate", "Plain loop: attempts that are accepted", "share"),
    in_table("plain_rate_half", "... for the harder half of the products", "share"),
    in_table("plain_rate_hard", "... for the hardest quarter", "share"),
    served("plain"),
    *ratios("early", "Early rejection: steps per usable picture, against the plain loop"),
    served("early"),
    in_table("steps_ratio_early_equal", "... with as many steps as the plain loop may pay", "of plain"),
    in_table("steps_ratio_early_equal_hard", "... the same, hardest quarter", "of plain"),
    served("early_equal"),
    in_table(
        "attempts_ratio_early_words",
        "Early rejection and remedies without the tuned ControlNet: attempts per usable picture, against early"
        " rejection alone",
        "of early",
    ),
    in_table("steps_ratio_early_words", "... steps, against the plain loop", "of plain"),
    in_table("steps_ratio_early_words_hard", "... steps, hardest quarter", "of plain"),
    served("early_words"),
    in_table(
        "attempts_ratio_early_remedies",
        "Early rejection and remedies: attempts per usable picture, against early rejection alone",
        "of early",
        "<= 0.85",
    ),
    *ratios(
        "early_remedies",
        readme="Sampling steps with early rejection and remedies, against just drawing again",
    ),
    served("early_remedies"),
    in_table(
        "attempts_ratio_remedies",
        "Remedies without early rejection: attempts per usable picture, against the plain loop",
        "of plain",
        "<= 0.85",
    ),
    in_table("steps_ratio_remedies", "... steps", "of plain"),
    in_table("steps_ratio_remedies_hard", "... steps, hardest quarter", "of plain"),
    served("remedies"),
    *(
        entry
        for prefix, who in JUDGES.items()
        for way in WAYS
        if way != "early_equal"
        for entry in bad(prefix, who, way)
    ),
]
FIGURES = [
    *IN_TABLE,
    Entry(
        "attempts_ratio_early_remedies_plain",
        "Early rejection and remedies: attempts, against the plain loop, few of which were stopped early",
        "of plain",
    ),
    Entry(
        "after_rejection_seed",
        "Validation products, a draw after a rejected one: accepted with the next seed alone",
        "share",
    ),
    Entry("after_rejection_words", "... with words to avoid and more guidance", "share"),
    Entry("after_rejection_tuned", "... with the tuned ControlNet", "share"),
    Entry("after_rejection_all", "... with all three", "share"),
    *(
        Entry(f"{kind}_per_usable_{way}", f"{title}: {kind} per usable picture", "s" if kind == "seconds" else kind)
        for kind in ("steps", "seconds", "attempts")
        for way, title in WAYS.items()
    ),
    Entry(
        "overhead",
        "RF Cyclic Sampler, against stock KSampler and VAE Decode: more time",
        "share",
        "<= 0.03",
        {"figures": "Time that the sampler adds to KSampler"},
    ),
    Entry("extra_mib", "... more resident memory, reviewer included, MiB", "MiB"),
    Entry("preview_overhead", "Previews: more time", "share", "<= 0.05"),
    Entry("memory_growth", "Server memory, the last attempt against attempt 10", "share", "<= 0.02"),
]
