"""The pocket family: files and modules say the same, broken files are refused, training goes on exactly where it
was.
"""

import copy
import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket import family, ldm
from reliable_ads.pocket.pipeline import sample
from reliable_ads.pocket.training.diffusion import train_diffusion
from reliable_ads.pocket.training.export import denoise_once, export
from reliable_ads.pocket.training.latents import cached_latents, mix
from reliable_ads.pocket.training.muon import Muon, orthogonalise
from reliable_ads.pocket.training.training import Training
from reliable_ads.pocket.training.vae import load_vae, pass_through, psnr, reconstruct, train_vae
from reliable_ads.rfnet.product import Product, place

from .pocket_examples import SMALL, pictures, scenes


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


def test_a_resumed_training_equals_an_unbroken_one(tmp_path):
    def train(work, steps, until=None):
        torch.manual_seed(5)
        layer = torch.nn.Linear(4, 4)
        run = Training(work, "line", {"layer": layer}, 1e-2, steps=steps, matrices=lambda key, p: p.ndim == 2)
        while run.running and run.step != until:
            x = torch.randn(8, 4, generator=run.random)
            run.update(((layer(x) - x) ** 2).mean())
        run.save()
        return run

    whole = train(tmp_path / "whole", 12)
    train(tmp_path / "broken", 12, until=5)
    resumed = train(tmp_path / "broken", 12)
    assert resumed.step == whole.step == 12
    for key, value in whole.parameters.items():
        assert torch.equal(value, resumed.parameters[key]) and torch.equal(
            whole.average.shadow[key], resumed.average.shadow[key]
        )
    (tmp_path / "broken" / "line.state.safetensors").write_bytes(b"half")
    with pytest.raises(ldm.PocketFileError, match="delete it to start over"):
        train(tmp_path / "broken", 12)


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


def test_a_loss_that_is_not_a_number_stops_and_says_so(tmp_path):
    layer = torch.nn.Linear(1, 1)
    run = Training(tmp_path, "line", {"layer": layer}, 1e-2, steps=3)
    with pytest.raises(FloatingPointError, match="smaller --lr"):
        run.update(layer(torch.tensor([[float("nan")]])).sum())


@pytest.mark.slow(reason="trainings of all networks")
def test_all_stages_in_small(tmp_path):
    """VAE, diffusion and export on a dozen scenes: the files load and draw."""
    train, held_out = scenes(12), scenes(4, seed=1)
    vae, config = load_vae(
        train_vae(train.arrays["image"], held_out.arrays["image"], tmp_path, steps=2, batch=2, config=SMALL)
    )
    assert config == SMALL
    train_diffusion(train, held_out, tmp_path, steps=4, batch=2, sheet_columns=2, config=SMALL)
    ldm_files = export(tmp_path, tmp_path / "out")
    loaded = ldm.load_pocket(*ldm_files)
    assert loaded.config == SMALL
    latents = loaded.encode(torch.rand(2, 3, 128, 128))
    with torch.no_grad():
        once = denoise_once(
            loaded, latents, torch.zeros(2, 3, 128, 128), ["a", "b"], torch.Generator().manual_seed(0), 150, 350
        )
    assert once.shape == latents.shape and torch.isfinite(once).all()
    assert sorted(p.suffix for p in (tmp_path / "sheets").iterdir()) == [".png", ".png", ".txt"]
    # latents that are known are not computed again, also for the exported (half precision) autoencoder, and new scenes
    # are added
    cache, exported = tmp_path / "latents-train.safetensors", loaded.vae
    known = cached_latents(train, vae, cache)
    written = cache.stat().st_mtime_ns
    assert torch.equal(cached_latents(scenes(5), exported, cache), known[:5]) and cache.stat().st_mtime_ns == written
    assert len(cached_latents(scenes(14), vae, cache)) == 14 and cache.stat().st_mtime_ns > written
    # an exported checkpoint is a place to begin from
    (tmp_path / "again").mkdir()
    (tmp_path / "vae.safetensors").rename(tmp_path / "again" / "vae.safetensors")
    train_diffusion(
        train, held_out, tmp_path / "again", steps=1, batch=2, sheet_columns=2, start=ldm_files[0], config=SMALL
    )
