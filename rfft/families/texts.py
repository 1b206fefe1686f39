"""Prompts as the text encoders of flow-matching models take them: CLIP's words and summary, T5's words, and the words
of language models.
"""

from __future__ import annotations

import torch

from ..models import Text
from ..tokens import tokenize


def clip(encoder, prompts: list[str], padding: int | None = None):
    """What a CLIP text tower puts out, with all hidden states; padding: as tokens.tokenize."""
    tokens = tokenize(prompts) if padding is None else tokenize(prompts, padding)
    return encoder(tokens.to(encoder.device), output_hidden_states=True)


def t5(encoder, tokenizer, prompts: list[str], length: int) -> torch.Tensor:
    """(B, length, C): every prompt padded to the length, or cut; padding is looked at, too, as these models learned."""
    tokens = tokenizer(prompts, padding="max_length", max_length=length, truncation=True)["input_ids"]
    return encoder(torch.tensor(tokens, device=encoder.device)).last_hidden_state


def language_model(
    encoder, tokenizer, prompts: list[str], length: int, template: str, layer: int, dropped: int = 0
) -> Text:
    """The hidden states of a language model for each prompt in a chat template, from the right layer.

    length: tokens at most; dropped: how many of the template's first ones are left out. The context is padded behind
    the longest prompt.
    """
    rows = [tokenizer(template.format(prompt), max_length=length, truncation=True)["input_ids"] for prompt in prompts]
    longest = max(len(row) for row in rows)
    padded = [row + [0] * (longest - len(row)) for row in rows]  # what it stands for isn't looked at
    seen = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    states = encoder(
        input_ids=torch.tensor(padded, device=encoder.device),
        attention_mask=torch.tensor(seen, device=encoder.device),
        output_hidden_states=True,
    ).hidden_states[layer]
    lengths = tuple(len(row) - dropped for row in rows)
    context = states[:, dropped:]
    there = [[1.0] * count + [0.0] * (context.shape[1] - count) for count in lengths]
    return Text(context * torch.tensor(there, device=context.device, dtype=context.dtype)[..., None], None, lengths)
