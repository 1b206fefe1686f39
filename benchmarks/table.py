"""Puts all figures of benchmarks/results/*.json into docs/figures.md, and some into README, docs/rfft.md and
docs/sampler.md: `python -m benchmarks.table` (`--check` only compares).
"""

from __future__ import annotations

import json
import sys

from .common import RESULTS, ROOT, reviewer_print

HEADLINES = {
    "end_to_end": ("accepted_within_5", "mean_attempts", "available_rate_rfnet", "available_rate_eye", "eye_agreement"),
    "reviewer": ("ap", "ece", "drawn_ece", "composites_ap", "speed_ratio_reward_model"),
    "sampler": (
        "steps_ratio",
        "steps_ratio_half",
        "steps_ratio_hard",
        "attempts_ratio_remedies",
        "steps_ratio_remedies",
        "steps_ratio_remedies_half",
        "steps_ratio_remedies_hard",
        "attempts_ratio_answered",
    ),
    "rfft": (
        "gain_cc",
        "judge_gain_cc",
        "eye_gain_1",
        "eye_gain_2",
        "eye_prefers",
        "diversity_cc",
        "diversity_none_long",
        "diversity_colour_none_long",
        "transfer_min_share",
        "passes_ratio",
        "memory_ratio",
    ),
}
SAVED = (
    "plain_rate",
    "plain_rate_half",
    "plain_rate_hard",
    "usable_plain",
    "steps_ratio",
    "steps_ratio_half",
    "steps_ratio_hard",
    "wall_ratio",
    "wall_ratio_half",
    "wall_ratio_hard",
    "usable_early",
    "steps_ratio_equal",
    "steps_ratio_equal_hard",
    "usable_equal",
    "attempts_ratio_words",
    "steps_ratio_words",
    "steps_ratio_words_hard",
    "usable_words",
    "attempts_ratio_remedies",
    "steps_ratio_remedies",
    "steps_ratio_remedies_half",
    "steps_ratio_remedies_hard",
    "wall_ratio_remedies",
    "wall_ratio_remedies_half",
    "wall_ratio_remedies_hard",
    "usable_remedies",
    "attempts_ratio_answered",
    "steps_ratio_answered",
    "steps_ratio_answered_hard",
    "usable_answered",
    *(
        f"{who}_bad_{what}"
        for who in ("judge", "eye")
        for what in (
            "plain",
            "early",
            "early_more",
            "words",
            "words_more",
            "remedies",
            "remedies_more",
            "answered",
            "answered_more",
        )
    ),
)  # what docs/sampler.md shows
TABLE1 = {
    "rfnet": "RFNet from ImageNet's weights",
    "lite0": "its backbone alone, from ImageNet's weights",
    "rfnet_anew": "RFNet from random weights",
    "resnet50": "ResNet-50 from random weights",
    "resnext50": "ResNeXt-50 from random weights",
    "hrnet_w18_small": "HRNet-W18-small from random weights",
    "vit_tiny": "ViT-tiny from random weights",
}
ABLATIONS = {
    f"without_{name}": f"without {text}"
    for name, text in (
        ("product", "the product"),
        ("generated", "the generated picture"),
        ("depth", "depth"),
        ("saliency", "saliency"),
        ("caption", "the caption"),
    )
} | {"two_labels": "with two labels only"}
WORDS = {
    "setup_seconds": "Set-up from nothing, wheels cached",
    "demo_seconds": "`python dev.py demo` after set-up",
    "available_rate_rfnet": "One sample per unseen product: usable, says RFNet",
    "available_rate_eye": "... those of them that language models labelled, blind: usable",
    "eye_agreement": "... RFNet and these labels agree on them",
    "accepted_within_5": "Accepted within five attempts",
    "mean_attempts": "Attempts per product (at most five)",
    "ap": 'Compact RFNet, average precision of "available"',
    "memory_growth": "Server memory, the last attempt against attempt 10",
    "drop_hottest": "Log-odds of the defect lost when the hottest 15 % are painted over",
    "drop_random": "... when random places are",
    "drop_elsewhere": "... when another scene's hot places are",
    "hottest_over_random": "Hottest more than random",
    "hottest_over_elsewhere": "Hottest more than another scene's",
    "cost": "Cost of a heat map, in reviews",
    "seconds": "Seconds per heat map",
    "index_seconds": "A million lines of label.txt, indexed",
    "index_mib": "... memory at the peak, MiB",
    "precision": 'Shipped test split: precision of "available"',
    "recall": "... recall",
    "f1": "... F1",
    "ece": "... calibration error of p(available)",
    "ap_space_mismatch": "... AP of space_mismatch",
    "ap_size_mismatch": "... AP of size_mismatch",
    "ap_indistinctiveness": "... AP of indistinctiveness",
    "ap_shape_hallucination": "... AP of shape_hallucination",
    "depth_error": "... mean error of the built-in estimator's inverse depth",
    "saliency_iou": "... overlap of what it says stands out with the truth (IoU)",
    "ap_hard_split": 'Composites of product families never seen: AP of "available"',
    "seen_causes_rejected": "Composites: defects made in known ways, rejected",
    "held_causes_rejected": "... in ways never seen, rejected",
    "composites_available_rejected": "... available ones, rejected",
    "steps_ratio": "Early rejection: steps per usable picture, against the plain loop",
    "steps_ratio_half": "... on the harder half of the products",
    "steps_ratio_hard": "... on the hardest quarter",
    "wall_ratio": "... seconds",
    "wall_ratio_half": "... seconds, harder half",
    "wall_ratio_hard": "... seconds, hardest quarter",
    "plain_rate": "Plain loop: attempts that are accepted",
    "plain_rate_half": "... for the harder half",
    "plain_rate_hard": "... for the hardest quarter",
    **{
        f"{key}_{way}": text.format(title)
        for way, title in (("words", "Remedies without the tuned ControlNet"), ("remedies", "Remedies"))
        for key, text in (
            ("attempts_ratio", "{}: attempts per usable picture, against the same loop without"),
            ("steps_ratio", "... steps, against the plain loop"),
        )
    },
    "attempts_ratio_remedies_plain": "... attempts, against the plain loop, few of which were given up",
    "attempts_ratio_answered": "Remedies without early rejection: attempts per usable picture, against the plain loop",
    "steps_ratio_answered": "... steps",
    "steps_ratio_answered_hard": "... steps, on the hardest quarter",
    "after_rejection_seed": "Validation products, a draw after a rejected one: accepted with the next seed alone",
    "after_rejection_words": "... with words to avoid and more guidance",
    "after_rejection_tuned": "... with the tuned ControlNet",
    "after_rejection_all": "... with all three",
    "steps_ratio_words_hard": "... on the hardest quarter",
    "steps_ratio_remedies_half": "... on the harder half",
    "steps_ratio_remedies_hard": "... on the hardest quarter",
    "wall_ratio_remedies": "... seconds",
    "wall_ratio_remedies_half": "... seconds, harder half",
    "wall_ratio_remedies_hard": "... seconds, hardest quarter",
    **{
        f"{what}_{way}": f"{title} {text}"
        for what, text in (
            ("steps_per_usable", "steps per usable picture"),
            ("seconds_per_usable", "seconds per usable picture"),
            ("attempts_per_usable", "attempts per usable picture"),
            ("usable", "products with one"),
        )
        for way, title in (
            ("plain", "Plain loop:"),
            ("early", "Early rejection:"),
            ("words", "Remedies without the tuned ControlNet:"),
            ("remedies", "Remedies:"),
            ("answered", "Remedies without early rejection:"),
            ("equal", "Early rejection, as many steps as the plain loop may pay:"),
        )
    },
    "steps_ratio_equal": "... with as many steps as the plain loop may pay",
    "steps_ratio_equal_hard": "... the same, hardest quarter",
    **{
        f"{who}_bad_{way}": f"{title} accepted pictures that {whose} calls bad"
        for who, whose in (("judge", "the second reviewer"), ("eye", "most of three language models, labelling blind,"))
        for way, title in (
            ("plain", "Plain loop:"),
            ("early", "Early rejection:"),
            ("words", "Remedies without the tuned ControlNet:"),
            ("remedies", "Remedies:"),
            ("answered", "Remedies without early rejection:"),
        )
    },
    **{
        f"{who}_bad_{way}_more": "... more than of the plain loop"
        for who in ("judge", "eye")
        for way in ("early", "words", "remedies", "answered")
    },
    "overhead": "RF Cyclic Sampler, against stock KSampler and VAE Decode: more time",
    "extra_mib": "... more resident memory, reviewer included, MiB",
    "preview_overhead": "Previews: more time",
    "start_ms": "What the pack adds to ComfyUI's start, milliseconds",
    "javascript_bytes": "JavaScript that the page loads, bytes",
    **{
        f"table1_{name}_{kind}": f"Table 1, {text}: {'AP' if kind == 'ap' else kind}"
        for name, text in TABLE1.items()
        for kind in ("ap", "precision", "recall", "f1")
    },
    **{
        f"table1_{ours}_ahead_of_{name}_{kind}": (
            f"Table 1, {'AP' if kind == 'ap' else kind}: {TABLE1[ours]} ahead of {text}"
        )
        for ours in ("rfnet", "rfnet_anew")
        for name, text in TABLE1.items()
        for kind in ("ap", "precision", "recall", "f1")
    },
    "table2_whole": "Table 2: AP with all inputs",
    **{
        f"{key}_{name}": f"{words} {text}"
        for name, text in ABLATIONS.items()
        for key, words in (("ap", "..."), ("whole_ahead_of", "... AP lost"))
    },
    "speed_ratio_reward_model": (
        "Reviews per second at 160 px, the product's features kept, against a network of BLIP-large's size (446 M"
        " parameters)"
    ),
    "second_attempt_cost": "Review of a product's second attempt, against its first",
    **{f"bad_at_risk_{risk}": f"Bad among what is accepted at {risk} % risk" for risk in (5, 10)},
    "training_speed": "Training in bf16, pictures per second of one thread",
    "training_speed_gain": "... times what it would be with all of it in bf16",
    "training_speed_memory": "... times what it would be if freed memory went back to the system",
}
WORDS |= {
    "bad_inputs": "Bad inputs generated: pictures, weights, configs, tables, albums, command lines, nodes over HTTP",
    "unclear": "... whose refusal is no clear sentence",
    "tracebacks": "... that end in a traceback",
    "hangs": "... that take more than 20 s",
    "over_memory": "... that take more than 1 GB",
    "accepted_that_matter": "... accepted though they change a result",
    "cases_right": "Pictures and files of users' reports that come out right",
}
RUNS = {
    "none": "no regulariser",
    "none_long": "no regulariser, six times as long",
    "kl": "KL, beta 0.05",
    "cc": "consistent condition, beta 0.05",
    "cc_strong": "consistent condition, beta 0.2",
    "cc_again": "consistent condition, beta 0.05, another seed",
}
WORDS |= {
    "rate_before": "RFFT: accepted by RFNet before, one ControlNet as it was",
    "rate_after": "... after (consistent condition, beta 0.05)",
    "judge_before": "... by the second reviewer, before",
    "eye_before": "... by language models' labels, before",
    "eye_after": "... by language models' labels, after",
    "eye_gain": "RFFT, consistent condition: usable pictures, labelled blind by language models, points",
    "eye_prefers": (
        "RFFT, consistent condition: of two pictures of a product, after is the one to publish, say language models,"
        " blind"
    ),
    "eye_gain_1": (
        "RFFT, consistent condition: usable pictures, labelled blind by language models, points: first hundred products"
    ),
    "eye_gain_2": "... second hundred, stricter labellers, added because the first missed",
    **{
        f"eye_{what}_{number}": f"... {text}, {which}"
        for what, text in (("before", "before"), ("after", "after"))
        for number, which in ((1, "first hundred"), (2, "second hundred, stricter labellers"))
    },
    **{
        f"eye_{what}_labeller_{name}": f"... {text}, labeller {name}"
        for what, text in (("gain", "gain"), ("before", "before"), ("after", "after"))
        for name in "abcfgh"
    },
    **{f"eye_prefers_labeller_{name}": f"... labeller {name}" for name in "de"},
    "gain_cc": "RFFT, consistent condition: accepted by RFNet, points",
    "judge_gain_cc": "... by the second reviewer",
    "diversity_cc": "RFFT, consistent condition: diversity across seeds, of before",
    "diversity_none_long": "RFFT, no regulariser, six times as long: diversity across seeds, of before",
    "transfer_min_share": "RFFT, other checkpoints and LoRAs: least gain by RFNet, of its own",
    "passes_ratio": (
        "RFFT: UNet passes to +15 points, of those with one update per drawing (lr 1e-3, rank 16, batch 4, 20 steps;"
        " not the paper's own schedule)"
    ),
    "memory_ratio": "RFFT: memory of a step with recomputed activations, of the same without (SD 1.5, 256 px)",
    "memory_kept_mib": "... without, MiB",
    "memory_recomputed_mib": "... with, MiB",
    "estimate_512_kept_gib": "... estimated at 512 px in bf16: without, GiB",
    "estimate_512_recomputed_gib": "... with, GiB",
    "estimate_512_ratio": "... with, of without",
    "cc_above_kl": (
        "Consistent condition, beta 0.05, above KL, beta 0.05, accepted by RFNet (the two betas are of different"
        " quantities)"
    ),
    "two_process_gradient_error": "Two processes' gradient against one's, largest difference",
    "two_process_gradient_error_fp64": "... in float64",
    "two_process_gradient_error_at_once": "... in float32, the one process computing both pictures at once",
    "attempts_before": "Recurrent generation, attempts per usable picture: before",
    "attempts_after": "... after",
    "within_5_before": "... products with one within five, before",
    "within_5_after": "... after",
    "passes_ours": "... passes, eight updates per drawing, drawn without guidance",
    "passes_paper": "... passes, one update per drawing",
}
RFFT = {
    "rate_": "accepted by RFNet",
    "gain_": "accepted by RFNet, points",
    "judge_gain_": "accepted by the second reviewer, points",
    "diversity_colour_": "colours of backgrounds across seeds, of before",
    "diversity_": "diversity across seeds, of before",
}
VARIANT_ROWS = {
    "_before": "accepted before",
    "_after": "accepted after",
    "_judge_gain": "gain by the second reviewer",
    "_gain": "gain",
}
EARLIER = "¹ Measured with the previous reviewer; not yet repeated."


def place_of(key: str) -> int:
    """Where a figure stands in its table: below the one that its words refer to."""
    order = {known: place for place, known in reversed([*enumerate((*SAVED, *WORDS))])}
    return order.get(key, len(order))


def words(key: str) -> str:
    """What a figure is called; those of drawn pictures and composites like those of the test split."""
    for prefix, text in (("drawn_", "Drawn pictures, new ones of training products"), ("composites_", "Composites")):
        if key not in WORDS and key.startswith(prefix) and key.removeprefix(prefix) in WORDS:
            own = WORDS[key.removeprefix(prefix)]
            return (
                f"{text}:"
                f" {own.removeprefix('... ').removeprefix('Shipped test split: ').removeprefix('Compact RFNet, ')}"
            )
    if key not in WORDS:
        for prefix, text in RFFT.items():
            if key.removeprefix(prefix) in RUNS:
                return f"RFFT, {RUNS[key.removeprefix(prefix)]}: {text}"
        for ending, text in VARIANT_ROWS.items():
            if key.startswith("transfer_") and key.endswith(ending):
                return f"RFFT's adapter beside {variant(key.removeprefix('transfer_').removesuffix(ending))}: {text}"
    return WORDS.get(key, key)


def variant(name: str) -> str:
    """A checkpoint or LoRA in words."""
    return {"pocket": "its own checkpoint", "seed": "a checkpoint of another training seed"}.get(
        name,
        (
            f"a LoRA of style {name.removeprefix('lora_')}"
            if name.startswith("lora_")
            else f"a checkpoint of style {name}"
        ),
    )


def number(figure: dict) -> str:
    if figure["unit"] == "points":
        return points(figure)
    scale, unit = (100, " %") if figure["unit"] == "share" else (1, " s") if figure["unit"] == "s" else (1, "")
    digits = 0 if figure["unit"] == "count" else 1 if unit else 2
    text = (
        f"{figure['value']:.1e}" if 0 < abs(figure["value"]) < 1e-3 else f"{scale * figure['value']:.{digits}f}{unit}"
    )
    if figure["low"] is not None:
        text += f" ({scale * figure['low']:.{digits}f} to {scale * figure['high']:.{digits}f})"
    return text


def points(figure: dict) -> str:
    """A difference of shares, in points."""
    return f"{100 * figure['value']:+.1f} ({100 * figure['low']:+.1f} to {100 * figure['high']:+.1f})"


def rows(figures: dict, keys) -> list[str]:
    """The lines of a Markdown table; what was measured with a reviewer that has been replaced since is marked."""
    shipped = reviewer_print()
    lines = ["| what | measured | n | target | holds | on |", "|---|---|---|---|---|---|"]
    for key in keys:
        figure = figures[key]
        holds = {None: "", True: "yes" if shown(figure) else "not shown", False: "**no**"}[figure["holds"]]
        mark = "" if figure["reviewer"] in (None, shipped) else " ¹"
        lines.append(
            f"| {words(key)} | {number(figure)} | {figure['n'] or ''} | {figure['target']} | {holds} |"
            f" {figure['date']}{mark} |"
        )
    return lines + (["", EARLIER] if any("¹" in line for line in lines) else [])


def shown(figure: dict) -> bool:
    """Whether the whole interval lies on the right side of the target, and not only the value."""
    words = figure["target"].replace(",", " ").split()
    if figure["low"] is None or not words or words[0][0] not in "<>0123456789":
        return True
    if words[1] == "to":
        return float(words[0]) <= figure["low"] and figure["high"] <= float(words[2])
    bound = float(words[1])
    return {
        ">": figure["low"] > bound,
        ">=": figure["low"] >= bound,
        "<": figure["high"] < bound,
        "<=": figure["high"] <= bound,
    }[words[0]]


def told_by_an_earlier_reviewer(figures: dict) -> list[str]:
    """The line below a table whose figures were measured with a reviewer that has been replaced since; none where they
    were not.
    """
    return (
        []
        if {figure["reviewer"] for figure in figures.values()} <= {None, reviewer_print()}
        else ["", EARLIER.removeprefix("¹ ")]
    )


def reports() -> dict[str, dict]:
    """{name: report}; what most readers look for comes first."""
    files = sorted(RESULTS.glob("*.json"), key=lambda file: (file.stem != "end_to_end", file.stem))
    return {file.stem: json.loads(file.read_text()) for file in files}


def everything() -> str:
    """docs/figures.md."""
    lines = [
        "# Figures",
        "",
        (
            "Every figure of the project with its 95 % interval, its sample, its target, and whether it holds: those"
            " that fall short stand here like the others. Each table comes from the command above it, some rows from"
            " its `--only`, as docs/reviewer.md, rfft.md and sampler.md say; `python -m benchmarks.table` writes this"
            " page from `benchmarks/results/`."
        ),
        "",
    ]
    for report in reports().values():
        lines += [
            f"`{report['command']}`, last run on {report['date']} on {report['machine']}; 95 % intervals in brackets.",
            *conditions(report.get("details", {})),
            "",
        ]
        lines += [*rows(report["figures"], sorted(report["figures"], key=place_of)), ""]
    return "\n".join(lines)


def conditions(details: dict) -> list[str]:
    """What a report's tables 1 and 2 were trained on, and for how long."""

    def told(how):
        return ", ".join(
            f"{' '.join(map(str, value)) if isinstance(value, list) else value} {name}"
            for name, value in how.items()
            if name in ("minutes", "passes", "trainings", "scenes")
        )

    return [
        f"{title}: {told(details[key])}."
        for key, title in (("table1", "Table 1"), ("table2", "Table 2"))
        if key in details
    ]


def headlines() -> str:
    """The table of what most readers look for."""
    figures = {
        key: report["figures"][key]
        for name, report in reports().items()
        for key in HEADLINES.get(name, ())
        if key in report["figures"]
    }
    return "\n".join(rows(figures, figures))


def moved() -> str:
    """One adapter beside other checkpoints and LoRAs: a line for each."""
    figures = reports()["rfft"]["figures"]
    names = [
        key.removeprefix("transfer_").removesuffix("_before")
        for key in figures
        if key.startswith("transfer_") and key.endswith("_before")
    ]
    lines = [
        "| the same adapter beside | accepted before | after | gain, points | gain by the second reviewer, points |",
        "|---|---|---|---|---|",
    ]

    def percent(figure):
        return f"{100 * figure['value']:.1f} %"

    for name in names:

        def of(what):
            return figures[f"transfer_{name}_{what}"]

        lines.append(
            f"| {variant(name)} | {percent(of('before'))} | {percent(of('after'))} | {points(of('gain'))} |"
            f" {points(of('judge_gain'))} |"
        )
    return "\n".join(lines + told_by_an_earlier_reviewer(figures))


def trainings() -> str:
    """What each training did to the same test products: a line for each."""
    figures = reports()["rfft"]["figures"]

    def kept(figure):
        return f"{100 * figure['value']:.0f} % ({100 * figure['low']:.0f} to {100 * figure['high']:.0f})"

    lines = [
        "| training | accepted | gain, points | gain by the second reviewer, points | diversity left | of colours |",
        "|---|---|---|---|---|---|",
        f"| none: the ControlNet as it was | {100 * figures['rate_before']['value']:.1f} % | | | | |",
    ]
    for name in (name for name in RUNS if f"gain_{name}" in figures):

        def of(what):
            return figures[f"{what}_{name}"]

        lines.append(
            f"| {RUNS[name]} | {100 * of('rate')['value']:.1f} % | {points(of('gain'))} | {points(of('judge_gain'))} |"
            f" {kept(of('diversity'))} | {kept(of('diversity_colour'))} |"
        )
    return "\n".join(lines + told_by_an_earlier_reviewer(figures))


def saved() -> str:
    """What early rejection and remedies save."""
    figures = reports()["sampler"]["figures"]
    return "\n".join(rows(figures, [key for key in SAVED if key in figures]))


def filled(text: str) -> str:
    """A page with its tables between their marks, such as <!-- figures --> and <!-- /figures -->."""
    for name, table in {"figures": headlines, "trainings": trainings, "moved": moved, "saved": saved}.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        if start in text:
            head, rest = text.split(start)
            text = f"{head}{start}\n{table()}\n{end}{rest.split(end)[1]}"
    return text


def main() -> int:
    pages = [ROOT / "README.md", ROOT / "docs" / "rfft.md", ROOT / "docs" / "sampler.md"]
    new = {
        **{page: filled(page.read_text(encoding="utf-8")) for page in pages},
        ROOT / "docs" / "figures.md": everything(),
    }
    if "--check" in sys.argv:
        return int(
            any(not file.exists() or file.read_text(encoding="utf-8") != content for file, content in new.items())
        )
    for file, content in new.items():
        file.write_text(content, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
