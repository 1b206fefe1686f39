"""Figures of `python -m benchmarks.photographed`."""

from .definition import Definition

STAND_IN = "Second stand-in for photographs, unseen products"
WAYS = (("random", "labels at random, a head"), ("active", "labels of chosen pictures, a head"))

FIGURES = [
    Definition(
        "photographed_ap_after_0_random",
        f'{STAND_IN}: AP of "available", as the reviewer ships',
    ),
    *(
        Definition(
            f"photographed_ap_after_{count}_{way}",
            f'{STAND_IN}: AP of "available" after {count} {words}',
            target=">= 0.85" if count == 100 else "",
        )
        for way, words in (*WAYS, ("auto", 'labels at random, "auto"'))
        for count in ((100,) if way == "auto" else (25, 50, 100, 200))
    ),
    Definition(
        "photographed_active_gain",
        f"{STAND_IN}: AP after 50 labels of chosen pictures, minus AP after 100 at random",
        target=">= 0",
    ),
    *(
        definition
        for way, words in (*WAYS, ("auto", 'labels at random, "auto"'))
        for definition in (
            Definition(
                f"photographed_worst_defect_after_100_{way}",
                f"{STAND_IN}: AP of the defect that it knows worst, after 100 {words}",
                target=">= 0.6",
            ),
            Definition(
                f"photographed_ece_after_100_{way}",
                f"{STAND_IN}: calibration error of p(available), after 100 {words}",
                target="<= 0.08",
            ),
            Definition(
                f"photographed_forgetting_after_100_{way}",
                f"What AP falls by on drawn pictures or scenes, whichever is more, after 100 {words} of the stand-in",
                target="<= 0.02",
            ),
        )
    ),
    Definition(
        "photographed_unfamiliar_auroc",
        "Test scenes and composites told from the second stand-in by familiarity: AUROC",
        target=">= 0.85",
    ),
]
