"""The paper's own recipe: RF1M as its page counts labels, its maps as inputs, the step schedule, trained BatchNorms."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from reliable_ads.rfnet.architectures import ARCHITECTURES, RFNetConfig
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.rf1m import LISTED_NUMBERS
from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.model import build_rfnet
from reliable_ads.rfnet.pretrained import load_pretrained
from reliable_ads.rfnet.training.config import read_config
from reliable_ads.rfnet.training.step import learning_rate
from reliable_ads.rfnet.training.train import Run
from reliable_ads.rfnet.weights import load_networks, read_metadata

from .rfnet_examples import SMALL
from .source_examples import cutout, picture, put
from .training_examples import config

CONFIGS = Path(__file__).parents[2] / "rfnet" / "configs"
OF_THE_PAGE = {name: number for number, name in LISTED_NUMBERS.items()}


def rf1m(root, maps=("depth_dpt", "saliency_u2net"), without=()):
    """Ten pictures, two of each label, with labels as RF1M's page counts them, and maps whose grey is their number."""
    names = [f"{n}.png" for n in range(10)]
    files = {f"images/{name}": picture(10 * n) for n, name in enumerate(names)}
    files |= {f"products/{name}": cutout(n) for n, name in enumerate(names)}
    files |= {f"{kind}/{name}": picture(n) for kind in maps for n, name in enumerate(names) if n not in without}
    lines = "".join(f"{name}\t{OF_THE_PAGE[LABELS[n % 5]]}\n" for n, name in enumerate(names))
    return put(root, {**files, "label.txt": lines})


@pytest.fixture
def tree(tmp_path):
    return {split: rf1m(tmp_path / split) for split in ("train", "val")}


def paper_like(tree, tmp_path, **changes):
    """The paper's recipe on a small network."""
    given = {"train": tree["train"], "val": tree["val"], "label_numbers": "page", "own_maps": "dpt", "map_epochs": 0}
    return config(tmp_path, tmp_path / "w.safetensors", **{**given, "schedule": "step", "epochs": 1, **changes})


def test_labels_that_count_as_the_page_does_are_read_where_the_config_says_so(tree, tmp_path):
    with pytest.raises(DataError, match=r'numbers without a 0.*label_numbers = "page"'):
        Run(paper_like(tree, tmp_path, label_numbers=None))
    by_table = {str(number): name for number, name in LISTED_NUMBERS.items()}
    for numbers in ("page", by_table):
        run = Run(paper_like(tree, tmp_path, label_numbers=numbers))
        assert run.train.labels.tolist() == [0, 1, 2, 3, 4] * 2
    for wrong, message in (
        ({"1": "available", "2": "available"}, "a label of its own"),
        ({"one": "available"}, "a label of its own"),
        ({"1": "wonderful"}, "a label of its own"),
        ("theirs", "label_numbers"),
    ):
        with pytest.raises(DataError, match=message):
            paper_like(tree, tmp_path, label_numbers=wrong)


def test_the_maps_that_came_with_the_data_are_what_rfnet_sees(tree, tmp_path, capsys):
    run = Run(paper_like(tree, tmp_path, own_maps={"depth": "dpt-large", "saliency": "u2net"}))
    seen = []
    run.networks.rfnet.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[2:4]))
    run.networks.mapnet.forward = None  # nobody asks the estimator
    run()
    greys = {round(float(part.mean() * 255)) for depth, saliency in seen for part in (*depth, *saliency)}
    assert greys <= {round(0.299 * n + 0.587 * 50 + 0.114 * 200) for n in range(10)}  # `picture` in grey
    file = tmp_path / "w.safetensors"
    assert read_metadata(file)["maps"] == '{"depth": "dpt-large", "saliency": "u2net"}'
    command = ["evaluate", str(file), "--data", str(tree["val"]), "--label-numbers", "page", "--json"]
    assert main([*command, "--own-maps"]) == 0 and "were trained with" not in capsys.readouterr().err
    assert main(command) == 0 and "get builtin ones" in capsys.readouterr().err


@pytest.mark.parametrize(
    "command",
    [
        ["remember", "{weights}", "--data", "{train}", "--count", "4", "--out", "{out}"],
        ["adapt", "{train}", "--weights", "{weights}", "--method", "head", "--keep-worse", "--out", "{out}"],
        ["fuse", "{weights}", "--data", "{train}", "--opinions", "contact", "--out", "{out}"],
    ],
    ids=lambda command: command[0],
)
def test_every_command_that_reads_labels_is_told_how_they_count(tree, tmp_path, capsys, command):
    Run(paper_like(tree, tmp_path))()
    places = {"weights": tmp_path / "w.safetensors", "train": tree["train"], "out": tmp_path / "out.safetensors"}
    command = [part.format(**places) for part in command]
    assert main(command) == 1 and "--label-numbers page" in capsys.readouterr().err
    main([*command, "--label-numbers", "page"])
    assert "--label-numbers" not in capsys.readouterr().err


def test_samples_without_maps_are_left_out_and_counted(tmp_path):
    some = open_samples(rf1m(tmp_path / "some", without=(3,)), 32, LISTED_NUMBERS).with_own_maps("dpt")
    assert len(some) == 9 and some.findings.counts["without_maps"] == 1 and some.map_name == "dpt"
    none = open_samples(rf1m(tmp_path / "none", maps=("depth",)), 32, LISTED_NUMBERS)
    with pytest.raises(DataError, match="no sample came with both"):
        none.with_own_maps("dpt")


def test_own_maps_exclude_computed_ones_and_need_names(tree, tmp_path):
    with pytest.raises(DataError, match="leave out train_maps"):
        paper_like(tree, tmp_path, train_maps=["a"], val_maps=["b"])
    for wrong in ("", {"depth": "dpt"}, {"depth": "", "saliency": "x"}):
        with pytest.raises(DataError, match="own_maps"):
            paper_like(tree, tmp_path, own_maps=wrong)


def test_the_step_schedule_divides_by_ten_at_half():
    rates = [learning_rate(1e-4, epoch / 10, "step") for epoch in range(10)]
    assert np.allclose(rates, [1e-4] * 5 + [1e-5] * 5)


def test_batch_norm_is_trained_where_the_architecture_says_so(tmp_path):
    small = replace(SMALL, backbone="resnet18", batch_norm="trained")
    network = build_rfnet(small)
    norms = [module for module in network.images.backbone.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert len(norms) == 15  # of resnet18 up to stride 16
    before = norms[0].running_mean.clone()
    network.train().images(torch.rand(2, 3, 64, 64))
    assert not torch.equal(norms[0].running_mean, before)
    assert RFNetConfig.from_json(small.to_json()) == small and "batch_norm" not in SMALL.to_json()


def test_pretrained_statistics_are_where_a_trained_batch_norm_begins(tmp_path):
    import timm
    from safetensors.torch import save_file

    whole = timm.create_model("resnet18", pretrained=False)
    whole.bn1.running_mean += 1
    save_file(whole.state_dict(), tmp_path / "resnet18.safetensors")
    network = build_rfnet(replace(SMALL, backbone="resnet18", batch_norm="trained"))
    assert load_pretrained(network, tmp_path / "resnet18.safetensors") == ["images"]
    assert torch.equal(network.images.backbone.bn1.running_mean, whole.bn1.running_mean)


def test_weights_with_trained_batch_norms_are_read_again(tree, tmp_path):
    small = replace(SMALL, backbone="resnet18", batch_norm="trained")
    run = Run(paper_like(tree, tmp_path, architecture=small, frozen=[]))
    run.networks.rfnet.images.backbone.bn1.num_batches_tracked += 10**6  # more than half precision holds
    run()
    rfnet, _, _ = load_networks(tmp_path / "w.safetensors")
    assert rfnet.config == small


def test_the_shipped_recipe_is_the_papers():
    paper = read_config(CONFIGS / "paper.toml")
    assert (paper.epochs, paper.lr, paper.backbone_lr, paper.schedule) == (10, 1e-4, 1e-4, "step")
    assert not (
        paper.weight_decay or paper.smoothing or paper.scale or paper.augment or paper.frozen or paper.map_epochs
    )
    assert paper.own_maps and paper.label_numbers == "page"
    assert paper.architecture == replace(ARCHITECTURES["paper"], batch_norm="trained")
    assert read_config(CONFIGS / "large.toml").architecture == ARCHITECTURES["paper"]
