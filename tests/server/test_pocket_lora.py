"""A file of `pocket train lora` on ComfyUI's stock LoRA loader: every layer is found, and the picture is the one of the
folded weights.
"""

import numpy as np
import pytest
import torch

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.ldm import load_pocket, save_checkpoint
from reliable_ads.pocket.training.style_lora import low_rank_updates, save_lora
from reliable_ads.pocket.tuning import models_of
from reliable_ads.rfft.lora import fold_loras

from .ads import CHECKPOINT, CONTROLNET, ad, latent

LORA, FOLDED, STRENGTH = "lora_style.safetensors", "tiny_folded.safetensors", 0.7


@pytest.fixture(scope="module")
def files(base):
    """The LoRA in models/loras, and beside the checkpoint one with the LoRA folded in."""
    pockets, loras = base / "models" / "pocket", base / "models" / "loras"
    loras.mkdir(exist_ok=True)
    pocket = load_pocket(pockets / CHECKPOINT, pockets / CONTROLNET)
    updates = low_rank_updates(pocket.unet, 4)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(5)
        for update in updates.values():
            update.up.normal_(std=0.1)
    save_lora(loras / LORA, updates)
    fold_loras(models_of(pocket), [{"file": loras / LORA, "strength": STRENGTH}])
    save_checkpoint(pockets / FOLDED, pocket)


def drawn(client, base, name: str, checkpoint: str = CHECKPOINT, lora: float | None = None) -> np.ndarray:
    """The latent that stock nodes draw with this checkpoint and the LoRA at a strength."""
    graph = {
        key: value
        for key, value in ad(models__ckpt_name=checkpoint).items()
        if key in ("picture", "product", "models", "prompt", "negative", "control")
    }
    model = ["models", 0]
    if lora is not None:
        graph["lora"], model = (
            node("LoraLoaderModelOnly", model=model, lora_name=LORA, strength_model=lora),
            ["lora", 0],
        )
    graph["empty"] = node("EmptyLatentImage", width=128, height=128, batch_size=1)
    graph["sample"] = node(
        "KSampler",
        model=model,
        positive=["control", 0],
        negative=["control", 1],
        latent_image=["empty", 0],
        seed=3,
        steps=2,
        cfg=3.0,
        sampler_name="euler",
        scheduler="normal",
        denoise=1.0,
    )
    graph["keep"] = node("SaveLatent", samples=["sample", 0], filename_prefix=name)
    client.outputs(graph)
    return latent(base, name)


def test_the_stock_loader_takes_every_layer_as_folding_does(client, base, files):
    plain, styled, none, folded = (
        drawn(client, base, *options)
        for options in (
            ("l_plain",),
            ("l_style", CHECKPOINT, STRENGTH),
            ("l_none", CHECKPOINT, 0.0),
            ("l_folded", FOLDED),
        )
    )
    change = np.abs(styled - plain).max()
    assert np.array_equal(none, plain) and change > 0.05
    assert np.abs(styled - folded).max() < 0.02 * change  # the folded checkpoint is kept in half precision
    assert "lora key not loaded" not in (base / "server.log").read_text(encoding="utf-8", errors="replace")
