"""Figures of `python -m benchmarks.reviewer`."""

from .entry import Entry

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
RIVALS = {
    "rfnet": ("lite0", "resnet50", "resnext50", "hrnet_w18_small", "vit_tiny"),
    "rfnet_anew": ("resnet50", "resnext50", "hrnet_w18_small", "vit_tiny"),
}
ABLATIONS = {
    "without_product": "without the product",
    "without_generated": "without the generated picture",
    "without_depth": "without depth",
    "without_saliency": "without saliency",
    "without_caption": "without the caption",
    "two_labels": "with two labels only",
}


def on(prefix: str, pictures: str, ap: str = "", defects: str = "", ece: str = "") -> list[Entry]:
    """The scores on one kind of pictures; ap, defects, ece: targets."""
    return [
        Entry(f"{prefix}ap", f'{pictures}: average precision of "available"', target=ap),
        Entry(f"{prefix}precision", "... precision"),
        Entry(f"{prefix}recall", "... recall"),
        Entry(f"{prefix}f1", "... F1"),
        Entry(f"{prefix}ece", "... calibration error of p(available)", target=ece),
        *(Entry(f"{prefix}ap_{defect}", f"... AP of {defect}", target=defects) for defect in DEFECTS),
        Entry(f"{prefix}depth_error", "... mean error of the built-in estimator's inverse depth"),
        Entry(f"{prefix}saliency_iou", "... overlap of what it says stands out with the truth (IoU)"),
        *(
            Entry(f"{prefix}bad_at_risk_{risk}", f"... bad among what is accepted at {risk} % risk", "share", target)
            for risk, target in ((5, "<= 0.05"), (10, "<= 0.1"))
        ),
    ]


def table1() -> list[Entry]:
    """RFNet against single-image networks."""
    scores = [
        Entry(
            f"table1_{network}_{score}",
            f"Table 1, {text}: {name}",
            target=">= 0.92" if (network, score) == ("rfnet", "ap") else "",
        )
        for network, text in NETWORKS.items()
        for score, name in SCORES.items()
    ]
    gaps = [
        Entry(
            f"table1_{ours}_ahead_of_{rival}_{score}",
            f"Table 1, {name}: {NETWORKS[ours]} ahead of {NETWORKS[rival]}",
            target="> 0, interval too",
        )
        for ours, rivals in RIVALS.items()
        for rival in rivals
        for score, name in SCORES.items()
    ]
    return scores + gaps


def table2() -> list[Entry]:
    """RFNet without each of its inputs."""
    entries = [Entry("table2_whole", "Table 2: AP with all inputs")]
    for name, text in ABLATIONS.items():
        entries += [
            Entry(f"ap_{name}", f"... {text}"),
            Entry(f"whole_ahead_of_{name}", f"... AP lost {text}", target="> 0, interval too"),
        ]
    return entries


FIGURES = [
    *on("", "Shipped test split, rendered scenes", ap=">= 0.92", ece="<= 0.05"),
    *on("drawn_", "Drawn pictures, new ones of training products, labelled by language models"),
    *on("composites_", "Composites", ap=">= 0.8", defects=">= 0.6", ece="<= 0.05"),
    Entry("ap_hard_split", 'Composites of product families never seen: AP of "available"'),
    Entry("seen_causes_rejected", "Composites: defects made in known ways, rejected", "share"),
    Entry("held_causes_rejected", "... in ways never seen, rejected", "share"),
    Entry("composites_available_rejected", "... available ones, rejected", "share"),
    *table1(),
    *table2(),
    Entry(
        "speed_ratio_reward_model",
        "Reviews per second at 160 px, the product's features kept, against a network of BLIP-large's size"
        " (446 M parameters)",
        "times",
        ">= 10",
    ),
    Entry("second_attempt_cost", "Review of a product's second attempt, against its first", "of the first", "<= 0.75"),
    Entry("index_seconds", "A million lines of label.txt, indexed", "s", "<= 15"),
    Entry("index_mib", "... memory at the peak, MiB", "MiB", "<= 1024"),
    Entry("training_speed", "Training in bf16, pictures per second of one thread", "pictures/s"),
    Entry("training_speed_gain", "... times what it would be with all of it in bf16", "times"),
    Entry("training_speed_memory", "... times what it would be if freed memory went back to the system", "times"),
]
