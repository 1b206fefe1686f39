"""Figures of `python -m benchmarks.adapting`."""

from reliable_ads.rfnet.labels import LABELS

from .definition import Definition

OTHER = "Pictures of another composer, unseen products"
COUNTS = (25, 50, 100, 200)
TARGETS = {100: ">= 0.85"}

FIGURES = [
    Definition("ap_after_0_random", f'{OTHER}: AP of "available", as the reviewer ships'),
    *(
        Definition(
            f"ap_after_{count}_random",
            f'{OTHER}: AP of "available" after {count} labels at random, a head',
            target=TARGETS.get(count, ""),
        )
        for count in COUNTS
    ),
    Definition("ap_after_100_auto", f'{OTHER}: AP of "available" after 100 labels at random, "auto"', target=">= 0.85"),
    *(
        definition
        for ending, how in (("", "a head"), ("_auto", '"auto"'))
        for definition in (
            Definition(
                f"worst_defect_after_100{ending}",
                f"{OTHER}: AP of the defect that it knows worst, after 100 labels, {how}",
                target=">= 0.6",
            ),
            Definition(
                f"ece_after_100{ending}",
                f"{OTHER}: calibration error of p(available), after 100 labels, {how}",
                target="<= 0.08",
            ),
            Definition(
                f"forgetting{ending}",
                f"What AP falls by on drawn pictures or scenes, whichever is more, after 100 labels, {how}",
                target="<= 0.02",
            ),
        )
    ),
    Definition(
        "unfamiliar_auroc", "Drawn pictures told from another composer's by familiarity: AUROC", target=">= 0.85"
    ),
    *(
        Definition(
            f"why_{label}_{when}",
            f"Pictures of another composer, validation products: AP of {label}, {words}",
        )
        for label in LABELS
        for when, words in (
            ("chance", "by chance: the label's share"),
            ("before", "as the reviewer ships"),
            ("after", "a head that learned from two thirds of the products"),
        )
    ),
    *(
        Definition(
            f"why_loose_{key}",
            'Pictures of another composer, validation products: AP of "available", a head that is hardly held, on '
            f"products that {which} it",
        )
        for key, which in (("taught", "taught"), ("unseen", "did not teach"))
    ),
    Definition("round_seconds", "A round of ten labels: read and learned", "s", "<= 10"),
]
