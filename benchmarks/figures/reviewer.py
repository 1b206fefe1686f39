"""Figures of `python -m benchmarks.reviewer`."""

from .definition import Definition

DRAWN = "Drawn pictures of unseen products, labelled by language models, blind"
DEFECTS = ("space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination")
SCORES = {"ap": "AP", "precision": "precision", "recall": "recall", "f1": "F1"}
NETWORKS = {
    "rfnet": "RFNet from ImageNet's weights",
    "lite0": "its backbone alone, from ImageNet's weights",
    "rfnet_anew": "RFNet from random weights",
    "resnet50": "ResNet-50 from random weights",
    "resnext50": "ResNeXt-50 from random weights",
    "hrnet_w18_small": "HRNet-W18-small from random weights",
    "vit_tiny": "ViT-tiny from random weights",
}
SMALL = ("resnet50", "resnext50", "hrnet_w18_small", "vit_tiny")
RIVALS = {"rfnet": ("lite0", *SMALL), "rfnet_anew": SMALL}
ABLATIONS = {
    "without_product": "without the product",
    "without_generated": "without the generated picture",
    "without_depth": "without depth",
    "without_saliency": "without saliency",
    "without_caption": "without the caption",
    "two_labels": "with two labels only",
}
INPUT_SIZES = (160, 224, 256)  # pixels of a picture; the first one ships
SIZE_SCORES = ("available", "size_mismatch", "shape_hallucination")


def scores_on(prefix: str, pictures: str, ap: str = "", defects: str = "", ece: str = "") -> list[Definition]:
    """The scores on one kind of pictures; ap, defects, ece: targets."""
    return [
        Definition(f"{prefix}ap", f'{pictures}: average precision of "available"', target=ap),
        Definition(f"{prefix}precision", f'{pictures}: precision of "available"'),
        Definition(f"{prefix}recall", f'{pictures}: recall of "available"'),
        Definition(f"{prefix}f1", f'{pictures}: F1 of "available"'),
        Definition(f"{prefix}ece", f"{pictures}: calibration error of p(available)", target=ece),
        *(Definition(f"{prefix}ap_{defect}", f"{pictures}: AP of {defect}", target=defects) for defect in DEFECTS),
        Definition(f"{prefix}depth_error", f"{pictures}: mean error of the built-in estimator's inverse depth"),
        Definition(f"{prefix}saliency_iou", f"{pictures}: overlap of its salient region with the true one (IoU)"),
        *(
            Definition(
                f"{prefix}bad_at_risk_{risk}",
                f"{pictures}: bad among what is accepted at {risk} % risk, by a reviewer that is certified for it",
                "share",
                most,
            )
            for risk, most in ((5, "<= 0.05"), (10, "<= 0.1"))
        ),
    ]


def table1() -> list[Definition]:
    """RFNet against single-image networks."""
    scores = [
        Definition(
            f"table1_{network}_{score}",
            f"Table 1, {words}: {name}",
            target=">= 0.92" if (network, score) == ("rfnet", "ap") else "",
        )
        for network, words in NETWORKS.items()
        for score, name in SCORES.items()
    ]
    gaps = [
        Definition(
            f"table1_{ours}_ahead_of_{rival}_{score}",
            f"Table 1, {name}: {NETWORKS[ours]} ahead of {NETWORKS[rival]}",
            target="> 0, interval too",
        )
        for ours, rivals in RIVALS.items()
        for rival in rivals
        for score, name in SCORES.items()
    ]
    return scores + gaps


def table2() -> list[Definition]:
    """RFNet without each of its inputs."""
    definitions = [Definition("table2_whole", "Table 2: AP with all inputs")]
    for name, words in ABLATIONS.items():
        definitions += [
            Definition(f"ap_{name}", f"Table 2: AP {words}"),
            Definition(f"whole_ahead_of_{name}", f"Table 2: AP lost {words}", target="> 0, interval too"),
        ]
    return definitions


def input_sizes() -> list[Definition]:
    """RFNet with larger pictures, after as long a training."""
    smallest, *larger = INPUT_SIZES
    definitions = []
    for size in INPUT_SIZES:
        definitions += [
            Definition(
                f"input_{size}_ap_{label}",
                f"Input of {size} px, after as long a training: AP of {label}, on composites",
                shown={"input_size": (f"{size} px", f"AP of {label}")},
            )
            for label in SIZE_SCORES
        ]
        definitions.append(
            Definition(
                f"input_{size}_ms",
                f"Input of {size} px: a review by one thread, the product's features kept",
                "ms",
                shown={"input_size": (f"{size} px", "a review")},
            )
        )
    for size in larger:
        definitions += [
            Definition(
                f"input_{size}_ahead_{label}",
                f"Input of {size} px, after as long a training: AP of {label}, more than with {smallest} px",
                shown={"input_size": (f"{size} px ahead of {smallest} by", f"AP of {label}")},
            )
            for label in SIZE_SCORES
        ]
    return definitions


def on_drawn() -> list[Definition]:
    """docs/protocol.md, 2."""
    definitions = []
    for ending, who in (("", ""), ("_before", ", by the reviewer before it was trained on drawn pictures")):
        for key, title, target in (
            ("agreement", "accepted or not as the labels say", ">= 0.85"),
            ("bad_rejected", "bad ones, rejected", ">= 0.7"),
            ("good_lost", "available ones, rejected", "<= 0.15"),
            ("defect_named", "bad ones whose defect is named right", ">= 0.6"),
            ("available", "available, say the labels", ""),
        ):
            goal = "" if ending else target
            definitions.append(Definition(f"drawn_{key}{ending}", f"{DRAWN}: {title}{who}", "share", goal))
    return [
        *definitions,
        Definition("drawn_ece_before", f"{DRAWN}: calibration error of p(available), by the reviewer before"),
        Definition("labellers_agreement", f"{DRAWN}: two labellers agree on available or not", "share"),
        Definition("labellers_by_chance", f"{DRAWN}: two labellers of these rates would agree by chance", "share"),
        Definition("ap_change", "Rendered scenes: AP, more than of the reviewer before", target=">= -0.01"),
        Definition("composites_ap_change", "Composites: AP, more than of the reviewer before", target=">= -0.01"),
    ]


FIGURES = [
    *scores_on(
        "",
        "Rendered scenes",
        ap=">= 0.92",
        ece="<= 0.05",
    ),
    *scores_on("drawn_", DRAWN, ece="<= 0.08"),
    *on_drawn(),
    *scores_on("composites_", "Composites", ap=">= 0.8", defects=">= 0.6", ece="<= 0.05"),
    Definition("ap_hard_split", 'Composites of product families never seen: average precision of "available"'),
    Definition("seen_causes_rejected", "Composites: defects made in known ways, rejected", "share"),
    Definition("held_causes_rejected", "Composites: defects made in ways never seen, rejected", "share"),
    Definition("composites_available_rejected", "Composites: available ones, rejected", "share"),
    *table1(),
    *table2(),
    *input_sizes(),
    Definition(
        "speed_ratio_reward_model",
        "Reviews per second at 160 px, the product's features kept, against a network of BLIP-large's size"
        " (446 M parameters)",
        "times",
        ">= 10",
    ),
    Definition("second_attempt_cost", "Review of a product's second attempt, against its first", target="<= 0.75"),
    Definition("index_seconds", "A million lines of label.txt, indexed", "s", "<= 15"),
    Definition("index_mib", "A million lines of label.txt, indexed: memory at the peak", "MiB", "<= 1024"),
    Definition("training_speed", "Training in bf16: pictures per second of one thread", "pictures/s"),
    Definition("training_speed_gain", "Training in bf16: times what it would be with all of it in bf16", "times"),
    Definition(
        "training_speed_memory", "Training in bf16: times what it would be if freed memory went back at once", "times"
    ),
]
