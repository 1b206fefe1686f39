"""Architectures that can not be built here say so in one sentence, and name what to install."""

import importlib.util
import sys
from dataclasses import replace

import pytest

from reliable_ads.rfnet import model as model_module
from reliable_ads.rfnet.architectures import ArchitectureError, RFNetConfig
from reliable_ads.rfnet.model import build_rfnet

from .architecture_examples import CLIP, PAPER
from .rfnet_examples import SMALL

pytestmark = pytest.mark.usefixtures("tiny_clip")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"backbone": "no_such_net"}, 'timm .* can\'t build the backbone "no_such_net"'),
        ({"stride": 5}, "no feature map at stride 5: choose one of"),
        ({"backbone": "open_clip/no-such"}, 'open_clip knows no "no-such"'),
        ({"backbone": "open_clip/tiny-clip"}, "patches of 16.*map_size=image_size"),
        ({"text": "open_clip/tiny-clip"}, "reads 20 tokens: set context=20"),
        ({"text": "open_clip/roberta-ViT-B-32"}, "from a model hub"),
    ],
)
def test_what_can_not_be_built_is_one_sentence(changes, message):
    with pytest.raises(ArchitectureError, match=message):
        build_rfnet(replace(SMALL, **changes))


def test_unknown_names_are_refused():
    with pytest.raises(ArchitectureError, match='no architecture "papre": choose compact, paper, clip'):
        build_rfnet("papre")
    with pytest.raises(ValueError, match='text is "bert": choose small, roberta'):
        RFNetConfig(text="bert")


@pytest.mark.parametrize(
    "package, config, message",
    [
        ("timm", SMALL, 'image encoder "tf_efficientnet_lite0" needs timm.*pip install timm'),
        ("open_clip", CLIP, "pip install open_clip_torch"),
        ("transformers", PAPER, "RoBERTa needs transformers.*pip install transformers"),
    ],
)
def test_a_package_that_is_missing_costs_one_sentence(monkeypatch, package, config, message):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ArchitectureError, match=message):
        build_rfnet(config)


@pytest.mark.parametrize(
    "name", ["architectures", "captions", "towers", "pretrained", "model", "map_sources", "weights"]
)
def test_the_library_is_imported_without_any_of_them(monkeypatch, name):
    for package in (
        "timm",
        "open_clip",
        "transformers",
        "tokenizers",
        "onnxruntime",
        "open_clip.transformer",
        "open_clip.tokenizer",
    ):
        monkeypatch.setitem(sys.modules, package, None)
    source = model_module.__spec__.origin.replace("model.py", f"{name}.py")
    spec = importlib.util.spec_from_file_location(f"{model_module.__package__}.fresh_{name}", source)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
