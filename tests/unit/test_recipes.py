"""The examples run as they are printed, here on the pocket family saved as diffusers saves any Stable Diffusion."""

import json
import subprocess
import sys

import pytest
from PIL import Image

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.pocket.ldm import load_pocket

EXAMPLE = ROOT / "recipes" / "diffusers_loop.py"


@pytest.fixture(scope="module")
def family(tmp_path_factory):
    """(checkpoint, ControlNet) as diffusers folders."""
    from diffusers import DDIMScheduler, StableDiffusionControlNetPipeline
    from open_clip.tokenizer import SimpleTokenizer
    from transformers import CLIPTokenizer

    where, pocket, words = tmp_path_factory.mktemp("family"), load_pocket(), SimpleTokenizer()
    vocabulary = {
        {"<start_of_text>": "<|startoftext|>", "<end_of_text>": "<|endoftext|>"}.get(word, word): number
        for word, number in words.encoder.items()
    }
    (where / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (where / "merges.txt").write_text(
        "#version: 0.2\n" + "\n".join(" ".join(pair) for pair in words.bpe_ranks), encoding="utf-8"
    )
    tokenizer = CLIPTokenizer.from_pretrained(where, model_max_length=77, local_files_only=True)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )
    pipe = StableDiffusionControlNetPipeline(
        pocket.vae,
        pocket.text_encoder,
        tokenizer,
        pocket.unet,
        pocket.controlnet,
        scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(where / "checkpoint")
    pocket.controlnet.save_pretrained(where / "controlnet")
    return where / "checkpoint", where / "controlnet"


def run(folder, *arguments):
    return subprocess.run(
        [sys.executable, EXAMPLE, *map(str, arguments)], cwd=folder, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow(reason="a process with a pipeline")
def test_the_loop_around_a_diffusers_pipeline(family, tmp_path):
    product = ROOT / "pocket" / "demo_product.png"
    done = run(
        tmp_path,
        *family,
        product,
        "a green bottle with a white label",
        "photo, on a wooden table, a pine forest, soft daylight",
    )
    assert done.returncode == 0, done.stderr
    *attempts, last = done.stdout.splitlines()
    assert [line.split(" · ")[0] for line in attempts] == [
        f"attempt {number}/5" for number in range(1, len(attempts) + 1)
    ]
    assert ("advert.png: accepted, " in last) is ("available" in attempts[-1])
    picture = Image.open(tmp_path / "advert.png")
    assert picture.size == (256, 256) and len(picture.getcolors(256 * 256)) > 1000


@pytest.mark.slow(reason="a process of its own")
def test_without_arguments_it_says_how_it_is_called(tmp_path):
    done = run(tmp_path)
    assert done.returncode == 1 and "python recipes/diffusers_loop.py CHECKPOINT" in done.stderr
