"""A node for the tests alone, put into the server's custom_nodes: models that write text, whose weights say one word.

Their classes are ComfyUI's own; only their sizes are small. Nothing but its last token tells such a model what it says
next, so `yes` and `no` are the logits of these two words and every other word's is 0.
"""

import io
import math
from types import SimpleNamespace

import comfy.sd
import comfy.text_encoders.llama as llama
import comfy.text_encoders.lumina2
import comfy.text_encoders.z_image
import torch

WIDTH = 64
TINY = {"hidden_size": WIDTH, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 2}
SEES = {"num_attention_heads": 2, "num_hidden_layers": 1, "hidden_size": 32, "intermediate_size": 32, "image_size": 56}
WORDS = ["yes", "no", "maybe", "\n"]


def qwen3vl():
    """Takes several pictures at once."""
    from comfy.text_encoders import qwen3vl

    visual = {"hidden_size": 32, "intermediate_size": 32, "depth": 2, "num_heads": 2, "deepstack_visual_indexes": [0]}
    qwen3vl.QWEN3VL_CONFIGS["tiny"] = lambda: llama.Qwen3VL_4BConfig(**TINY, num_key_value_heads=1)
    qwen3vl.QWEN3VL_VISION["tiny"] = visual
    return clip(qwen3vl.te(model_type="tiny"), qwen3vl.tokenizer(model_type="tiny"))


def plain():
    """The same where ComfyUI has no function of the name `logits` that gives them."""
    made = qwen3vl()
    network = made.cond_stage_model.tiny.transformer
    logits = network.logits
    network.__class__ = type("Plain", (type(network),), {"logits": None})
    network.logits = logits
    return made


def gemma3():
    """Takes one picture, square."""
    config = llama.Gemma3_4B_Vision_Config
    config.vision_config = {**config.vision_config, **SEES}
    config.mm_tokens_per_image = 4
    with smaller(config, num_key_value_heads=1, head_dim=32):
        made = comfy.text_encoders.lumina2.te(model_type="gemma3_4b_vision")
        return clip(made, comfy.text_encoders.lumina2.NTokenizer, {"spiece_model": pieces()})


def qwen3():
    """Writes, and sees nothing."""
    with smaller(llama.Qwen3_4BConfig, num_key_value_heads=1):
        return clip(comfy.text_encoders.z_image.te(), comfy.text_encoders.z_image.ZImageTokenizer)


class smaller:
    """While it is entered, networks of this config get small."""

    def __init__(self, config, **sizes):
        self.config, self.sizes = config, {**TINY, **sizes}

    def __enter__(self):
        self.init = init = self.config.__init__
        sizes = {name: size for name, size in self.sizes.items() if name in self.config.__dataclass_fields__}
        self.config.__init__ = lambda config, **given: init(config, **{**sizes, **given})

    def __exit__(self, *_):
        self.config.__init__ = self.init


def pieces() -> bytes:
    """A SentencePiece model of a few words, in which each letter is a piece, too."""
    import sentencepiece

    file = io.BytesIO()
    text = iter(["product picture advertisement yes no maybe Is it? (a box), 0123456789 <>_\n.,'" * 5] * 20)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=text,
        model_writer=file,
        vocab_size=90,
        hard_vocab_limit=False,
        byte_fallback=False,
        user_defined_symbols=WORDS,
    )
    return file.getvalue()


def clip(model, tokenizer, data=None) -> comfy.sd.CLIP:
    target = SimpleNamespace(clip=model, tokenizer=tokenizer, params={})
    return comfy.sd.CLIP(target, tokenizer_data=data or {})


@torch.no_grad()
def saying(made: comfy.sd.CLIP, yes: float, no: float) -> comfy.sd.CLIP:
    """Writes what the words' logits are; what sees gets small random weights."""
    torch.manual_seed(0)
    for name, weight in made.cond_stage_model.named_parameters():
        weight.zero_() if weight.ndim < 2 or "o_proj" in name or "down_proj" in name else weight.normal_(std=0.02)
    (network,) = (m for n, m in made.cond_stage_model.named_modules() if n.endswith("transformer"))
    words = network.model.embed_tokens.weight
    words.zero_()
    words[:, 0] = 1.0
    words[:, 1] = -1.0  # every word's hidden state is the same, and no word but these two likes it
    words[network.model.config.stop_tokens[-1], 2] = 100.0  # which comes after them
    length = math.sqrt(WIDTH / 2)  # what the last norm makes of 1
    norm = network.model.norm
    norm.weight.fill_(0.0 if getattr(norm, "add", False) else 1.0)
    for word, logit in (("yes", yes), ("no", no)):
        tokens = made.tokenize(word, skip_template=True)
        (row,) = next(iter(tokens.values()))
        number = [part[0] for part in row if made.decode([part[0]]).strip() == word][-1]
        words[number, 0] = 1.0 + logit / length
        words[number, 2] = 1.0
    return made


FAMILIES = {"qwen3vl": qwen3vl, "plain": plain, "gemma3": gemma3, "qwen3": qwen3}


class TestTextModel:
    RETURN_TYPES = ("CLIP",)
    FUNCTION = "make"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {
            "required": {
                "family": (list(FAMILIES),),
                "yes": ("FLOAT", {"default": 0.0, "min": -100.0, "max": 100.0}),
                "no": ("FLOAT", {"default": 0.0, "min": -100.0, "max": 100.0}),
            }
        }

    def make(self, family, yes, no):
        return (saying(FAMILIES[family](), yes, no),)


WRITES = hasattr(comfy.sd.CLIP, "generate")
NODE_CLASS_MAPPINGS = {"TestTextModel": TestTextModel} if WRITES else {}
