"""What a vision-language model is asked: one yes/no question for each defect, with the product beside the picture."""

import math
from collections.abc import Iterable

import torch
from PIL import Image

from ..structured import shortened
from .protocol import DEFECTS, SURE, OpinionError

SIDE = 768  # pixels of the longer side of the pictures that are shown
APART = "The first picture shows a product{} alone. The second picture is an advertisement of it."
TOGETHER = "The left half shows a product{} alone. The right half is an advertisement of it."
SAID = 2.0  # log-odds of a plain "yes", where a model gives no probabilities
WORDS = {"yes": True, "no": False}
ROUNDING = 1e-3  # by which a log-probability may lie above 0
FEWEST = 0.2  # probability that the answer is yes or no at all; a model that says other things doesn't know
QUESTIONS = {
    "space_mismatch": "Does the product float in the air, sink into something, or stand on nothing?",
    "size_mismatch": "Does the product have the wrong size compared with the things around it?",
    "indistinctiveness": "Is the product hard to tell from a cluttered background, or from one of its own colours?",
    "shape_hallucination": "Has the product grown a part that it doesn't have, such as a pedestal, a leg or a handle?",
}


def question(canvas, defect: str, layout: str = APART) -> str:
    """layout: how product and picture are shown, APART or TOGETHER."""
    caption = canvas.product.caption[:300]
    shown = layout.format(f" ({caption})" if caption else "")
    return f"{shown} {QUESTIONS[defect]} Answer with one word, yes or no."


def product_picture(canvas) -> Image.Image:
    """The placed product on white, cut to its box."""
    left, top, right, bottom = canvas.box
    white = canvas.alpha * canvas.rgb + (1 - canvas.alpha)
    return to_picture(white[:, top:bottom, left:right])


def to_picture(image: torch.Tensor) -> Image.Image:
    """(3, H, W) in [0, 1] as a Pillow picture of at most SIDE pixels."""
    pixels = (image.detach().float().cpu().clamp(0, 1) * 255 + 0.5).byte().permute(1, 2, 0).numpy()
    picture = Image.fromarray(pixels)
    picture.thumbnail((SIDE, SIDE))
    return picture


def meaning(text: str) -> bool | None:
    """Whether a word of an answer says yes or no; None for neither."""
    return WORDS.get(text.strip(" \t\r\n.,!\"'*\u0120\u2581").lower())


def log_odds(answers: Iterable[tuple[str, float]]) -> float:
    """Log-odds of yes from (word, log-probability) of what an answer may begin with; NaN where it is neither, or where
    a number is none of a probability.
    """
    shares = {True: 0.0, False: 0.0}
    for text, log_probability in answers:
        if (said := meaning(text)) is not None:
            if not log_probability <= ROUNDING:  # which NaN isn't, either
                return math.nan
            shares[said] += math.exp(min(0.0, log_probability))
    if sum(shares.values()) < FEWEST:
        return math.nan
    odds = math.log(max(shares[True], 1e-9)) - math.log(max(shares[False], 1e-9))
    return max(-SURE, min(SURE, odds))


def plain_word(text: str, who: str) -> float:
    """Log-odds of yes in an answer that is one word. who: in the sentence where it says neither yes nor no.

    Raises OpinionError.
    """
    said = meaning(text)
    if said is None:
        raise OpinionError(f"{who} answered {shortened(text)} where yes or no was asked for.")
    return SAID if said else -SAID


def asked_all(ask, canvas, images: torch.Tensor, prepared=lambda picture: picture, layout=APART) -> torch.Tensor:
    """(B, 4) of ask(product picture, picture, question) -> log-odds of yes. prepared(picture): what ask gets for a
    Pillow picture, such as its bytes; made once for all questions.
    """
    product = prepared(product_picture(canvas))
    asked = [question(canvas, defect, layout) for defect in DEFECTS]
    pictures = (prepared(to_picture(image)) for image in images)
    return torch.tensor([[ask(product, picture, text) for text in asked] for picture in pictures])
