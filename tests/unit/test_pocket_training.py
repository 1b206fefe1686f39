"""Trainings of the pocket family: every stage runs, goes on to the last bit where it was stopped, and begins from
earlier weights; a sharpened decoder leaves the latents alone.
"""

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket import ldm
from reliable_ads.pocket.family import alphas_cumprod, build_pocket, build_vae
from reliable_ads.pocket.training import diffusion as diffusion_training
from reliable_ads.pocket.training import training
from reliable_ads.pocket.training.diffusion import train_diffusion
from reliable_ads.pocket.training.export import denoise_once, export
from reliable_ads.pocket.training.feed import Scenes
from reliable_ads.pocket.training.latents import cached_latents
from reliable_ads.pocket.training.losses import Guided, Straightened
from reliable_ads.pocket.training.sharpen import sharpen
from reliable_ads.pocket.training.training import Training
from reliable_ads.pocket.training.vae import load_vae, train_vae
from reliable_ads.pocket.tuning import models_of
from reliable_ads.rfnet.devices import find_device

from .pocket_examples import SMALL, scenes

SIDE = 64
HELD_OUT = scenes(3, seed=1, side=SIDE)


class Growing:
    """A feed of six scenes, and of three more from the middle of a training on; `stop`: progress at which somebody
    stops it."""

    def __init__(self, stop=2.0):
        self.left = [(0.0, scenes(6, side=SIDE)), (0.5, scenes(3, seed=2, side=SIDE))]
        self.stop = stop

    def take(self, progress):
        if progress >= self.stop:
            raise KeyboardInterrupt
        due = [samples for start, samples in self.left if start <= progress]
        self.left = self.left[len(due) :]
        return [Scenes.of(samples) for samples in due]


def vae(work, feed, **options):
    return train_vae(feed, HELD_OUT.arrays["image"], work, config=SMALL, batch=2, **options)


def sharper(work, feed, **options):
    return sharpen(feed, HELD_OUT.arrays["image"], work, batch=2, **options)


def diffusion(work, feed, stage="diffusion", **options):
    return train_diffusion(stage, feed, HELD_OUT, work, batch=2, sheet_columns=2, config=SMALL, **options)


def controlnet(work, feed, **options):
    return diffusion(work, feed, "controlnet", **options)


STAGES = {"vae": vae, "diffusion": diffusion, "controlnet": controlnet, "sharpen": sharper}


@pytest.fixture(scope="module", autouse=True)
def quick_sheets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(diffusion_training, "SHEET_STEPS", 1)
        yield


def copied(files, source, to):
    to.mkdir()
    for name in files:
        (to / name).write_bytes((source / name).read_bytes())
    return to


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of all stages, each unbroken, and {stage: the vae.safetensors that it saw}."""
    work = tmp_path_factory.mktemp("work")
    before = {}
    for name, train in STAGES.items():
        if name != "vae":
            before[name] = (work / "vae.safetensors").read_bytes()
        train(work, Growing(), steps=4)
    return work, before


@pytest.mark.slow(reason="trainings of all networks")
@pytest.mark.parametrize("stage", STAGES)
def test_a_stopped_stage_goes_on_to_the_same_bits(trained, tmp_path, stage, monkeypatch, capsys):
    work, before = trained
    again = copied(["diffusion.state.safetensors"] if stage == "controlnet" else [], work, tmp_path / "again")
    if stage != "vae":
        (again / "vae.safetensors").write_bytes(before[stage])
    monkeypatch.setattr(training, "SAVE_EVERY_SECONDS", -1)
    with pytest.raises(KeyboardInterrupt):
        STAGES[stage](again, Growing(stop=0.75), steps=4)
    STAGES[stage](again, Growing(), steps=4)
    assert f"{stage} goes on from step 3" in capsys.readouterr().out
    whole, resumed = (load_file(folder / f"{stage}.state.safetensors") for folder in (work, again))
    assert whole.keys() == resumed.keys()
    assert [key for key, value in whole.items() if not torch.equal(value, resumed[key])] == []


@pytest.mark.slow(reason="trainings of all networks")
def test_what_all_stages_make_loads_and_draws(trained, tmp_path):
    work, before = trained
    loaded = ldm.load_pocket(*export(work, tmp_path / "out"))
    assert loaded.config == SMALL
    latents = loaded.encode(torch.rand(2, 3, 128, 128))
    hints = torch.zeros(2, 3, 128, 128)
    with torch.no_grad():
        once = denoise_once(loaded, latents, hints, ["a", "b"], torch.Generator().manual_seed(0), 150, 350)
    assert once.shape == latents.shape and torch.isfinite(once).all()
    sheets = {path.name for path in (work / "sheets").iterdir()}
    assert sheets == {*(f"{stage}-000004.png" for stage in STAGES), "prompts.txt"}
    # only the decoder was sharpened, and only where it isn't at rest
    (tmp_path / "vae.safetensors").write_bytes(before["sharpen"])
    plain, sharp = (load_vae(path)[0].state_dict() for path in (tmp_path / "vae.safetensors", work / "vae.safetensors"))
    changed = [key for key in plain if not torch.equal(plain[key], sharp[key])]
    assert changed and all(key.startswith("decoder.") for key in changed)
    assert all(sharp[key].any() for key in changed)


@pytest.mark.slow(reason="trainings of all networks")
def test_text_encoder_and_hint_layers_rest_while_the_controlnet_learns(trained):
    work, _ = trained
    first, second = (load_file(work / f"{stage}.state.safetensors") for stage in ("diffusion", "controlnet"))
    assert all(
        torch.equal(first[key.replace("weights.", "ema.")], value)
        for key, value in second.items()
        if key.startswith("weights.text_encoder.")
    )
    learned = {key for key in second if key.startswith("ema.")}
    assert any(key.startswith("ema.controlnet.") for key in learned)
    resting = ("ema.text_encoder", "ema.controlnet.controlnet_cond_embedding.blocks")
    assert not any(key.startswith(resting) for key in learned)
    out = second["weights.controlnet.controlnet_mid_block.weight"]
    assert out.any(), "the ControlNet has begun to speak"


@pytest.mark.slow(reason="trainings of all networks")
def test_every_stage_goes_on_from_exported_files_in_bfloat16_too(trained, tmp_path):
    start = export(trained[0], tmp_path / "out")[0]
    for name, train in STAGES.items():
        train(tmp_path / name, Growing(), steps=1, start=start, bf16=True)
    on = load_file(tmp_path / "controlnet" / "controlnet.state.safetensors")
    hints = "weights.controlnet.controlnet_cond_embedding.blocks.0.weight"
    before = load_file(trained[0] / "controlnet.state.safetensors")[hints]
    assert torch.equal(on[hints], before.half().float()), "the given ControlNet, not a new one"


def test_a_controlnet_needs_a_unet(tmp_path):
    with pytest.raises(ValueError, match="run `pocket train diffusion` first, or give --start"):
        controlnet(tmp_path, Growing(), steps=1)


def test_another_unet_does_not_go_beside_a_trained_controlnet(tmp_path):
    (tmp_path / "controlnet.state.safetensors").touch()
    with pytest.raises(ValueError, match="would not fit another UNet: choose another --work"):
        diffusion(tmp_path, Growing(), steps=1)


def test_latents_that_are_known_are_not_computed_again(tmp_path):
    torch.manual_seed(0)
    network, cache = build_vae(SMALL).eval(), tmp_path / "latents-train.safetensors"
    known = cached_latents(scenes(6, side=SIDE), network, cache)
    written = cache.stat().st_mtime_ns
    with torch.no_grad():
        network.decoder.layers[0].weight.zero_()  # a sharper decoder leaves the latents what they are
    assert torch.equal(cached_latents(scenes(5, side=SIDE), network, cache), known[:5])
    assert cache.stat().st_mtime_ns == written
    assert len(cached_latents(scenes(8, side=SIDE), network, cache)) == 8 and cache.stat().st_mtime_ns > written
    with torch.no_grad():
        network.encoder.layers[0].weight.zero_()
    assert not torch.equal(cached_latents(scenes(6, side=SIDE), network, cache), known)


@pytest.mark.parametrize("content", [b"cut short", None])
def test_a_file_that_keeps_no_latents_is_left_alone(tmp_path, content):
    file = tmp_path / "mine.safetensors"
    if content:
        file.write_bytes(content)
    else:
        save_file({"lora": torch.ones(2)}, file)
    before = file.read_bytes()
    with pytest.raises(ldm.PocketFileError, match=r'mine.safetensors"'):
        cached_latents(scenes(2, side=SIDE), build_vae(SMALL).eval(), file)
    assert file.read_bytes() == before


def line(work, steps, until=None, **options):
    torch.manual_seed(5)
    layer = torch.nn.Conv2d(4, 4, 3, padding=1).to(memory_format=torch.channels_last)
    run = Training(work, "line", {"layer": layer}, 1e-2, steps=steps, **options)
    while run.running and run.step != until:
        x = torch.randn(8, 4, 5, 5, generator=run.random)
        run.update(((layer(x) - x) ** 2).mean())
    run.save()
    return run


@pytest.mark.parametrize("matrices", [lambda key, p: p.ndim > 1, lambda key, p: False])
def test_a_resumed_training_equals_an_unbroken_one(tmp_path, matrices):
    """By Muon and by AdamW, also of weights that lie channels last in memory."""
    whole = line(tmp_path / "whole", 12, matrices=matrices)
    line(tmp_path / "broken", 12, until=5, matrices=matrices)
    resumed = line(tmp_path / "broken", 12, matrices=matrices)
    assert resumed.step == whole.step == 12
    for key, value in whole.parameters.items():
        assert torch.equal(value, resumed.parameters[key])
        assert torch.equal(whole.average.shadow[key], resumed.average.shadow[key])
    with pytest.raises(ldm.PocketFileError, match=r"other settings \(seed was 0, is 1\)"):
        line(tmp_path / "set", 12, until=1, settings={"seed": 0})
        line(tmp_path / "set", 12, settings={"seed": 1})
    (tmp_path / "broken" / "line.state.safetensors").write_bytes(b"half")
    with pytest.raises(ldm.PocketFileError, match="delete it to start over"):
        line(tmp_path / "broken", 12)


def test_a_step_that_is_not_finite_is_left_out_and_many_in_a_row_end_the_run(tmp_path, capsys):
    layer = torch.nn.Linear(1, 1)
    run = Training(tmp_path, "line", {"layer": layer}, 1e-2, steps=100)
    before = layer.weight.detach().clone()

    def step(value):
        run.update(layer(torch.tensor([[value]])).sum())

    step(float("nan"))
    assert torch.equal(layer.weight, before) and run.step == 1 and "step 0 is left out" in capsys.readouterr().out
    step(1.0)
    assert not torch.equal(layer.weight, before)
    with pytest.raises(FloatingPointError, match="smaller --lr"):
        for _ in range(training.MOST_LEFT_OUT):
            step(float("inf"))
    assert torch.isfinite(layer.weight).all() and torch.isfinite(run.average.shadow["layer.weight"]).all()


def test_a_device_that_is_not_here():
    assert find_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match='--device is "warp", which this PyTorch can\'t use'):
        find_device("warp")
    with pytest.raises(ValueError, match="this PyTorch can't use"):
        find_device("meta")


@pytest.mark.parametrize("guidance", [1.0, 3.0])
def test_the_unet_learns_what_the_family_draws_under_guidance(guidance):
    pocket = build_pocket(SMALL, 0)
    loss_of = Guided(pocket, guidance)
    latents, shares, hints = torch.randn(4, 4, 8, 8), torch.zeros(4, 1, 8, 8), torch.zeros(4, 3, 64, 64)
    contexts = pocket.encode_prompts(["a chair", "a lamp on sand", "", "snow"]).detach()
    contexts = 30 * contexts  # an untrained text encoder says little
    alpha_bar = alphas_cumprod()

    def loss():
        return loss_of(pocket, latents, shares, hints, contexts, alpha_bar, torch.Generator().manual_seed(0))

    with torch.no_grad():
        before = loss()
    if guidance == 1:
        assert before < 1e-9, "without guidance there is nothing to learn"
        return
    optimiser = torch.optim.Adam(pocket.unet.parameters(), 3e-4)
    for _ in range(12):
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()
    with torch.no_grad():
        assert loss() < 0.8 * before, "the teacher stays, the UNet comes after it"


class Knowing:
    """A family that sees through all noise: its v is the true one of the only scene there is."""

    def __init__(self, latents, alpha_bar):
        self.latents, self.alpha_bar = latents, alpha_bar
        self.unet = self.controlnet = torch.nn.Identity()

    def velocity(self, x, t, contexts, hints):
        a = self.alpha_bar[t][:, None, None, None]
        noise = (x - a.sqrt() * self.latents) / (1 - a).sqrt()
        return a.sqrt() * noise - (1 - a).sqrt() * self.latents


class Straight(Knowing):
    """The same on straight lines: eps - x0; at s = 0 it can't tell and isn't asked."""

    def velocity(self, x, t, contexts, hints):
        assert ((t > 0) & (t <= 1000)).all()
        s = (t / 1000)[:, None, None, None]
        return (x - (1 - s) * self.latents) / s - self.latents


def test_a_straightened_family_learns_the_velocity_of_the_line():
    latents, alpha_bar = torch.randn(8, 4, 8, 8, dtype=torch.float64), alphas_cumprod().double()
    loss_of = Straightened(Knowing(latents, alpha_bar), alpha_bar)
    random = torch.Generator().manual_seed(0)
    loss = loss_of(Straight(latents, alpha_bar), latents, torch.zeros(8, 1, 8, 8), None, None, alpha_bar, random)
    assert loss < 1e-9, "what follows from v is what a line's velocity is"


@pytest.mark.slow(reason="trainings of all networks")
def test_a_family_is_turned_into_one_that_matches_flows(trained, tmp_path):
    start = trained[0] / "controlnet.state.safetensors"
    work = copied(["vae.safetensors"], trained[0], tmp_path / "flow")
    diffusion(work, Growing(), "flow", steps=2, start=start)
    checkpoint, controlnet = export(work, tmp_path / "out")
    flow = ldm.load_pocket(checkpoint, controlnet)
    assert flow.flow and type(models_of(flow).schedule).__name__ == "FlowSchedule"
    plain = export(trained[0], tmp_path / "plain")
    with pytest.raises(ldm.PocketFileError, match="channels, flow matching"):
        ldm.load_pocket(plain[0], controlnet)
    for stage in ("flow", "controlnet"):
        with pytest.raises(ldm.PocketFileError, match="begin with one that predicts v"):
            diffusion(tmp_path / stage, Growing(), stage, steps=1, start=checkpoint)
    with pytest.raises(ValueError, match="goes on beside a ControlNet"):
        diffusion(tmp_path / "alone", Growing(), "flow", steps=1)
