"""The pocket family: files and modules say the same, broken files are refused, and it draws."""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket import family, ldm
from reliable_ads.pocket.pipeline import sample
from reliable_ads.pocket.training.latents import mix
from reliable_ads.pocket.training.muon import Muon, orthogonalise
from reliable_ads.pocket.training.vae import pass_through, psnr, reconstruct
from reliable_ads.rfnet.product import Product, place

from .pocket_examples import SMALL, pictures


@pytest.fixture(scope="module")
def pocket():
    return family.build_pocket(SMALL, seed=1).eval()


@pytest.fixture(scope="module")
def files(pocket, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    ldm.save_checkpoint(folder / "sd.safetensors", pocket)
    ldm.save_controlnet(folder / "canny.safetensors", pocket)
    return folder


def test_files_give_back_the_same_modules(pocket, files):
    loaded = ldm.load_pocket(files / "sd.safetensors", files / "canny.safetensors")
    assert loaded.config == pocket.config
    for name, part in pocket.parts().items():
        before, after = part.state_dict(), loaded.parts()[name].state_dict()
        assert before.keys() == after.keys()
        for key in before:
            assert torch.equal(before[key].half().float(), after[key]), f"{name}.{key}"


def test_file_layout_is_the_one_others_read(files):
    checkpoint, controlnet = (set(load_file(files / name)) for name in ("sd.safetensors", "canny.safetensors"))
    assert {
        "model.diffusion_model.input_blocks.0.0.weight",
        "model.diffusion_model.output_blocks.2.1.transformer_blocks.0.attn2.to_k.weight",
        "model.diffusion_model.middle_block.1.proj_in.weight",
        "first_stage_model.taesd_decoder.1.weight",
        "first_stage_model.vae_scale",
        "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight",
    } <= checkpoint
    assert {
        "zero_convs.0.0.weight",
        "middle_block_out.0.weight",
        "input_hint_block.0.weight",
        "input_hint_block.14.weight",
    } <= controlnet


def test_labels_and_causes_are_drawn_as_often_as_asked():
    labels, causes = np.array([0, 0, 1, 1, 2, 3]), ["", "", "float", "sink", "tiny_surroundings", "clutter"]
    assert torch.allclose(mix(labels, causes), torch.full((6,), 1 / 6))
    assert torch.allclose(mix(labels, causes, {"available": 0.25}), torch.tensor([1 / 8] * 2 + [3 / 16] * 4))
    assert torch.allclose(
        mix(labels, causes, {"available": 0.5, "float": 0.3}),
        torch.tensor([0.25, 0.25, 0.3, 0.2 / 3, 0.2 / 3, 0.2 / 3]),
    )
    assert torch.allclose(mix(labels, causes, {"sink": 1.0}), torch.tensor([0.0, 0, 0, 1, 0, 0]))


@pytest.mark.parametrize(
    "shares, says",
    [
        ({"legs": 0.1}, 'no scene is "legs"'),
        ({"float": 1.5}, "between 0 and 1"),
        ({"float": 0.7, "sink": 0.7}, "add up to 1.40"),
        ({"space_mismatch": 0.2, "float": 0.2}, "each scene one share"),
    ],
)
def test_shares_that_cannot_be_are_refused(shares, says):
    with pytest.raises(ValueError, match=says):
        mix(np.array([0, 1, 1]), ["", "float", "sink"], shares)


def test_prompts_go_where_the_text_encoder_is(pocket):
    elsewhere = dataclasses.replace(pocket, text_encoder=copy.deepcopy(pocket.text_encoder).to("meta"))
    assert elsewhere.encode_prompts(["a cube"]).device.type == "meta"


def test_tokens_are_clips():
    """The ids of SD 1.x' own tokenizer for this sentence."""
    rows = family.tokenize(["a Red cube, on grass!", "", "word " * 100])
    assert rows.shape == (3, 77)
    assert rows[0, :9].tolist() == [49406, 320, 736, 11353, 267, 525, 5922, 256, 49407]
    assert rows[1].tolist() == [49406] + [49407] * 76
    assert rows[2, -1] == 49407 and rows[2, -2] != 49407


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: p.write_bytes(p.read_bytes()[:-100]), "not a whole safetensors file"),
        (lambda p: p.write_bytes(b"\x80\x04 a pickle"), "not a whole safetensors file"),
        (lambda p: save_file({"a": torch.zeros(1)}, p), "not a pocket file"),
        (
            lambda p: save_file(
                {"a": torch.zeros(1)}, p, metadata={"pocket": json.dumps({"format_version": 9, **SMALL})}
            ),
            "format version 9",
        ),
        (
            lambda p: save_file(
                {"a": torch.zeros(1)}, p, metadata={"pocket": json.dumps({"format_version": 1, **SMALL})}
            ),
            "is missing",
        ),
    ],
)
def test_bad_files_are_refused_with_a_sentence(files, tmp_path, spoil, words):
    path = tmp_path / "sd.safetensors"
    path.write_bytes((files / "sd.safetensors").read_bytes())
    spoil(path)
    with pytest.raises(ldm.PocketFileError, match=words) as caught:
        ldm.load_pocket(path, files / "canny.safetensors")
    assert str(path) in str(caught.value)


def test_resting_blocks_compute_what_the_whole_network_computes(pocket):
    whole = family.build_vae({**SMALL, "vae": {"latent_channels": 4, "channels": 8}})
    whole.load_state_dict(pocket.vae.state_dict())
    x = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(whole.encode(x).latents, pocket.vae.encode(x).latents, atol=1e-6)
        latents = torch.randn(1, 4, 8, 8)
        assert torch.allclose(whole.decode(latents).sample, pocket.vae.decode(latents).sample, atol=1e-6)


def test_the_vae_starts_as_an_autoencoder():
    vae = family.build_vae(SMALL)
    pass_through(vae)
    smooth = torch.from_numpy(pictures(2)).movedim(-1, 1).float() / 127.5 - 1
    assert psnr(reconstruct(vae, smooth), smooth) > 15


def test_sampling_keeps_the_product_and_depends_on_the_seed_alone(pocket):
    rgba = np.zeros((40, 40, 4), np.float32)
    rgba[8:32, 8:32] = (0.2, 0.6, 0.9, 1)
    canvas = place(Product.from_arrays(rgba, caption="a box"), 64, 64)
    drawn = sample(pocket, [canvas, canvas], ["photo", "photo"], [3, 4], steps=3)
    alone = sample(pocket, [canvas], ["photo"], [4], steps=3)
    assert drawn.shape == (2, 3, 64, 64) and drawn.min() >= 0 and drawn.max() <= 1
    assert torch.allclose(drawn[1], alone[0], atol=1e-4)
    assert not torch.allclose(drawn[0], drawn[1], atol=1e-2)
    inside = (canvas.alpha == 1).expand(3, -1, -1)
    assert torch.equal(drawn[0][inside], canvas.rgb[inside])
    with pytest.raises(ValueError, match="one prompt and one seed per canvas"):
        sample(pocket, [canvas], ["photo"], [1, 2])
    steps = []
    sample(pocket, [canvas], ["photo"], [3], steps=3, on_step=lambda done, all_: steps.append((done, all_)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize("shape", [(3, 8, 32), (2, 32, 8), (1, 16, 16)])
def test_muon_makes_steps_orthogonal(shape):
    """All singular values end near 1, and the singular vectors stay."""
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    steps = orthogonalise(matrices)
    values = torch.linalg.svdvals(steps)
    assert steps.shape == matrices.shape and values.min() > 0.3 and values.max() < 1.3
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    inside = u.mT @ steps @ v.mT
    assert torch.allclose(inside, torch.diag_embed(inside.diagonal(dim1=1, dim2=2)), atol=1e-4)


def test_muon_takes_convolutions_down_a_slope():
    torch.manual_seed(0)
    layer, x = torch.nn.Conv2d(3, 4, 3), torch.randn(8, 3, 6, 6)
    aim = torch.nn.Conv2d(3, 4, 3)(x).detach()
    optimiser = Muon([layer.weight], lr=0.02)
    losses = []
    for _ in range(60):
        loss = ((layer(x) - aim) ** 2).mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.3 * losses[0]
