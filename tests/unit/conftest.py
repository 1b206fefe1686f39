"""What several test files start from."""

import pytest
import torch

from reliable_ads.rfnet.product import place

from .rfnet_examples import bottle


@pytest.fixture(autouse=True)
def as_many_threads_as_before():
    """Commands set the number of torch's threads for their process, which is that of the tests: two threads on busy
    cores wait for each other, and cost all tests that follow twelve times as much.
    """
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


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


@pytest.fixture
def listed(tmp_path):
    """The jobs of a gallery: two products, two prompts."""
    from reliable_ads.cyclic.gallery import jobs

    from .gallery_examples import PROMPTS, products

    return jobs(products(tmp_path / "products"), PROMPTS, seed=5)[0]


@pytest.fixture
def gallery(tmp_path, listed):
    from reliable_ads.cyclic.gallery import Gallery

    gallery = Gallery(tmp_path / "gallery")
    gallery.begin(listed, {})
    return gallery


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Splits `train` and `val` of small scenes, to train a reviewer."""
    from .rfnet_examples import write_split

    folder = tmp_path_factory.mktemp("scenes")
    write_split(folder / "train", 24)
    write_split(folder / "val", 10, start=100)
    return folder
