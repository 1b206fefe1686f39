"""Figures of `python -m benchmarks.rfft`."""

from .definition import Definition

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
HUNDREDS = {
    "1": "first hundred products",
    "2": "second hundred, stricter labellers, added because the first missed",
}
LABELLERS = {f"labeller_{name}": f"labeller {name}" for name in "abcfgh"}
GAIN_2 = "gain by the second reviewer"
BY_LABELS = "RFFT, pictures that language models label available, blind"
PREFERRED = "RFFT, of two pictures of a product the tuned one is to publish, say language models, blind"
TARGETS = {
    "gain_cc": ">= 0.2",
    "judge_gain_cc": ">= 0.15",
    "diversity_cc": ">= 0.9",
    "diversity_none_long": "<= 0.5",
    "diversity_colour_cc": ">= 0.9",
    "diversity_colour_none_long": "<= 0.5",
}


def trainings() -> list[Definition]:
    """What each training of the family of 128-pixel pictures did to the same products, and what came before them."""
    definitions = [Definition("judge_before", "RFFT, before: accepted by the second reviewer", "share")]
    for run, words in RUNS.items():
        for what, title, unit in (
            ("rate", "accepted by RFNet", "share"),
            ("gain", "accepted by RFNet, more than before", "points"),
            ("judge_gain", "accepted by the second reviewer, more than before", "points"),
            ("diversity", "diversity across seeds, of before", "of before"),
            ("diversity_colour", "colours of backgrounds across seeds, of before", "of before"),
        ):
            key = f"{what}_{run}"
            definitions.append(Definition(key, f"RFFT, {words}: {title}", unit, TARGETS.get(key, "")))
    return [
        *definitions,
        Definition(
            "cc_above_kl",
            "RFFT, the consistent condition's front above KL's, where it is least: accepted by RFNet",
            "points",
            "> 0, interval too",
        ),
    ]


def by_labels() -> list[Definition]:
    definitions = [
        Definition("labels_before", f"{BY_LABELS}: before", "share"),
        Definition("labels_after", f"{BY_LABELS}: after", "share"),
        Definition(
            "labels_gain",
            f"{BY_LABELS}: gain",
            "points",
            "> 0",
            {"figures": "... more available, say language models, blind ({labels_before} before)"},
        ),
    ]
    for part, words in {**HUNDREDS, **LABELLERS}.items():
        definitions += [
            Definition(
                f"labels_gain_{part}",
                f"{BY_LABELS}: gain, {words}",
                "points",
                "> 0, interval too" if part in HUNDREDS else "",
            ),
            Definition(f"labels_before_{part}", f"{BY_LABELS}: before, {words}", "share"),
            Definition(f"labels_after_{part}", f"{BY_LABELS}: after, {words}", "share"),
        ]
    return [
        *definitions,
        Definition("labels_prefers", PREFERRED, "share", "> 0.5, interval too"),
        *(Definition(f"labels_prefers_labeller_{name}", f"{PREFERRED}: labeller {name}", "share") for name in "de"),
    ]


def transfer() -> list[Definition]:
    """One adapter beside other checkpoints and LoRAs; a row of docs/rfft.md each, but for what the family of 128-pixel
    pictures alone was measured with.
    """
    definitions = []
    for name, words in VARIANTS.items():
        goal = "" if name == "pocket" else ">= 0.5 of transfer_pocket_gain"
        for what, title, unit, target in (
            ("before", "accepted before", "share", ""),
            ("after", "accepted after", "share", ""),
            ("gain", "gain", "points", goal),
            ("second_gain", GAIN_2, "points", ""),
            ("judge_gain", GAIN_2, "points", ""),
        ):
            definitions.append(
                Definition(
                    f"transfer_{name}_{what}",
                    f"RFFT's adapter beside {words}: {title}",
                    unit,
                    target,
                    {} if name == "seed" or what == "judge_gain" else {"moved": (words, title)},
                )
            )
    least = "RFFT's adapter beside other checkpoints and LoRAs: least gain by RFNet, of its own"
    return [*definitions, Definition("transfer_min_share", least, target=">= 0.5")]


LOSSES = {"none": "no regulariser"} | {
    f"{loss}_{beta:g}": f"{words}, beta {beta:g}"
    for loss, words in (("kl", "KL"), ("cc", "consistent condition"))
    for beta in (0.01, 0.05, 0.25)
}


def fronts_by_labels() -> list[Definition]:
    """Each way of training, three seeds, on the products of which language models have labelled all of them."""
    ways = {"before": "before any tuning", **LOSSES}
    return [
        Definition(
            f"front_{kind}_{way}",
            f"RFFT, {words}, three seeds, the same products: {title}",
            "share",
            shown={"told": (words, title)},
        )
        for kind, title in (
            ("labels", "available"),
            ("prompt", "prompt named"),
            ("beauty", "rather to publish than before"),
        )
        for way, words in ways.items()
        if (kind, way) != ("beauty", "before")
    ]


def shipped() -> list[Definition]:
    """docs/protocol.md, 4: what the adapter that ships brings."""
    return [
        Definition("second_before", "RFFT, before: accepted by the second reviewer", "share"),
        Definition("rate_after", "RFFT, what ships: accepted by RFNet", "share"),
        Definition(
            "gain",
            "RFFT, what ships: accepted by RFNet, more than before",
            "points",
            ">= 0.2",
            {"figures": "Tuning the ControlNet: more accepted by the reviewer ({rate_before} before)"},
        ),
        Definition(
            "second_reviewer_gain",
            "RFFT, what ships: accepted by the second reviewer, more than before",
            "points",
            ">= 0.1",
            {"figures": "... by a second reviewer ({second_before} before)"},
        ),
        Definition("diversity_after", "RFFT, what ships: diversity across seeds", "of before", ">= 0.9"),
        Definition("diversity_colour_after", "RFFT, what ships: colours of backgrounds across seeds", "of before"),
        Definition(
            "collapse_diversity",
            "RFFT, no regulariser, six times as long: diversity left",
            "of before",
            shown={"trainings": ("no regulariser, six times as long", "diversity left")},
        ),
    ]


def blind(run: str, words: str) -> list[Definition]:
    """What blind labellers say of a training's pictures."""
    return [
        Definition(f"labels_{run}", f"{words}: available, say the labels", "share"),
        Definition(f"prompt_{run}", f"{words}: surface and room named rightly", "share"),
        Definition(f"beauty_{run}", f"{words}: preferred to before, blind", "share"),
    ]


def losses() -> list[Definition]:
    """Every loss and beta, three seeds each."""
    untuned = {"trainings": ("before any tuning", "accepted")}
    definitions = [Definition("rate_before", "RFFT, before: accepted by RFNet", "share", shown=untuned)]
    for way, words in LOSSES.items():
        for key, title, unit, column in (
            ("rate", "accepted by RFNet", "share", "accepted"),
            ("gain", "accepted by RFNet, more than before", "points", "gain"),
            ("second_gain", "accepted by the second reviewer, more than before", "points", GAIN_2),
            ("diversity", "diversity across seeds", "of before", "diversity left"),
            ("diversity_colour", "colours of backgrounds across seeds", "of before", "of colours"),
        ):
            shown = {"trainings": (words, column)}
            definitions.append(Definition(f"{key}_{way}", f"RFFT, {words}, three seeds: {title}", unit, shown=shown))
        for seed in range(3):
            definitions += blind(f"{way}_{seed}", f"RFFT, {words}, seed {seed}")
    definitions += blind("none_long", f"RFFT, {RUNS['none_long']}")
    for way in ("before", "after"):
        definitions.append(Definition(f"prompt_{way}", f"RFFT, {way}: surface and room named rightly, blind", "share"))
    return [
        *definitions,
        Definition("beauty_after", "RFFT, what ships: preferred to before, blind", "share"),
        Definition("transfer_min_share_rfnet", "RFFT's adapter elsewhere: least gain by RFNet, of that at home"),
        Definition(
            "transfer_min_share_second", "RFFT's adapter elsewhere: least gain by the second reviewer, of home's"
        ),
    ]


def all_of(*lists: list[Definition]) -> list[Definition]:
    """The definitions of several lists, the first of each key: later ones are of the family of 128-pixel pictures."""
    found = {}
    for definition in (definition for each in lists for definition in each):
        found.setdefault(definition.key, definition)
    return list(found.values())


OTHERS = [
    *by_labels(),
    *transfer(),
    Definition("attempts_before", "Recurrent generation, attempts per accepted picture: before RFFT", "attempts"),
    Definition("attempts_after", "Recurrent generation, attempts per accepted picture: after RFFT", "attempts"),
    Definition("within_5_before", "Recurrent generation, products with one within five: before RFFT", "share"),
    Definition("within_5_after", "Recurrent generation, products with one within five: after RFFT", "share"),
    Definition(
        "passes_ratio",
        "RFFT: UNet passes to +15 points, of those with one update per drawing (with gradient a pass counts as three)",
    ),
    Definition(
        "passes_ours",
        "RFFT: passes to +15 points (all that there were, where it was not reached), four updates per drawing",
        "count",
    ),
    Definition(
        "passes_paper",
        "RFFT: passes to +15 points (all that there were, where it was not reached), one update per drawing",
        "count",
    ),
    Definition(
        "memory_ratio",
        "RFFT: memory of a step with recomputed activations, of the same without (SD 1.5, 256 px)",
        target="<= 0.45",
    ),
    Definition("memory_kept_mib", "RFFT: memory of a step without recomputed activations", "MiB"),
    Definition("memory_recomputed_mib", "RFFT: memory of a step with recomputed activations", "MiB"),
    Definition("estimate_512_kept_gib", "RFFT, estimated at 512 px in bf16: without recomputed activations", "GiB"),
    Definition("estimate_512_recomputed_gib", "RFFT, estimated at 512 px in bf16: with them", "GiB"),
    Definition("estimate_512_ratio", "RFFT, estimated at 512 px in bf16: with, of without", target="<= 0.45"),
    Definition(
        "two_process_gradient_error", "Two processes' gradient against one's: largest difference", target="<= 1e-05"
    ),
    Definition(
        "two_process_gradient_error_fp64",
        "Two processes' gradient against one's: largest difference in float64",
        target="<= 1e-05",
    ),
    Definition(
        "two_process_gradient_error_at_once",
        "Two processes' gradient against one's: in float32, the one process computing both pictures at once",
    ),
]
# Titles and tables of figures that are not measured again under their key stay as they were.
FIGURES = all_of(losses(), shipped(), trainings(), fronts_by_labels(), OTHERS)
