"""Figures of `python -m benchmarks.sizes`."""

from .definition import Definition

AP = "Stand-in, validation: AP of size_mismatch against available (chance 0.50)"
READ = "Stand-in, validation: share of its variance that a probe reads off RFNet's features"
CHANGED = {
    "other_caption": "with another product's caption",
    "no_caption": "without a caption",
    "turned_caption": "with a caption that turns right into wrong and wrong into right",
    "no_props": "without the things beside the product",
    "plain": "without them, before a plain wall",
    "true_maps": "with true depth and saliency",
}

SIZES = {"given": "the true size given", "usual": "the true size by the caption's words"}
SPLITS = {"val": "validation", "test": "test"}


def of_opinion(split: str, words: str) -> list[Definition]:
    """Of the second opinion size on pictures of a split."""
    start = f"Stand-in, {words}: AP of size_mismatch against available (chance 0.50), by"
    found = [Definition(f"{split}_ap_rfnet", f"{start} RFNet alone")]
    for name, known in SIZES.items():
        key = f"{split}_ap_size_opinion_{name}"
        found += [
            Definition(key, f"{start} RFNet and the opinion size, {known}"),
            Definition(f"{key}_alone", f"{start} the opinion size alone, {known}"),
            Definition(
                f"{split}_change_size_opinion_{name}",
                f"Stand-in, {words}: what the opinion size adds to RFNet's AP of size_mismatch, {known}",
            ),
        ]
    title = f"Stand-in, {words}: share of these pictures whose caption the table of common things knows"
    return [*found, Definition(f"{split}_known_usual", title, "share")]


FIGURES = [
    Definition("ap_as_it_is", AP),
    *(Definition(f"ap_{name}", f"{AP}, {words}") for name, words in CHANGED.items()),
    *(Definition(f"change_{name}", f"What that AP changes {words}") for name, words in CHANGED.items()),
    Definition("r2_metres", f"{READ}: the product's true size (log)"),
    Definition("r2_shown_metres", f"{READ}: the size that the picture shows (log)"),
    Definition("r2_shown_metres_no_props", f"{READ}: the same, without the things beside the product"),
    Definition("ap_compared_both_told", f"{AP}, by comparing what the probes read"),
    Definition("ap_compared_true_size_given", f"{AP}, by comparing the shown size as read with the true one as given"),
    Definition("ap_compared_shown_size_given", f"{AP}, by comparing the true size as read with the shown one as given"),
    Definition("ap_head", f"{AP}, by an added head that learned from 600 labelled pictures of the stand-in"),
    Definition("change_head", "What that AP changes by the added head"),
    *(figure for split, words in SPLITS.items() for figure in of_opinion(split, words)),
]
