"""Figures of `python -m benchmarks.advised`."""

from reliable_ads.rfnet.labels import LABELS

from .definition import Definition

OTHER = "Pictures of another composer, unseen products"
WITH = "with contact and own_label, fitted on 100 labels"

FIGURES = [
    *(Definition(f"advised_ap_{label}", f"{OTHER}: AP of {label} {WITH}") for label in LABELS),
    *(Definition(f"advised_change_{label}", f"{OTHER}: what AP of {label} changes by {WITH}") for label in LABELS),
    *(
        definition
        for name, defect in (("contact", "space_mismatch"), ("own_label", "shape_hallucination"))
        for definition in (
            Definition(f"{name}_ap", f"{OTHER}: AP of {defect} by {name} alone"),
            Definition(f"{name}_chance", f"{OTHER}: AP of {defect} by chance: its share"),
            Definition(f"{name}_known", f"{OTHER}: pictures about which {name} knows something", "share"),
        )
    ),
    Definition("advised_written", "Fits on 100 labels that `rfnet fuse` writes, since the opinions help", "share"),
]
