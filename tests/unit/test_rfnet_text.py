"""The small text encoder and CLIP's vocabulary: what weights files hold and give does not depend on a version of
open_clip.
"""

import sys
from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageDraw, ImageFont

from reliable_ads.rfnet.architectures import ARCHITECTURES, ArchitectureError
from reliable_ads.rfnet.captions import clip_tokens
from reliable_ads.rfnet.lettering import letters, write
from reliable_ads.rfnet.towers import SmallTransformer, clip_config
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, load_networks

from .rfnet_examples import SMALL

CAPTIONS = (  # ids that open_clip 2.20 and 3.3 both give
    ("a red running shoe", [320, 736, 2761, 7342]),
    ("保湿面霜 50ml", [160, 123, 251, 162, 117, 123, 165, 251, 95, 165, 250, 506, 276, 271, 5780]),
    ("كريم ٥٠ مل", [33499, 43273, 29945, 149, 354, 149, 510, 12986, 37899]),
    ("Крем, 50 мл", [27152, 16370, 22176, 140, 376, 267, 276, 271, 38018, 140, 375]),
    ("한국어", [15197, 250, 31871, 255, 31625, 368]),
    ("ça coûte 3€", [22711, 622, 127, 119, 756, 274, 6309]),
    ("e\u0301te\u0301", [3459, 39694]),
    ("👟🇩🇪", [964, 253, 21531]),
    ("&lt;b&gt; mug", [283, 321, 285, 9722]),
    ("schÃ¶n", [844, 7255, 333]),
    ("<end_of_text> b", [49407, 321]),
    ("!!! x\t\n\x00", [995, 343]),
)


@pytest.fixture
def theirs():
    """open_clip's own text tower in the compact reviewer's shape, as it was used up to this version."""
    from open_clip.transformer import TextTransformer

    config = ARCHITECTURES["compact"]
    torch.manual_seed(5)
    return TextTransformer(
        context_length=config.context,
        vocab_size=config.vocabulary,
        width=config.text_width,
        heads=config.text_heads,
        layers=config.text_layers,
        output_dim=None,
        proj_type="none",
        no_causal_mask=True,
        use_pad_mask=True,
        pool_type="none",
        output_tokens=True,
    ).eval()


def test_it_begins_with_the_same_numbers_under_the_same_names(theirs):
    torch.manual_seed(5)
    ours = SmallTransformer(ARCHITECTURES["compact"]).state_dict()
    assert list(ours) == list(theirs.state_dict())
    assert all(torch.equal(value, ours[name]) for name, value in theirs.state_dict().items())


@pytest.mark.parametrize("gradients", [True, False])
def test_the_shipped_weights_give_the_same_states_to_the_last_bit(theirs, gradients):
    rfnet = load_networks(DEFAULT_WEIGHTS)[0]
    theirs.load_state_dict(rfnet.text.transformer.state_dict())
    tokens = rfnet.tokenize([caption for caption, _ in CAPTIONS] + ["", "long words " * 40])
    with torch.set_grad_enabled(gradients):
        assert torch.equal(rfnet.text(tokens)[0], theirs(tokens)[1])


@pytest.mark.parametrize("caption, ids", CAPTIONS)
def test_captions_of_many_scripts_have_their_ids(caption, ids):
    assert clip_tokens([caption], 32).tolist() == [[49406, *ids, 49407] + [0] * (30 - len(ids))]


def test_long_captions_keep_their_end():
    from open_clip.tokenizer import SimpleTokenizer

    captions = ["a red shoe " * 40, "x" * 3000, "保湿面霜" * 30]
    assert torch.equal(
        clip_tokens(captions, 32), SimpleTokenizer()([caption[:2000] for caption in captions], context_length=32)
    )


def test_an_open_clip_without_the_image_tower_of_today_is_refused_in_one_sentence(monkeypatch):
    import open_clip

    monkeypatch.setattr(
        open_clip.transformer,
        "VisionTransformer",
        type("VisionTransformer", (), {"__init__": lambda self, image_size, patch_size: None}),
    )
    with pytest.raises(ArchitectureError, match=r"needs open_clip_torch 2.23 or newer"):
        clip_config("open_clip/ViT-B-32")


def test_a_missing_open_clip_is_said_when_the_reviewer_is_loaded(monkeypatch):
    from reliable_ads.rfnet import captions
    from reliable_ads.rfnet.model import RFNet

    captions._clip_vocabulary.cache_clear()
    monkeypatch.setitem(sys.modules, "open_clip.tokenizer", None)
    with pytest.raises(
        ArchitectureError, match=r"reading captions needs open_clip_torch, .*pip install open_clip_torch"
    ):
        RFNet(SMALL)
    RFNet(replace(SMALL, inputs=("product", "generated")))


def test_words_stand_where_they_belong_in_pillows_small_font_too(monkeypatch):
    small = ImageFont.load_default_imagefont()
    for load in (ImageFont.load_default, lambda: small):
        monkeypatch.setattr(ImageFont, "load_default", load)
        picture = Image.new("L", (200, 60))
        write(ImageDraw.Draw(picture), (100, 30), "available 0.93", 255, 14, "mm")
        left, top, right, bottom = picture.getbbox()
        assert abs((left + right) / 2 - 100) < 4 and abs((top + bottom) / 2 - 30) < 4
    assert letters(14) is small
