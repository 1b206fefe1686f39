"""Good files of every kind, small, the same each time: what the bad ones are made from."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from reliable_ads.cyclic.gallery import Gallery, jobs
from reliable_ads.pocket.family import POCKET, build_pocket
from reliable_ads.pocket.ldm import save_checkpoint, save_controlnet
from reliable_ads.rfft.adapter import Adapter, save_adapter, sha256_of
from reliable_ads.rfnet.architectures import RFNetConfig
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.model import RFNet
from reliable_ads.rfnet.weights import save_reviewer

from ..common import ROOT

SMALL = {
    **POCKET,
    "unet": {**POCKET["unet"], "channels": [32, 32, 64], "context": 32, "heads": 4},
    "clip": {
        **POCKET["clip"],
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_attention_heads": 2,
        "num_hidden_layers": 1,
        "projection_dim": 32,
    },
}
REVIEWER = RFNetConfig(
    image_size=64,
    map_size=64,
    width=32,
    heads=4,
    fusion_layers=1,
    text_width=32,
    text_layers=1,
    text_heads=2,
)


def cut_out(width: int = 96, height: int = 120) -> Image.Image:
    """A striped box on a transparent ground."""
    rgba = np.zeros((height, width, 4), np.uint8)
    rgba[20:-12, 16:-16] = (210, 90, 30, 255)
    rgba[20:-12:6, 16:-16, :3] = np.linspace(20, 230, width - 32)[None, :, None]
    return Image.fromarray(rgba)


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """A picture as a file of Pillow's format `kind`."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def make(folder: Path) -> None:
    """Writes all of them into a folder: reviewer, adapter, lora, pocket family, profile, gallery, labels, products,
    table."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        scores = {"ap": {"value": 0.9, "low": 0.8, "high": 0.95, "n": 100}}
        save_reviewer(
            folder / "reviewer.safetensors",
            RFNet(REVIEWER),
            MapNet(),
            {"scores": scores, "created_with": "benchmarks.robustness"},
        )
        family(folder)
    shutil.copy(ROOT / "rfnet" / "weights" / "pocket.gates.json", folder / "good.gates.json")
    cut_out().save(folder / "product.png")
    Image.new("RGB", (96, 120), (90, 120, 60)).save(folder / "drawn.png")
    gallery(folder / "gallery", folder / "product.png")
    labels(folder / "labels")
    shop = folder / "shop"
    shop.mkdir()
    cut_out().save(shop / "a_box.png")
    table(folder)
    (folder / "prompts.txt").write_text("on a wooden table, soft light\n", encoding="utf-8")


def table(folder: Path) -> None:
    """A table of ten labelled pictures of five products."""
    rows = []
    for number, label in enumerate(LABELS * 2):
        Image.new("RGB", (96, 120), (20 * number, 120, 60)).save(folder / f"drawn_{number}.png")
        row = {"image": f"drawn_{number}.png", "product": "product.png", "label": label, "caption": "a box"}
        rows.append(json.dumps({**row, "product_id": f"p{number % 5}"}) + "\n")
    (folder / "table.jsonl").write_text("".join(rows), encoding="utf-8")


def family(folder: Path) -> None:
    """A pocket family, an adapter for its ControlNet and a LoRA for its UNet."""
    from safetensors.torch import save_file

    small = build_pocket(SMALL)
    save_checkpoint(folder / "pocket_sd.safetensors", small)
    save_controlnet(folder / "pocket_canny.safetensors", small)
    adapter = Adapter(small.controlnet, rank=2)
    for update in adapter.updates:
        torch.nn.init.normal_(update.up, std=0.01)
    base = folder / "pocket_canny.safetensors"
    save_adapter(folder / "adapter.safetensors", adapter, sha256_of(base), base.name, {"steps": 10})
    adapter.remove()
    tensors = {}
    for layer in ("to_q", "to_v"):
        name = f"lora_unet_down_blocks_1_attentions_0_transformer_blocks_0_attn1_{layer}"
        tensors |= {
            f"{name}.lora_up.weight": torch.randn(32, 2),
            f"{name}.lora_down.weight": torch.randn(2, 32),
            f"{name}.alpha": torch.tensor(2.0),
        }
    save_file(tensors, folder / "lora.safetensors")


def gallery(folder: Path, product: Path) -> None:
    """A gallery of one product and two prompts, both done."""
    found, _ = jobs([(product, "a box")], ["on a table", "on grass"])
    made = Gallery(folder)
    made.begin(found, {})
    picture = Image.new("RGB", (64, 64), (120, 130, 90))
    chances = {name: 0.9 if name == "available" else 0.025 for name in LABELS}
    attempt = {
        "attempt": 1,
        "seed": 7,
        "label": "available",
        "probabilities": chances,
        "accepted": True,
        "seconds": 1.0,
    }
    for job in found:
        made.keep(job, [picture], {"attempts": [attempt], "usable": [1], "returned": 1, "steps": 20, "seconds": 1.0})


def labels(folder: Path) -> None:
    """Three pictures to label, two of them labelled."""
    found = LabelFolder(folder)
    for number in range(3):
        found.add(
            Image.new("RGB", (32, 32), (40 * number, 90, 90)),
            cut_out(32, 48).resize((32, 32)),
            f"p{number}",
            "a box",
            "on a table",
            {"label": "available", "probability": 0.8},
        )
    for key, label in zip(found.read().waiting[:2], ("available", "size_mismatch")):
        found.label(key, label)


def head_of(path: Path) -> tuple[dict, bytes]:
    """(header, tensors' bytes) of a safetensors file."""
    content = path.read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return json.loads(content[8:end]), content[end:]
