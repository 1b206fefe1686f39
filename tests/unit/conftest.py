"""What several test files start from."""

import pytest
import torch

from reliable_ads.rfnet.product import place

from .rfnet_examples import bottle


@pytest.fixture(scope="module")
def canvas():
    return place(bottle(), 128, 96)


@pytest.fixture
def images(canvas):
    torch.manual_seed(0)
    return canvas.paste(torch.rand(3, 3, 96, 128))


@pytest.fixture
def world(tmp_path):
    """(config changes -> Run): small trainings of rfft, all in one folder."""
    from .rfft_examples import runs_in

    return runs_in(tmp_path)


@pytest.fixture
def base(tmp_path):
    """(ControlNet file in ldm layout, fp16; the module with exactly its weights)."""
    from reliable_ads.pocket.ldm import save_controlnet

    from .rfft_examples import tiny_pocket

    pocket = tiny_pocket()
    pocket.controlnet.half().float()
    path = tmp_path / "base.safetensors"
    save_controlnet(path, pocket)
    return path, pocket.controlnet


@pytest.fixture(scope="module")
def tiny_clip(tmp_path_factory):
    """A CLIP of two layers, among open_clip's own."""
    import json

    import open_clip

    from .architecture_examples import TINY_CLIP

    path = tmp_path_factory.mktemp("clip") / "tiny-clip.json"
    path.write_text(json.dumps(TINY_CLIP))
    open_clip.add_model_config(path)
