"""Architectures as data: each builds, sees what its config says, reads its captions, takes weights from disk, and
survives its file.
"""

import sys
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from reliable_ads.rfnet.architectures import ARCHITECTURES, INPUTS, ArchitectureError, RFNetConfig
from reliable_ads.rfnet.captions import RobertaVocabulary
from reliable_ads.rfnet.maps import MapNet
from reliable_ads.rfnet.model import build_rfnet
from reliable_ads.rfnet.pretrained import load_pretrained
from reliable_ads.rfnet.training.config import TrainConfig
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, WeightsError, load_networks, read_metadata, save_reviewer

from .architecture_examples import CLIP, PAPER
from .rfnet_examples import SMALL, write_split

pytestmark = pytest.mark.usefixtures("tiny_clip")

SMALL_ONES = {"compact": SMALL, "paper": PAPER, "clip": CLIP}


@pytest.fixture(scope="module")
def roberta(tmp_path_factory):
    """A RoBERTa folder with random weights and a vocabulary of 300 entries, as transformers writes it."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import RobertaConfig, RobertaForMaskedLM

    folder = tmp_path_factory.mktemp("roberta")
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(
        ["a red running shoe", "a blue mug of glass", "running water"] * 4,
        vocab_size=300,
        min_frequency=1,
        special_tokens=["<s>", "<pad>", "</s>", "<unk>", "<mask>"],
        show_progress=False,
    )
    bpe.save_model(str(folder))
    torch.manual_seed(3)
    shape = {
        "vocab_size": 300,
        "hidden_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "intermediate_size": 128,
    }
    network = RobertaForMaskedLM(
        RobertaConfig(**shape, max_position_embeddings=514, type_vocab_size=1, layer_norm_eps=1e-5)
    )
    torch.nn.init.normal_(network.roberta.embeddings.LayerNorm.bias)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def networks(roberta):
    built = {}
    for name, config in SMALL_ONES.items():
        torch.manual_seed(0)
        built[name] = build_rfnet(config).eval()
    load_pretrained(built["paper"], roberta)
    return built


@pytest.fixture(params=SMALL_ONES)
def rfnet(networks, request):
    return networks[request.param]


def example(rfnet, batch=3, height=64, width=64):
    torch.manual_seed(1)

    def images(channels):
        return torch.rand(batch, channels, height, width)

    return [
        images(3),
        images(3),
        images(1),
        images(1),
        rfnet.tokenize(["a red running shoe", "", "保湿面霜 50ml"][:batch]),
    ]


def test_the_shipped_file_is_the_compact_architecture():
    assert RFNetConfig.from_json(read_metadata(DEFAULT_WEIGHTS)["config"]) == ARCHITECTURES["compact"]


@pytest.mark.parametrize("name, millions", [("compact", 4.48), ("paper", 154), ("clip", 155)])
def test_the_named_architectures_have_their_full_size(name, millions):
    with torch.device("meta"):  # shapes alone, no numbers
        rfnet = build_rfnet(name)
    assert rfnet.config == ARCHITECTURES[name]
    assert sum(p.numel() for p in rfnet.parameters()) / 1e6 == pytest.approx(millions, rel=0.05)


def test_the_paper_is_the_paper():
    paper = ARCHITECTURES["paper"]
    assert (paper.backbone, paper.text, paper.image_size, paper.map_size, paper.width, paper.heads) == (
        "resnet50",
        "roberta",
        384,
        384,
        384,
        8,
    )
    assert (paper.filter_layers, paper.fusion_layers, paper.inputs) == (1, 3, INPUTS)


def test_the_papers_resnet_learns_from_every_input(networks):
    rfnet = build_rfnet(replace(PAPER, backbone="resnet50"))
    rfnet.tokenize.vocabulary = networks["paper"].tokenize.vocabulary
    rfnet(*example(rfnet, batch=1)).square().sum().backward()
    assert all(p.grad is not None for p in rfnet.parameters())
    assert all(
        rfnet.images.backbone.get_submodule(f"layer{stage}").get_parameter("0.conv3.weight").grad.abs().sum() > 0
        for stage in (1, 2, 3, 4)
    )


@pytest.mark.parametrize("height, width", [(64, 64), (96, 40), (40, 96)])
def test_pictures_of_any_shape_give_five_logits(rfnet, height, width):
    with torch.no_grad():
        logits = rfnet(*example(rfnet, height=height, width=width))
    assert logits.shape == (3, 5) and torch.isfinite(logits).all()


def test_each_image_is_judged_by_itself(rfnet):
    batch = example(rfnet)
    with torch.no_grad():
        together = rfnet(*batch)
        for index in range(3):
            assert torch.allclose(rfnet(*[x[index : index + 1] for x in batch]), together[index : index + 1], atol=1e-5)


def test_what_depends_on_the_product_is_computed_once(rfnet):
    product, generated, depth, saliency, tokens = example(rfnet)
    with torch.no_grad():
        features = rfnet.encode_product(product[:1], tokens[:1])
        cached = rfnet(None, generated, depth, saliency, None, product_features=features)
        expected = rfnet(product[:1].expand(3, -1, -1, -1), generated, depth, saliency, tokens[:1].expand(3, -1))
    assert torch.allclose(cached, expected, atol=1e-5)


def test_gradients_reach_every_part_and_every_image(rfnet):
    batch = example(rfnet)
    for image in batch[:4]:
        image.requires_grad_()
    rfnet.zero_grad()
    torch.nn.functional.cross_entropy(rfnet(*batch), torch.tensor([0, 2, 4])).backward()
    parts = ("images.backbone", "images.project", "text", "filters", "fusion", "head", "kinds")
    for name in parts:
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in rfnet.get_submodule(name).parameters()), name
    assert rfnet.verdict.grad.abs().sum() > 0 and rfnet.images.position.grad.abs().sum() > 0
    assert all(torch.isfinite(image.grad).all() and image.grad.abs().sum() > 0 for image in batch[:4])
    assert all(p.grad is not None for p in rfnet.parameters()), (
        "a parameter takes no part: data-parallel training would wait for it"
    )
    rfnet.zero_grad()


@pytest.mark.parametrize("left_out", INPUTS)
@pytest.mark.parametrize("name", ["paper", "clip"])
def test_an_input_left_out_is_never_looked_at(networks, name, left_out):
    whole = networks[name]
    ablated = build_rfnet(replace(whole.config, inputs=tuple(kind for kind in INPUTS if kind != left_out))).eval()
    ablated.load_state_dict(whole.state_dict(), strict=False)
    ablated.tokenize.vocabulary = whole.tokenize.vocabulary
    batch = example(whole)
    changed = list(batch)
    index = INPUTS.index(left_out)
    changed[index] = torch.roll(batch[index], 1, 0)
    with torch.no_grad():
        assert torch.equal(ablated(*batch), ablated(*changed))
        assert (whole(*batch) - whole(*changed)).abs().max() > 1e-7
    assert left_out not in ablated.kinds
    assert bool(ablated.filters) == ("product" != left_out != "caption")


def test_configs_survive_json(rfnet):
    assert RFNetConfig.from_json(rfnet.config.to_json()) == rfnet.config


def test_a_saved_reviewer_needs_no_other_file(rfnet, tmp_path):
    path = tmp_path / "w.safetensors"
    save_reviewer(path, rfnet, MapNet(), {})
    loaded, _, metadata = load_networks(path)
    captions = ["a red running shoe", "", "保湿面霜"]
    assert torch.equal(loaded.tokenize(captions), rfnet.tokenize(captions))
    expected = {key: value.half().float() for key, value in rfnet.state_dict().items()}
    assert all(torch.equal(value, expected[key]) for key, value in loaded.state_dict().items())
    assert ("vocabulary" in metadata) == (rfnet.config.text == "roberta")


@pytest.mark.slow(reason="trains each architecture")
def test_training_goes_on_from_a_reviewer_of_every_architecture(rfnet, tmp_path):
    save_reviewer(tmp_path / "before.safetensors", rfnet, MapNet())
    data = {name: str(write_split(tmp_path / name, 10)) for name in ("train", "val")}
    Run(
        TrainConfig(
            **data,
            out=str(tmp_path / "after.safetensors"),
            architecture=rfnet.config,
            weights=[tmp_path / "before.safetensors"],
            frozen=[],
            epochs=1,
            map_epochs=0,
            batch=8,
        )
    )()
    assert read_metadata(tmp_path / "after.safetensors").get("vocabulary") == read_metadata(
        tmp_path / "before.safetensors"
    ).get("vocabulary")


def test_roberta_without_its_vocabulary_says_what_to_do(tmp_path):
    empty = build_rfnet(PAPER)
    with pytest.raises(ArchitectureError, match="no vocabulary yet: call load_pretrained"):
        empty.tokenize(["a shoe"])
    with pytest.raises(WeightsError, match="no vocabulary yet"):
        save_reviewer(tmp_path / "w.safetensors", empty, MapNet())
    assert not list(tmp_path.iterdir())


def test_a_file_that_lost_its_vocabulary_is_refused(networks, tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file

    path = tmp_path / "w.safetensors"
    save_reviewer(path, networks["paper"], MapNet())
    with safe_open(path, "pt") as file:
        texts = file.metadata()
    save_file(load_file(path), path, texts | {"vocabulary": "{}"})
    with pytest.raises(WeightsError, match=r"vocabulary is no tokenizer.json"):
        load_networks(path)


def test_roberta_reads_captions_as_transformers_does(roberta, networks):
    from transformers import RobertaTokenizerFast

    captions = ["a red running shoe", "glass  mug!", "保湿面霜", "</s>"]
    theirs = RobertaTokenizerFast.from_pretrained(roberta, local_files_only=True)(
        captions, padding="max_length", max_length=24, truncation=True, return_tensors="pt"
    )
    plain = theirs["input_ids"][:3]
    assert torch.equal(networks["paper"].tokenize(captions)[:3], plain)


def test_roberta_from_disk_gives_the_states_that_transformers_gives(roberta, networks):
    from transformers import RobertaModel

    tokens = networks["paper"].tokenize(["a red running shoe", "a mug"])
    theirs = RobertaModel.from_pretrained(roberta, local_files_only=True, add_pooling_layer=False).eval()
    with torch.no_grad():
        states, padding = networks["paper"].text(tokens)
        expected = theirs(input_ids=tokens, attention_mask=(tokens != 1).long()).last_hidden_state
    assert torch.equal(padding, tokens == 1) and padding.any()
    assert torch.allclose(states[~padding], expected[~padding], atol=1e-5)


@settings(deadline=None, max_examples=40)
@given(text=st.text(max_size=200))
def test_any_caption_is_roberta_tokens(networks, text):
    tokens = networks["paper"].tokenize([text])
    assert (
        tokens.shape == (1, 24)
        and tokens[0, 0] == 0
        and (tokens == 2).sum() == 1
        and tokens.min() >= 0
        and tokens.max() < 300
    )


def test_timm_weights_from_disk_give_timms_own_features(tmp_path):
    import timm

    whole = timm.create_model("test_resnet", pretrained=False).eval()
    for module in whole.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            (
                module.running_mean.normal_(0, 0.1),
                module.running_var.uniform_(0.5, 2),
                torch.nn.init.uniform_(module.weight, 0.5, 1.5),
            )
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    rfnet = build_rfnet(replace(SMALL, backbone="test_resnet", stride=32)).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        expected = whole.forward_features(images)
        assert not torch.allclose(rfnet.images.backbone(images)[0], expected, atol=1e-3)
        assert load_pretrained(rfnet, tmp_path) == ["images"]
        assert torch.allclose(rfnet.images.backbone(images)[0], expected, atol=1e-4)


def test_a_timm_transformer_takes_positions_of_another_size(tmp_path):
    import timm

    whole = timm.create_model("test_vit", pretrained=False)
    save_file(whole.state_dict(), tmp_path / "vit.safetensors")
    rfnet = build_rfnet(replace(SMALL, backbone="test_vit", stride=16, image_size=64, map_size=32)).eval()
    assert load_pretrained(rfnet, tmp_path / "vit.safetensors") == ["images"]
    assert torch.equal(
        rfnet.images.backbone.state_dict()["model.patch_embed.proj.weight"], whole.patch_embed.proj.weight
    )
    with torch.no_grad():
        assert rfnet(*example(rfnet)).shape == (3, 5)


@pytest.mark.parametrize("custom_text", [False, True])
def test_open_clip_weights_from_disk_fill_both_towers(tmp_path, custom_text):
    import open_clip

    torch.manual_seed(7)
    whole = open_clip.create_model("tiny-clip", force_custom_text=custom_text).eval()
    file = tmp_path / "open_clip_model.safetensors"
    save_file(whole.state_dict(), file)
    rfnet = build_rfnet(replace(CLIP, image_size=32, map_size=32)).eval()
    assert load_pretrained(rfnet, tmp_path) == ["images", "text"]
    images, tokens = torch.rand(2, 3, 32, 32), rfnet.tokenize(["a shoe", "a mug"])
    with torch.no_grad():
        whole.visual.output_tokens = True
        expected = whole.visual(images)[1].transpose(1, 2).reshape(2, 32, 2, 2)
        assert torch.allclose(rfnet.images.backbone(images)[0], expected, atol=1e-5)
        states, _padding = rfnet.text(tokens)
        ends = states[torch.arange(2), tokens.argmax(1)]
        projection = whole.text.text_projection if custom_text else whole.text_projection
        assert torch.allclose(ends @ projection, whole.encode_text(tokens), atol=1e-4)
    larger = build_rfnet(CLIP)
    assert load_pretrained(larger, file) == ["images", "text"]
    assert larger.images.backbone.visual.positional_embedding.shape == (1 + 16, 32)


def test_weights_that_do_not_belong_are_refused_and_nothing_changes(networks, roberta, tmp_path):
    compact = networks["compact"]
    before = {key: value.clone() for key, value in compact.state_dict().items()}
    save_file({"conv1.weight": torch.zeros(3)}, tmp_path / "other.safetensors")
    (tmp_path / "pytorch_model.bin").write_bytes(b"\x80")
    (tmp_path / "cut.safetensors").write_bytes(b"\x00" * 5)
    (tmp_path / "empty").mkdir()
    for path, message in (
        (tmp_path / "other.safetensors", "lacks .*another backbone"),
        (tmp_path / "pytorch_model.bin", "pickled weights can run code"),
        (tmp_path / "cut.safetensors", "cut short"),
        (tmp_path / "none.safetensors", "does not exist"),
        (tmp_path / "empty", "found: none"),
        (tmp_path, "found: cut.safetensors, other.safetensors"),
        (roberta, 'reads captions with "small": use "paper"'),
    ):
        with pytest.raises(ArchitectureError, match=message):
            load_pretrained(compact, path)
    assert all(torch.equal(value, before[key]) for key, value in compact.state_dict().items())
    with pytest.raises(ArchitectureError, match=r"has embeddings.* as .*: build the architecture with its sizes"):
        load_pretrained(build_rfnet(replace(PAPER, text_width=16)), roberta)
    with pytest.raises(
        ArchitectureError, match=r"the vocabulary has (\d+) entries, this architecture 200: build it with vocabulary=\1"
    ):
        build_rfnet(replace(PAPER, vocabulary=200)).tokenize.use(RobertaVocabulary.from_folder(roberta))


def test_a_reviewer_whose_package_is_missing_says_which(networks, tmp_path, monkeypatch):
    save_reviewer(tmp_path / "w.safetensors", networks["paper"], MapNet())
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(
        WeightsError, match=r'"w.safetensors" has a config that can\'t be built here: .*pip install transformers'
    ):
        load_networks(tmp_path / "w.safetensors")
