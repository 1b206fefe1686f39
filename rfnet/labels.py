"""The five verdicts of RFNet, in the order of RF1M (arXiv:2408.00418): logits, files and reports all use it."""

LABELS = ("available", "space_mismatch", "size_mismatch", "indistinctiveness", "shape_hallucination")

# RF1M's sixth name: the product photo itself is cut off or broken. A reader knows it; no model is trained on it.
UNSUITABLE = "unsuitable"

RFNET = "rfnet"  # what a row's "decided_by" says where no second opinion decided

# What a picture's badge says; web/js/page.js has the same words, for translation.
PLAIN = {
    "available": "fit to publish",
    "space_mismatch": "floats or sinks",
    "size_mismatch": "wrong size",
    "indistinctiveness": "hardly stands out",
    "shape_hallucination": "grew extra parts",
}

MEANING = {
    "available": "The picture is fit to publish.",
    "space_mismatch": "The product floats, sinks in or stands on nothing.",
    "size_mismatch": "The product has the wrong size against the scene.",
    "indistinctiveness": "The product does not stand out from a cluttered or same-coloured scene.",
    "shape_hallucination": "The background grows the product: a pedestal, legs, an extra handle.",
    UNSUITABLE: "The product photo itself is cut off or broken.",
}


def shown_label(row: dict) -> str | None:
    """The label that a row of Review.rows() is shown with: "available" where the picture is accepted, else its
    likeliest defect. A threshold above one half rejects a picture whose likeliest label is "available", and one below
    accepts others; None where nothing was reviewed.
    """
    if row["accepted"]:
        return "available"
    defects = {name: p for name, p in row["probabilities"].items() if name != "available"}
    return max(defects, key=lambda name: defects[name]) if defects and row["label"] else row["label"]


def label_id(name: str) -> int:
    """The position of a label name in LABELS; ValueError names the label and the allowed ones."""
    if name not in LABELS:
        raise ValueError(f'"{name}" is not a label; use one of {", ".join(LABELS)}.')
    return LABELS.index(name)
