"""Prompts are encoded as diffusers' pipelines encode them, on small random text encoders."""

from types import SimpleNamespace

import pytest
import torch

from reliable_ads.benchmarks.small_flow import CLIP, QWEN, T5, save_tokenizer
from reliable_ads.rfft.families.loading import FLOW_FAMILIES
from reliable_ads.rfft.families.z_image import TEMPLATE

PROMPTS = ["on sand, a park", "on a table in the sunlight, a white wall"]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("t") / "tokenizer"
    save_tokenizer(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


@pytest.fixture(scope="module")
def clip_tokenizers() -> list:
    """As SD 3.5's and Flux.1's folders have them: the second one pads with "!"."""
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    known = SimpleTokenizer()
    vocabulary = {
        {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(word, word): place
        for word, place in known.encoder.items()
    }
    merges = sorted(known.bpe_ranks, key=known.bpe_ranks.get)
    return [
        CLIPTokenizer(vocab=dict(vocabulary), merges=merges, model_max_length=77, pad_token=padding)
        for padding in ("<|endoftext|>", "!")
    ]


def of(kind: str, config: dict):
    import transformers

    torch.manual_seed(0)
    kind = getattr(transformers, kind)
    return kind(kind.config_class(**config)).eval()


def pipeline(**parts) -> SimpleNamespace:
    """What their methods read of a pipeline."""
    return SimpleNamespace(_execution_device="cpu", tokenizer_max_length=77, **parts)


@torch.no_grad()
def test_flux(tokenizer, clip_tokenizers):
    from diffusers import FluxPipeline

    texts = {"text_encoder": of("CLIPTextModel", CLIP), "text_encoder_2": of("T5EncoderModel", T5)}
    ours = FLOW_FAMILIES["flux"].encode(texts, {"tokenizer_2": tokenizer}, PROMPTS)
    theirs = pipeline(**texts, tokenizer=clip_tokenizers[0], tokenizer_2=tokenizer)
    assert torch.allclose(ours.context, FluxPipeline._get_t5_prompt_embeds(theirs, list(PROMPTS)), atol=1e-6)
    assert torch.allclose(ours.pooled, FluxPipeline._get_clip_prompt_embeds(theirs, list(PROMPTS)), atol=1e-6)


@torch.no_grad()
def test_sd35_with_and_without_t5(tokenizer, clip_tokenizers):
    from diffusers import StableDiffusion3Pipeline as Theirs

    texts = {name: of("CLIPTextModelWithProjection", CLIP) for name in ("text_encoder", "text_encoder_2")}
    texts["text_encoder_3"] = of("T5EncoderModel", T5)
    ours = FLOW_FAMILIES["sd35"].encode(texts, {"tokenizer_3": tokenizer}, PROMPTS)
    first, second = clip_tokenizers
    theirs = pipeline(**texts, tokenizer=first, tokenizer_2=second, tokenizer_3=tokenizer)
    for tower, channels in enumerate((slice(0, 32), slice(32, 64))):
        words, summary = Theirs._get_clip_prompt_embeds(theirs, list(PROMPTS), clip_model_index=tower)
        assert torch.allclose(ours.context[:, :77, channels], words, atol=1e-6)
        assert torch.allclose(ours.pooled[:, channels], summary, atol=1e-6)
    more = Theirs._get_t5_prompt_embeds(theirs, list(PROMPTS))
    assert torch.allclose(ours.context[:, 77:], more, atol=1e-6) and more.shape[1] == 256
    del texts["text_encoder_3"]
    assert FLOW_FAMILIES["sd35"].encode(texts, {}, PROMPTS).context.shape == (2, 77, 64)


@torch.no_grad()
def test_qwen_image(tokenizer):
    from diffusers import QwenImagePipeline

    rope = {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0}
    seen = {"depth": 1, "hidden_size": 32, "num_heads": 2, "out_hidden_size": 32, "intermediate_size": 32}
    whole = of(
        "Qwen2_5_VLForConditionalGeneration",
        {"text_config": {**QWEN, "rope_scaling": rope, "rope_parameters": rope}, "vision_config": seen},
    )
    texts = {"text_encoder": whole.model.language_model}
    ours = FLOW_FAMILIES["qwen_image"].encode(texts, {"tokenizer": tokenizer}, PROMPTS)
    theirs = QwenImagePipeline(
        text_encoder=whole, tokenizer=tokenizer, **dict.fromkeys(("scheduler", "vae", "transformer"))
    )
    context, mask = theirs._get_qwen_prompt_embeds(list(PROMPTS))
    assert ours.lengths == tuple(mask.sum(1).tolist()) and len(set(ours.lengths)) == 2
    assert torch.allclose(ours.context, context, atol=1e-6)


@torch.no_grad()
def test_z_image(tokenizer):
    from diffusers import ZImagePipeline

    encoder = of("Qwen3Model", {**QWEN, "head_dim": 16})
    ours = FLOW_FAMILIES["z_image"].encode({"text_encoder": encoder}, {"tokenizer": tokenizer}, PROMPTS)
    tokenizer.chat_template = TEMPLATE.replace("{}", "{{ messages[0].content }}")
    theirs = ZImagePipeline._encode_prompt(pipeline(text_encoder=encoder, tokenizer=tokenizer), list(PROMPTS))
    assert ours.lengths == tuple(len(words) for words in theirs)
    for row, words in zip(ours.context, theirs):
        assert torch.allclose(row[: len(words)], words, atol=1e-6) and not row[len(words) :].any()
