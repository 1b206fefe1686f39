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
PARTS = {"": "", "_hard": ", hardest quarter"}
HALF = {"_half": ", harder half of the products"}  # of the family of 128-pixel pictures alone
JUDGES = (
    ("bad", "the second reviewer calls", "bad, says the second reviewer"),
    ("labels_bad", "language models, blind, call", "bad, say language models, blind"),
)
HEADLINES = {  # README's
    "steps_ratio_early": "Sampling steps per accepted picture, against just drawing again: early rejection",
    "steps_ratio_tuned": "... the tuned ControlNet instead",
    "steps_ratio_best_of_n": "... the best of five",
}


def ratio(key: str, way: str, what: str, part: str = "", most: str = "") -> Definition:
    """What an accepted picture costs, against the plain loop."""
    title = f"{WAYS[way]}: {what} per accepted picture, against the plain loop{(PARTS | HALF)[part]}"
    return Definition(f"{key}{part}", title, "of plain", most)


def usable(way: str) -> Definition:
    return Definition(f"usable_{way}", f"{WAYS[way]}: products with an accepted picture", "share")


def against_the_same(way: str, target: str = "") -> Definition:
    title = f"{WAYS[way]}: attempts per accepted picture, against early rejection alone"
    return Definition(f"attempts_ratio_{way}", title, "of early", target)


def called_bad() -> list[Definition]:
    """What others say of the pictures that were accepted."""
    definitions = []
    for who, words in (("judge", "the second reviewer"), ("labels", "most of three language models, blind,")):
        for way in ("plain", "early", "words", "remedies", "answered"):
            title = f"{WAYS[way]}: accepted pictures that {words} calls bad"
            definitions.append(Definition(f"{who}_bad_{way}", title, "share"))
            if way != "plain":
                more = f"{title}, more than of the plain loop"
                definitions.append(Definition(f"{who}_bad_{way}_more", more, "points", "<= 0"))
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
    """docs/protocol.md, 3: what every arm serves, costs, spoils and varies; docs/sampler.md has a row for each."""
    definitions = []
    for part, where in PARTS.items():
        for arm, words in ARMS.items():
            best = arm == BEST
            cell = {"saved": (words, f"served{where}")}
            definitions += [
                Definition(
                    f"served_{arm}{part}", f"{words}: served with an accepted picture{where}", "share", shown=cell
                ),
                Definition(
                    f"steps_per_accepted_{arm}{part}", f"{words}: steps for each accepted picture{where}", "steps"
                ),
            ]
            if arm != "plain":
                most = {"": "<= 0.55", "_hard": "<= 0.4"}[part] if best else ""
                for kind, paid in (("steps", "steps"), ("wall", "seconds")):
                    key = f"{kind}_ratio_{arm}{part}"
                    title = f"{words}: {paid} for each accepted picture, against the plain loop{where}"
                    shown = {"saved": (words, f"{paid}{where}")} if kind == "steps" or not part else {}
                    shown |= {"figures": HEADLINES[key]} if key in HEADLINES else {}
                    definitions.append(Definition(key, title, "of plain", most if kind == "steps" else "", shown))
        for key, arm, goal in (("attempts_before", "plain", ""), ("attempts_after", "tuned", "<= 1.2")):
            title = f"{ARMS[arm]}: attempts for each accepted picture{where}"
            definitions.append(Definition(f"{key}{part}", title, "attempts", "" if part else goal))
    for arm, words in ARMS.items():
        for key, who, column in JUDGES:
            title = f"{words}: accepted pictures that {who} bad"
            definitions.append(Definition(f"{key}_{arm}", title, "share", shown={"judged": (words, column)}))
            if arm != "plain":
                shown = {"judged": (words, "more than of plain")} if key == "labels_bad" else {}
                definitions.append(
                    Definition(f"{key}_{arm}_more", f"{title}, more than of the plain loop", "points", shown=shown)
                )
        if arm != "plain":
            title = f"{words}: how far a product's accepted pictures lie apart across seeds, against the plain loop"
            goal = ">= 0.9" if arm == BEST else ""
            definitions.append(Definition(f"variety_{arm}", title, "of plain", goal, {"judged": (words, "variety")}))
    return definitions


def only_new(definitions: list[Definition], known: list[Definition]) -> list[Definition]:
    """Those whose keys no figure of the 128-pixel family has; the others first."""
    keys = {definition.key for definition in definitions}
    return [*definitions, *(definition for definition in known if definition.key not in keys)]


EARLIER = [
    *(
        Definition(f"plain_rate{part}", f"Plain loop: attempts that are accepted{words}", "share")
        for part, words in (PARTS | HALF).items()
    ),
    usable("plain"),
    ratio("steps_ratio", "early", "steps"),
    ratio("steps_ratio", "early", "steps", "_half", "<= 0.75"),
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
    ratio("steps_ratio_remedies", "remedies", "steps", "_half", "<= 0.75"),
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
