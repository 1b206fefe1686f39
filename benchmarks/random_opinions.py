"""Models for second opinions with random weights, as transformers' save_pretrained writes them: thin ones for tests,
and ones of a real size to be timed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

WORDS = ("yes", "no", "Yes", "No", "product")
TEMPLATE = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image> {% else %}{{ part['text'] }} {% endif %}"
    "{% endfor %}{% endfor %}"
)


@dataclass(frozen=True)
class Size:
    """Of a LLaVA: side of its pictures, pixels; widths, layers and heads of what sees and of what writes."""

    side: int = 32
    seeing: tuple[int, int, int] = (16, 2, 2)
    writing: tuple[int, int, int] = (16, 1, 2)


THIN = Size()
USUAL = Size(224, (768, 12, 12), (576, 30, 9))  # 0.2 billion weights, as the smallest models that people use


def write_language(folder, words=WORDS, size: Size = THIN):
    """A LLaVA (arXiv:2304.08485). words: what it can say; with few of them a random model says yes or no often enough.
    Returns the folder.
    """
    import transformers
    from tokenizers import Tokenizer, models, pre_tokenizers

    vocabulary = {word: number for number, word in enumerate(["<unk>", "<pad>", "<s>", "</s>", "<image>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="<unk>",
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens={"image_token": "<image>"},
    )
    square = {"height": size.side, "width": size.side}
    processor = transformers.LlavaProcessor(
        transformers.CLIPImageProcessor(size={"shortest_edge": size.side}, crop_size=square),
        fast,
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )
    (seen, layers, heads), (width, depth, many) = size.seeing, size.writing
    vision = transformers.CLIPVisionConfig(
        hidden_size=seen,
        intermediate_size=4 * seen,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        image_size=size.side,
        patch_size=16,
    )
    text = transformers.LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=width,
        intermediate_size=width * 8 // 3,
        num_hidden_layers=depth,
        num_attention_heads=many,
        num_key_value_heads=many,
        bos_token_id=vocabulary["<s>"],
        eos_token_id=vocabulary["</s>"],
    )
    torch.manual_seed(0)
    config = transformers.LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=vocabulary["<image>"], vision_feature_layer=-1
    )
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


def write_sam(folder, thin: bool = True):
    """A SAM (arXiv:2304.02643), thin or of ViT-B's size. Returns the folder."""
    import transformers

    sizes = {"hidden_size": 16, "mlp_dim": 16, "num_hidden_layers": 1, "num_attention_heads": 2} if thin else {}
    patches = {"image_size": 64, "patch_size": 8} if thin else {}
    seeing = {"output_channels": 16, "window_size": 4, "global_attn_indexes": [0], "num_pos_feats": 8} if thin else {}
    hidden = {"hidden_size": 16} if thin else {}
    head = {"iou_head_hidden_dim": 16} if thin else {}
    prompt = {"mask_input_channels": 4} if thin else {}
    torch.manual_seed(0)
    config = transformers.SamConfig(
        vision_config=transformers.SamVisionConfig(**sizes, **patches, **seeing),
        prompt_encoder_config=transformers.SamPromptEncoderConfig(**hidden, **patches, **prompt),
        mask_decoder_config=transformers.SamMaskDecoderConfig(**sizes, **head),
    )
    transformers.SamModel(config).save_pretrained(folder)
    side = 64 if thin else 1024
    images = transformers.SamImageProcessor(size={"longest_edge": side}, pad_size={"height": side, "width": side})
    transformers.SamProcessor(images).save_pretrained(folder)
    return folder
