"""A node for the tests alone, put into the server's custom_nodes: ComfyUI's own BiRefNet with random weights, which
takes everything for the product. There is none where ComfyUI has none.
"""

import importlib.util
import json
import tempfile
from pathlib import Path

import torch


class TestSegmentationModel:
    RETURN_TYPES = ("BACKGROUND_REMOVAL",)
    FUNCTION = "make"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {}}

    @torch.no_grad()
    def make(self):
        from comfy.bg_removal_model import BackgroundRemovalModel

        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "birefnet.json"
            config.write_text(json.dumps({"model_type": "birefnet", "image_size": 128}))
            made = BackgroundRemovalModel(str(config))
        torch.manual_seed(0)
        for weight in made.model.parameters():
            weight.normal_(std=0.002)
        for buffer in made.model.buffers():
            if buffer.is_floating_point():
                buffer.fill_(1.0)
        made.model.decoder.conv_out1[-1].bias.fill_(10.0)
        return (made,)


KNOWN = importlib.util.find_spec("comfy.bg_removal_model") is not None
NODE_CLASS_MAPPINGS = {"TestSegmentationModel": TestSegmentationModel} if KNOWN else {}
