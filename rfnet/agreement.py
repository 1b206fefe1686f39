"""How far two labellers of the same pictures agree."""

from collections import Counter
from dataclasses import dataclass
from itertools import combinations


@dataclass(frozen=True)
class Agreement:
    """names: of two labellers; n: pictures that both labelled; same: of these with the same label; kappa: Cohen's, None
    where both always said one and the same thing, which chance explains, too.
    """

    names: tuple[str, str]
    n: int
    same: int
    kappa: float | None

    def __str__(self) -> str:
        first, second = (name or "unnamed" for name in self.names)
        kappa = "" if self.kappa is None else f" (kappa {self.kappa:.2f})"
        return f"{first} and {second} agree on {self.same} of {self.n} pictures that both labelled{kappa}."


def cohens_kappa(first: list, second: list) -> float | None:
    """(observed - expected) / (1 - expected) agreement of two lists of labels of the same N things (Cohen 1960): 1 is
    full agreement, 0 what chance gives. None without any, or where chance alone would always agree.
    """
    n = len(first)
    if not n:
        return None
    observed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    counts = Counter(first), Counter(second)
    expected = sum(counts[0][label] * counts[1][label] for label in counts[0]) / n**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def agreements(said: dict) -> list[Agreement]:
    """Of each two labellers who labelled the same pictures, most pictures first. said: {(picture, name): label}."""
    by_name: dict[str, dict] = {}
    for (picture, name), label in said.items():
        by_name.setdefault(name, {})[picture] = label
    found = []
    for first, second in combinations(sorted(by_name), 2):
        both = [picture for picture in by_name[first] if picture in by_name[second]]
        labels = [[by_name[name][picture] for picture in both] for name in (first, second)]
        if both:
            same = sum(a == b for a, b in zip(*labels))
            found.append(Agreement((first, second), len(both), same, cohens_kappa(*labels)))
    return sorted(found, key=lambda one: (-one.n, one.names))
