"""rfft's sampler draws the picture that RF Cyclic Sampler draws."""

import numpy as np
import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.pocket.ldm import CHECKPOINT, CONTROLNET, load_pocket
from reliable_ads.pocket.pipeline import sample
from reliable_ads.rfnet.product import Product, place

from . import ads
from .ads import ALWAYS, SIZE, ad, pixels, report_of


@pytest.mark.parametrize("cfg", [1.0, 2.0])
def test_eight_steps_of_dpmpp_2m_are_those_of_comfyui(client, base, tmp_path, cfg):
    """The shipped family; at most 1/255 of difference on what is painted, on average."""
    for file in (CHECKPOINT, CONTROLNET):
        if not (base / "models" / "pocket" / file.name).exists():
            (base / "models" / "pocket" / file.name).symlink_to(file)
    prompt = "photo, on a wooden table, a white wall, soft light"
    drawing = {"steps": 8, "cfg": cfg, "sampler_name": "dpmpp_2m", "scheduler": "sgm_uniform", "seed": 11}
    graph = ad(
        models__ckpt_name=CHECKPOINT.name,
        models__control_net_name=CONTROLNET.name,
        prompt__text=prompt,
        sampler__threshold=ALWAYS,
        **{f"sampler__{name}": value for name, value in drawing.items()},
    )
    graph["placed"] = node("SaveImage", images=["product", 1], filename_prefix="placed")

    outputs = client.outputs(graph)

    ads.cut_out().save(tmp_path / "product.png")
    canvas = place(Product.from_picture(tmp_path / "product.png", "an orange box"), SIZE, SIZE)
    pocket = load_pocket(CHECKPOINT, CONTROLNET)
    picture = sample(pocket, [canvas], [prompt], [11], steps=8, cfg=cfg, sampler="dpmpp_2m")[0]
    ours = (picture * 255).round().byte().movedim(0, -1).numpy()
    theirs = pixels(client, outputs["save"])
    painted = canvas.alpha.numpy() == 0
    assert [attempt["seed"] for attempt in report_of(outputs)["attempts"]] == [11]
    difference = np.abs(ours.astype(float) - theirs)[painted].mean()
    print("cfg", cfg, "mean difference", difference)
    assert painted.mean() > 0.3 and theirs[painted].std() > 10 and difference <= 1
