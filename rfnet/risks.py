"""Accepting at a stated risk: the lowest threshold at which at most that share of the accepted is bad, with 95 %
confidence.

What is promised. Scores of labelled pictures can't promise anything about the very pictures they were tuned on, so the
data fall into two halves by product: `fit` chooses where to begin, for each risk where the test is likeliest to pass,
`held` certifies. Beginning there, thresholds are tested downwards on `held`, each with an exact binomial
(Clopper-Pearson) upper bound, up to the first that fails. A sequence fixed before the test needs no correction for the
number of thresholds (fixed-sequence testing), and each risk is certified for itself.

What counts as one draw. Pictures of one product succeed and fail together: five accepted pictures of one mug are no
five pieces of evidence. So the default unit is the product: its pictures are looked at in random order, as the cyclic
sampler looks at its attempts, and the first accepted one is the product's only draw. Products are independent, so the
bound is exact for what the loop hands over on new products, with as many attempts at most as a product has pictures.
Products that are hard to draw weigh more in this count than among all accepted pictures, so as a rule it is also the
stricter one. The unit "image" takes every accepted picture as a draw of its own; it needs fewer products, and its bound
is too low where verdicts on one product go together. An entry says which unit it stands on.

Either way the promise is about pictures such as those in the data: with the same share of bad ones, by the same
checkpoint and ControlNet. An entry names these under "painter" (painters.NamedPainter); one that names none was
measured on pictures that nobody's models painted.
"""

from typing import Annotated

import msgspec
import numpy as np
from msgspec import Meta

from .painters import NamedPainter, Painter
from .structured import convert, from_json, shortened

ACCEPT = {
    "threshold": None,
    "5 % risk": 0.05,
    "10 % risk": 0.10,
}  # what users choose from: a plain threshold, or a certified risk
RISKS = tuple(risk for risk in ACCEPT.values() if risk)
UNITS = ("product", "image")
GRID = np.round(np.arange(0.995, 0.0, -0.005), 3)  # thresholds, descending; fixed, so no data can bend it
HOPELESS = 0.001  # a chance to certify that is none
WORTH_STATING = 20_000  # sample sizes above this are no advice
LONGEST = 1000  # characters of a sentence in an entry
NOT_CERTIFIED, UNKNOWN_PAINTER = "not certified for this painter", "painter unknown, so not certified"
Risk = Annotated[float, Meta(gt=0, lt=1)]


class Certificate(msgspec.Struct):
    """The numbers of an entry that certifies."""

    threshold: Annotated[float, Meta(gt=0, le=1)]
    accepted: Annotated[int, Meta(ge=1)]
    bad: Annotated[int, Meta(ge=0)]
    bound: Risk
    confidence: Risk


def upper_bound(bad, accepted, confidence: float = 0.95):
    """The highest share of bad ones that `bad` out of `accepted` leave possible at this confidence (Clopper-Pearson,
    one-sided).

    Numbers or arrays; 1 where nothing was accepted. RuntimeError without scipy.
    """
    bad, accepted = np.asarray(bad, float), np.asarray(accepted, float)
    certain = bad < accepted
    good = np.where(certain, accepted - bad, 1)
    bound = np.where(certain, _special().betaincinv(bad + 1, good, confidence), 1.0)
    return float(bound) if bound.ndim == 0 else bound


def needed(risk: float, share: float = 0.0, confidence: float = 0.95) -> int | None:
    """How many accepted certify a risk when about this share of them is bad; None where no feasible number does."""
    if share >= risk:
        return None
    accepted = np.arange(1, WORTH_STATING + 1)
    enough = (
        _special().bdtr(np.round(share * accepted), accepted, risk) <= 1 - confidence
    )  # the same as upper_bound <= risk, only quicker
    return int(accepted[enough.argmax()]) if enough.any() else None


def count(p: np.ndarray, bad: np.ndarray, products, unit: str = "product", seed: int = 0):
    """(accepted, bad among them), each per threshold of GRID, in draws of the unit.

    p (N,): p(available); bad (N,) bool; products: N product ids. seed: the order in which a product's pictures are
    looked at.
    """
    order = np.random.default_rng(seed).permutation(len(p))
    p, bad = np.asarray(p)[order], np.asarray(bad, bool)[order]
    names, product = np.unique(np.asarray(products)[order], return_inverse=True)
    accepted, wrong = np.zeros((2, len(GRID)), int)
    for row, threshold in enumerate(GRID):
        draws = np.flatnonzero(p >= threshold)
        if unit == "product":
            first = np.full(len(names), -1)
            first[product[draws[::-1]]] = draws[
                ::-1
            ]  # of several writes to one place the last stays: the earliest draw
            draws = first[first >= 0]
        accepted[row], wrong[row] = len(draws), bad[draws].sum()
    return accepted, wrong


def certify(fit, held, risk: float, unit: str = "product", confidence: float = 0.95, seed: int = 0) -> dict:
    """One entry for one risk, JSON-able.

    fit, held: (p (N,), bad (N,), N product ids) of halves without a common product.

    {"threshold", "accepted", "bad", "bound", ...} or {"refused": a sentence, ...}, and in both "confidence", "unit",
    and the number of "products" and "images" in the certifying half. Raises ValueError on an unknown unit or a risk
    outside (0, 1).
    """
    if unit not in UNITS:
        raise ValueError(f'the unit is "{unit}": use one of {", ".join(UNITS)}.')
    if not 0 < risk < 1:
        raise ValueError(f"the risk is {risk:g}: it is a share between 0 and 1, such as 0.05.")
    about = {"confidence": confidence, "unit": unit, "products": len(set(held[2])), "images": len(held[0])}
    scores, defects, products = fit
    drawn, defective = count(scores, defects, products, unit, seed)
    start = likeliest(drawn, defective, risk, confidence)
    scores, defects, products = held
    accepted, bad = (numbers[start:] for numbers in count(scores, defects, products, unit, seed))
    bounds = upper_bound(bad, accepted, confidence)
    passed = int((bounds > risk).argmax()) if (bounds > risk).any() else len(bounds)
    if not passed:
        return {
            "refused": _refusal(
                risk, confidence, float(GRID[start]), int(accepted[0]), int(bad[0]), float(bounds[0]), unit
            ),
            **about,
        }
    last = passed - 1
    return {
        "threshold": float(GRID[start + last]),
        "accepted": int(accepted[last]),
        "bad": int(bad[last]),
        "bound": float(bounds[last]),
        **about,
    }


def likeliest(accepted: np.ndarray, bad: np.ndarray, risk: float, confidence: float = 0.95) -> int:
    """The row of GRID at which a second half like this one has the best chance to certify the risk; where none has any,
    the one with the lowest bound.
    """
    special = _special()
    enough = special.bdtr(0, accepted, risk) <= 1 - confidence
    allowed = np.where(
        enough, np.floor(special.bdtrik(1 - confidence, np.maximum(accepted, 1), risk)), 0
    )  # the most bad ones that certify
    chance = enough * special.bdtr(allowed, accepted, (bad + 0.5) / (accepted + 1))
    return int(chance.argmax()) if chance.max() > HOPELESS else int(upper_bound(bad, accepted, confidence).argmin())


def _refusal(risk: float, confidence: float, threshold: float, accepted: int, bad: int, bound: float, unit: str) -> str:
    """Why a risk is not certified, and how large a sample would be."""
    least, share = needed(risk, 0.0, confidence), bad / accepted if accepted else 0.0
    seen = (
        f"of {accepted} accepted pictures{' (one per product)' if unit == 'product' else ''} from p(available) >="
        f" {threshold:g}, {bad} are bad"
    )
    asked = f"{risk * 100:.3g} % at {confidence * 100:.3g} % confidence"
    if share >= risk:
        return (
            f"{seen}: with such a share of bad ones no number of pictures certifies {asked}, only a better reviewer can"
            f" (with none bad, {least} accepted would do)."
        )
    enough = needed(risk, share, confidence)
    if enough == least:
        return f"{seen}, too few to certify {asked}: {least} accepted with none bad would be needed."
    many = enough or f"more than {WORTH_STATING}"
    return (
        f"{seen}, so up to {bound * 100:.1f} % may be: {many} accepted with such a share of bad ones would certify"
        f" {asked}, or {least} with none bad."
    )


def certified_for(entry: dict, painter: Painter | None) -> bool | None:
    """Whether an entry's pictures were painted by this painter; None where the painter isn't known."""
    if painter is None:
        return None
    named = painter_in(entry)
    return named is not None and named.is_(painter)


def painter_in(entry: dict) -> NamedPainter | None:
    """What painted the pictures of an entry. Raises StructureError."""
    return convert(entry["painter"], NamedPainter, "its painter") if "painter" in entry else None


def doubt(certificate: dict | None) -> str:
    """Why a certificate (of Reviewer.certificate) doesn't hold for what was painted, in a sentence; "" where it holds,
    or where there is none.
    """
    if certificate is None or certificate["certified_for_this_painter"]:
        return ""
    named = painter_in(certificate)
    told = certificate.get("about")
    measured = f"pictures by {named.text}" if named else shortened(told, 120) if told else "pictures of no painter"
    head = NOT_CERTIFIED if certificate["certified_for_this_painter"] is False else UNKNOWN_PAINTER
    return f"{head}: the risk was measured on {measured}."


def doubting(row: dict, doubted: str) -> dict:
    """A row of Review.rows() with a sentence of `doubt` among its notes; itself where that is "" or it has failed."""
    return {**row, "notes": [*row.get("notes", ()), doubted]} if doubted and "error" not in row else row


def parse_risks(text: str) -> dict:
    """The "risks" of a weights file, {"0.05": entry, ...} as JSON -> {0.05: entry, ...}.

    ValueError says what is wrong with it.
    """
    entries = from_json(text, Annotated[dict[str, dict], Meta(max_length=100)], "it")
    risks = {}
    for key, entry in entries.items():
        try:
            risk = from_json(key, Risk, "the risk")
        except ValueError as error:
            raise ValueError(f"{shortened(key)} is no risk between 0 and 1") from error
        risks[risk] = _checked(key, risk, entry)
    if len(risks) < len(entries):
        raise ValueError("it names a risk twice")
    return risks


def _checked(key: str, risk: float, entry: dict) -> dict:
    if "refused" not in entry:
        found = convert(
            {name: entry[name] for name in Certificate.__struct_fields__ if name in entry},
            Certificate,
            f"{shortened(key)}",
        )
        if not found.bad <= found.accepted or found.bound > risk:
            raise ValueError(
                f"the numbers of {shortened(key)} certify nothing ({found.bad} bad of {found.accepted}, bound"
                f" {found.bound})"
            )
    for name in {"refused", "about"} & entry.keys():
        if not isinstance(entry[name], str) or len(entry[name]) > LONGEST:
            raise ValueError(f'"{name}" of {shortened(key)} is {shortened(entry[name])}, which is no sentence')
    painter_in(entry)
    return entry


def _special():
    try:
        from scipy import special
    except ImportError:
        raise RuntimeError("certifying a risk needs scipy: pip install scipy.") from None
    return special
