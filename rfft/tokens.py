"""Prompts as Stable Diffusion's text encoders take them."""

import functools

import torch

START, END, LENGTH = 49406, 49407, 77


@functools.lru_cache(maxsize=1)
def _bpe():
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def tokenize(prompts: list, padding: int = END) -> torch.Tensor:
    """Prompts -> (B, 77) ids of CLIP's vocabulary: start, words, end, and padding: more ends in SD 1.x, 0 for SDXL's
    second encoder. Longer prompts lose their tail.
    """
    rows = [[START, *_bpe().encode(prompt)[: LENGTH - 2], END] for prompt in prompts]
    return torch.tensor([row + [padding] * (LENGTH - len(row)) for row in rows], dtype=torch.long)
