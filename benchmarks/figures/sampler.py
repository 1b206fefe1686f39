"""Figures of `python -m benchmarks.sampler`; EARLIER: of the family of 128-pixel pictures, as it was measured then."""

from .definition import Definition

WAYS = {
    "plain": "Plain loop",
    "early": "Early rejection",
    "equal": "Early rejection, as many steps as the plain loop may pay",
    "words": "Early rejection and remedies, no tuned ControlNet",
    "remedies": "Early rejection and remedies",
    "answered": "Remedies without early rejection",
}
PARTS = {"": "", "_half": ", harder half of the products", "_hard": ", hardest quarter"}
JUDGES = {"judge": "the second reviewer", "labels": "most of three language models, blind,"}
EARLY = "Sampling steps on harder products, against just drawing again: early rejection"
SAVED = {"saved": ""}  # docs/sampler.md


def ratio(key: str, way: str, what: str, part: str = "", most: str = "", headline: str = "") -> Definition:
    """What an accepted picture costs, against the plain loop."""
    shown = SAVED | ({"figures": headline} if headline else {})
    return Definition(
        f"{key}{part}",
        f"{WAYS[way]}: {what} per accepted picture, against the plain loop{PARTS[part]}",
        "of plain",
        most,
        shown,
    )


def usable(way: str) -> Definition:
    return Definition(f"usable_{way}", f"{WAYS[way]}: products with an accepted picture", "share", shown=SAVED)


def against_the_same(way: str, target: str = "") -> Definition:
    title = f"{WAYS[way]}: attempts per accepted picture, against early rejection alone"
    return Definition(f"attempts_ratio_{way}", title, "of early", target, SAVED)


def called_bad() -> list[Definition]:
    """What others say of the pictures that were accepted."""
    definitions = []
    for who, words in JUDGES.items():
        for way in ("plain", "early", "words", "remedies", "answered"):
            title = f"{WAYS[way]}: accepted pictures that {words} calls bad"
            definitions.append(Definition(f"{who}_bad_{way}", title, "share", shown=SAVED))
            if way != "plain":
                more = f"{title}, more than of the plain loop"
                definitions.append(Definition(f"{who}_bad_{way}_more", more, "points", "<= 0", SAVED))
    return definitions


ARMS = {
    "plain": "Plain loop",
    "early": "Early rejection",
    "remedies": "Remedies without the tuned ControlNet",
    "tuned": "Tuned ControlNet from the first attempt",
    "best_of_n": "Best of five",
    "early_tuned": "Early rejection and tuned ControlNet, as many steps as the plain loop may pay",
}
BEST = "early"  # the arm with the lowest steps_ratio on validation products (docs/protocol.md)


def arms() -> list[Definition]:
    """docs/protocol.md, 3: what every arm serves, costs, spoils and varies."""
    definitions = []
    for part, where in (("", ""), ("_hard", ", hardest quarter")):
        for arm, words in ARMS.items():
            best = arm == BEST
            definitions.append(
                Definition(
                    f"served_{arm}{part}", f"{words}: served with an accepted picture{where}", "share", shown=SAVED
                )
            )
            definitions.append(
                Definition(
                    f"steps_per_accepted_{arm}{part}", f"{words}: steps for each accepted picture{where}", "steps"
                )
            )
            if arm != "plain":
                most = {"": "<= 0.55", "_hard": "<= 0.4"}[part] if best else ""
                for kind, paid in (("steps", "steps"), ("wall", "seconds")):
                    title = f"{words}: {paid} for each accepted picture, against the plain loop{where}"
                    goal = most if kind == "steps" else ""
                    definitions.append(Definition(f"{kind}_ratio_{arm}{part}", title, "of plain", goal, SAVED))
        for key, arm, goal in (("attempts_before", "plain", ""), ("attempts_after", "tuned", "<= 1.2")):
            title = f"{ARMS[arm]}: attempts for each accepted picture{where}"
            definitions.append(Definition(f"{key}{part}", title, "attempts", "" if part else goal, SAVED))
    for arm, words in ARMS.items():
        for key, who in (("bad", "the second reviewer calls"), ("labels_bad", "language models, blind, call")):
            definitions.append(
                Definition(f"{key}_{arm}", f"{words}: accepted pictures that {who} bad", "share", shown=SAVED)
            )
            if arm != "plain":
                title = f"{words}: accepted pictures that {who} bad, more than of the plain loop"
                definitions.append(Definition(f"{key}_{arm}_more", title, "points", shown=SAVED))
        if arm != "plain":
            title = f"{words}: how far a product's accepted pictures lie apart across seeds, against the plain loop"
            definitions.append(Definition(f"variety_{arm}", title, "of plain", ">= 0.9" if arm == BEST else "", SAVED))
    return definitions


def only_new(definitions: list[Definition], known: list[Definition]) -> list[Definition]:
    """Those whose keys no figure of the 128-pixel family has; the others first."""
    keys = {definition.key for definition in definitions}
    return [*definitions, *(definition for definition in known if definition.key not in keys)]


EARLIER = [
    *(
        Definition(f"plain_rate{part}", f"Plain loop: attempts that are accepted{words}", "share", shown=SAVED)
        for part, words in PARTS.items()
    ),
    usable("plain"),
    ratio("steps_ratio", "early", "steps"),
    ratio("steps_ratio", "early", "steps", "_half", "<= 0.75", EARLY),
    ratio("steps_ratio", "early", "steps", "_hard", "<= 0.6"),
    ratio("wall_ratio", "early", "seconds"),
    ratio("wall_ratio", "early", "seconds", "_half", "<= 0.8"),
    ratio("wall_ratio", "early", "seconds", "_hard", "<= 0.65"),
    usable("early"),
    ratio("steps_ratio_equal", "equal", "steps"),
    ratio("steps_ratio_equal", "equal", "steps", "_hard"),
    usable("equal"),
    against_the_same("words"),
    ratio("steps_ratio_words", "words", "steps"),
    ratio("steps_ratio_words", "words", "steps", "_hard"),
    usable("words"),
    against_the_same("remedies", "<= 0.85"),
    ratio("attempts_ratio_remedies_plain", "remedies", "attempts"),
    ratio("steps_ratio_remedies", "remedies", "steps"),
    ratio(
        "steps_ratio_remedies",
        "remedies",
        "steps",
        "_half",
        "<= 0.75",
        "... with remedies, too",
    ),
    ratio("steps_ratio_remedies", "remedies", "steps", "_hard", "<= 0.6"),
    ratio("wall_ratio_remedies", "remedies", "seconds"),
    ratio("wall_ratio_remedies", "remedies", "seconds", "_half", "<= 0.8"),
    ratio("wall_ratio_remedies", "remedies", "seconds", "_hard", "<= 0.65"),
    usable("remedies"),
    ratio("attempts_ratio_answered", "answered", "attempts", most="<= 0.85"),
    ratio("steps_ratio_answered", "answered", "steps"),
    ratio("steps_ratio_answered", "answered", "steps", "_hard"),
    usable("answered"),
    *called_bad(),
    *(
        Definition(
            f"{what}_per_usable_{way}", f"{words}: {what} per accepted picture", "s" if what == "seconds" else what
        )
        for what in ("steps", "seconds", "attempts")
        for way, words in WAYS.items()
    ),
    *(
        Definition(
            f"after_rejection_{key}", f"Validation products, the draw after a rejected one: accepted {words}", "share"
        )
        for key, words in (
            ("seed", "with the next seed alone"),
            ("words", "with words to avoid and more guidance"),
            ("tuned", "with the tuned ControlNet"),
            ("all", "with all three"),
        )
    ),
]
FIGURES = only_new(arms(), EARLIER)
