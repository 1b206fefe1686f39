"""Figures of `python -m benchmarks.opinions`."""

from .definition import Definition

NAMES = {
    "rfnet": "RFNet alone, with its maps; a distilled reviewer costs the same",
    "contact": "Contact",
    "own_label": "Own label",
    "size": "Size, beside the review that reads it",
    "expansion": "Expansion, a SAM with ViT-B",
    "language": "Vision-language model, 0.2 billion weights",
    "server": "Server, without what it does itself",
    "panel": "RFNet with all of these but the server",
}
FIGURES = [
    definition
    for name, title in NAMES.items()
    for definition in (
        Definition(
            f"{name}_ms",
            f"{title}: computing time for a picture of 512 pixels, one thread",
            "ms",
            shown={"opinions": (title, "computing time")},
        ),
        Definition(f"{name}_mib", f"{title}: more memory", "MiB", shown={"opinions": (title, "more memory")}),
    )
]
