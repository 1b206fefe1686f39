"""Figures of `python -m benchmarks.labelling`."""

from .definition import Definition

OTHER = "Pictures of another composer, unseen products"

WAYS = (("random", "at random"), ("active", "of chosen pictures"))

FIGURES = [
    *(
        Definition(
            f"ap_after_{count}_{way}",
            f'{OTHER}: AP of "available" after {count} labels {words}, learned in rounds',
        )
        for count in (50, 100)
        for way, words in WAYS
    ),
    Definition(
        "active_gain",
        f"{OTHER}: AP after 50 labels of chosen pictures, minus AP after 100 at random",
        target=">= 0",
    ),
    *(
        Definition(
            f"ap_after_{count}_{way}_more",
            f'{OTHER}: AP of "available" after {count} labels {words} of a pool half as large again, learned in rounds',
        )
        for count in (25, 50, 100, 200)
        for way, words in WAYS
    ),
    Definition(
        "active_gain_more",
        f"{OTHER}: AP after 50 labels of pictures chosen from the larger pool, minus AP after 100 at random",
    ),
    Definition(
        "round_seconds", "A round of ten labels, from the tenth to the next order of pictures", "s", target="<= 10"
    ),
]
