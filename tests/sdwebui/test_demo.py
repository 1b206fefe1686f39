"""The small models that ship draw in a real Automatic1111; Forge and reForge say that they can't take them."""

import numpy as np
import pytest

from reliable_ads.rfnet.product import Product, place
from reliable_ads.sdwebui import pocket_files


@pytest.fixture(scope="module")
def checkpoint(web, data):
    """The name of the small models in the host."""
    if web.host.kind != "Automatic1111":
        pytest.skip("Forge and reForge know checkpoints by their shapes")
    installed = pocket_files.install(data / "models")
    web.ask("/sdapi/v1/refresh-checkpoints", {})
    return installed.name


def drawn(web, checkpoint: str, attempts: int, **more):
    settings = {
        **pocket_files.SETTINGS,
        "product": pocket_files.product(),
        "attempts": attempts,
        "threshold": 1.0,
        "remedies": [],
    }
    return web.draw(
        **{**pocket_files.DRAW, **more},
        override_settings={"sd_model_checkpoint": checkpoint},
        alwayson_scripts={"reliable ads": {"args": [settings]}},
    )


def test_the_small_models_draw_and_are_reviewed(web, checkpoint):
    answer = drawn(web, checkpoint, attempts=2)
    assert len(answer.report["attempts"]) == len(answer.pictures) == 2
    assert all(f"Model: {checkpoint.partition('.')[0]}" in text for text in answer.infotexts)
    low, high = zip(*answer.pictures[0].convert("RGB").getextrema())
    assert max(low) < 80 and min(high) > 170  # a picture, not the grey or the noise of weights that were not loaded


@pytest.mark.parametrize("sampler", ["DDIM", "UniPC"])
def test_samplers_that_hold_the_product_before_a_step_leave_no_rim(web, checkpoint, sampler):
    """The host holds it without the step's noise."""
    usual = {"seed": 27, "steps": 20, "cfg_scale": 1.5, "scheduler": "Automatic", "width": 128, "height": 128}
    euler, other = (drawn(web, checkpoint, 1, **usual, sampler_name=name).pictures[0] for name in ("Euler", sampler))
    placed = place(Product.from_picture(pocket_files.PRODUCT), euler.width, euler.height, 0.72)
    near = (placed.inpaint_mask.numpy() > 0.5) & (shifted(placed.inpaint_mask.numpy()) < 0.5)
    difference = np.abs(np.asarray(euler.convert("RGB"), float) - np.asarray(other.convert("RGB"), float)).mean(-1)
    print(sampler, difference[near].mean(), difference.mean())
    assert difference[near].mean() < 20


def shifted(mask: np.ndarray, by: int = 4) -> np.ndarray:
    """The least of a mask within so many pixels to the left and to the right."""
    return np.min([np.roll(mask, step, 1) for step in range(-by, by + 1)], 0)
