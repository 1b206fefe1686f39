"""A model of ComfyUI's own that writes text and sees pictures, asked one yes/no question for each defect."""

from functools import partial

import numpy as np
import torch
from PIL import Image

from ..rfnet.opinions.protocol import OpinionError
from ..rfnet.opinions.questions import APART, TOGETHER, asked_all, log_odds, plain_word
from .own_models import asking, known_as

SIDE = 896  # pixels of the square that shows product and picture together
LIKELIEST = 64  # words that an answer may begin with
TOKENS = 8  # of a plain answer: enough for a word, too few for prose
USE = "load a model that writes text and sees pictures, such as Qwen3-VL or Gemma 3, with Load CLIP"


class TextModel:
    """Evidence for every defect from the probabilities of "yes" and "no" as the first word of the answer.

    clip: a CLIP of ComfyUI's whose tokenizer takes pictures. One that takes two at once gets product and picture
    apart; else both stand in one. Where the probabilities are out of reach, a plain word counts. Raises OpinionError.
    """

    name, proof = "text_model", False
    cost = "four passes of the model"

    def __init__(self, clip):
        if not callable(getattr(clip, "generate", None)):
            raise OpinionError(
                "this ComfyUI writes no text with a CLIP: update it, or leave the input text_model unconnected."
            )
        found = writers(clip.cond_stage_model)
        if not found:
            raise OpinionError(f"the CLIP at text_model writes no text: {USE}.")
        places = pictures_of(clip.tokenize("?", image=torch.zeros(2, 64, 64, 3), **ASKED))
        if not places:
            raise OpinionError(f"the CLIP at text_model writes text but sees no pictures: {USE}.")
        path, network = found[0]
        self.network_name = path.partition(".")[0]
        self.model = known_as(self.network_name, network)
        self.layout = APART if places > 1 else TOGETHER
        self.logits = Logits(network)
        self.clip = clip.clone()
        if self.logits.known:
            self.clip.patcher.add_object_patch(f"{path}.logits", self.logits)

    @torch.no_grad()
    def evidence(self, canvas, images: torch.Tensor, depth: torch.Tensor | None = None) -> torch.Tensor:
        """As protocol.Opinion."""
        return asked_all(self._ask, canvas, images, layout=self.layout)

    def _ask(self, product: Image.Image, picture: Image.Image, text: str) -> float:
        """Log-odds of yes."""
        shown = (apart if self.layout == APART else together)(product, picture)
        with asking(self.network_name):
            self.logits.last = None
            answer = self._answer(text, shown, 1 if self.logits.known else TOKENS)
            if self.logits.last is None:
                return plain_word(answer, "it")
            likeliest = self.logits.last.log_softmax(0).topk(LIKELIEST)
            return log_odds(zip(map(self._word, likeliest.indices.tolist()), likeliest.values.tolist()))

    def _word(self, token: int) -> str:
        """ "" for the numbers that some networks have beyond their tokenizer's words."""
        try:
            return self.clip.decode([token])
        except (IndexError, KeyError, TypeError, ValueError):
            return ""

    def _answer(self, text: str, shown: torch.Tensor, length: int) -> str:
        tokens = self.clip.tokenize(text, image=shown, **ASKED)
        return self.clip.decode(self.clip.generate(tokens, do_sample=False, max_length=length))


ASKED = {"skip_template": False, "min_length": 1, "thinking": False}  # as ComfyUI's own node for text has it


class Logits:
    """Stands in for a network's `logits` and keeps the last ones: ComfyUI's generate gives tokens alone."""

    def __init__(self, network):
        self.known = callable(getattr(type(network), "logits", None))
        self.of = partial(type(network).logits, network) if self.known else None
        self.last: torch.Tensor | None = None  # (words,)

    def __call__(self, hidden: torch.Tensor) -> torch.Tensor:
        found = self.of(hidden)
        self.last = found[0, -1].detach().float()
        return found


def writers(model) -> list[tuple]:
    """(its path in the model, network) of those that write text."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if name.endswith("transformer") and callable(getattr(module, "generate", None))
    ]


def pictures_of(tokens: dict) -> int:
    """How many pictures stand among the tokens."""
    return sum(isinstance(part[0], dict) for rows in tokens.values() for row in rows for part in row)


def apart(product: Image.Image, picture: Image.Image) -> torch.Tensor:
    """(2, H, W, 3) in [0, 1]: the product on white, as large as the picture, and the picture."""
    return torch.stack([as_tensor(fitted(product, picture.size)), as_tensor(picture)])


def together(product: Image.Image, picture: Image.Image) -> torch.Tensor:
    """(1, SIDE, SIDE, 3) in [0, 1]: the product on the left, the picture on the right. Square, since some models cut to
    that.
    """
    both = Image.new("RGB", (SIDE, SIDE), "white")
    for left, half in ((0, product), (SIDE // 2, picture)):
        both.paste(fitted(half, (SIDE // 2, SIDE)), (left, 0))
    return as_tensor(both)[None]


def fitted(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    """In the middle of a white picture of this size."""
    scale = min(size[0] / picture.width, size[1] / picture.height)
    small = picture.resize([max(1, round(side * scale)) for side in picture.size], Image.Resampling.LANCZOS)
    white = Image.new("RGB", size, "white")
    white.paste(small, ((size[0] - small.width) // 2, (size[1] - small.height) // 2))
    return white


def as_tensor(picture: Image.Image) -> torch.Tensor:
    """(H, W, 3) in [0, 1]."""
    return torch.from_numpy(np.asarray(picture, dtype=np.float32) / 255)
