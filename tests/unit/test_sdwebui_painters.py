"""Who paints in a web UI, told by its files."""

import pytest
import torch
from safetensors.torch import save_file

from reliable_ads.rfnet import painters
from reliable_ads.sdwebui.painters import painter_of


@pytest.fixture
def files(tmp_path):
    save_file({"model.diffusion_model.in.weight": torch.ones(4, 4)}, tmp_path / "sd.safetensors")
    save_file({"zero_convs.0.0.weight": torch.ones(4, 4, 1, 1)}, tmp_path / "canny.safetensors")
    return tmp_path / "sd.safetensors", tmp_path / "canny.safetensors"


def test_it_is_told_by_its_files_as_they_are_now(files):
    checkpoint, controlnet = files
    first = painter_of(checkpoint, controlnet, ["a mug on a table"])
    assert first == painters.painter_of(checkpoint, controlnet)
    assert painter_of(checkpoint, None, []) == painters.painter_of(checkpoint)
    save_file({"zero_convs.0.0.weight": torch.ones(4, 5, 1, 1)}, controlnet)
    assert painter_of(checkpoint, controlnet, []) == painters.painter_of(checkpoint, controlnet) != first


def test_what_no_file_says_is_unknown(files, tmp_path):
    checkpoint, controlnet = files
    (tmp_path / "sd.ckpt").write_bytes(b"\x80\x02")
    save_file({"rfft.in.lora_up.weight": torch.ones(4, 4)}, tmp_path / "adapter.safetensors")
    assert painter_of(checkpoint, controlnet, ["a mug", "on a table <lora:detail:1>"]) is None
    assert painter_of(None, controlnet, []) is None
    assert painter_of(tmp_path / "sd.ckpt", None, []) is None
    assert painter_of(checkpoint, tmp_path / "adapter.safetensors", []) is None
    assert painter_of(tmp_path / "gone.safetensors", None, []) is None
