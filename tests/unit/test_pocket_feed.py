"""What a training sees: composites composed on the fly are those of shards, come in the same order after a stop, and
are square.
"""

import itertools

import numpy as np
import pytest
import torch

from reliable_ads.pocket.training import feed as feeds
from reliable_ads.pocket.training.cli import main
from reliable_ads.pocket.training.feed import Feed, Scenes, held_out
from reliable_ads.pocket.training.latents import unpacked
from reliable_ads.rfnet.data.errors import DataError
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.synthetic.composed import shards
from reliable_ads.synthetic.composed.composer import Composer
from reliable_ads.synthetic.composed.scene_plans import FORMATS, SQUARE

from .composed_examples import SmallAssets, finishes
from .pocket_examples import scenes

SIDE, PER_SHARD = 64, 2


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Shards of two composites, without the asset packages."""

    def start(assets, scratch, size, square=False):
        shards._COMPOSER[:] = [Composer(SmallAssets(), finishes(), size, SQUARE if square else FORMATS)]

    monkeypatch.setattr(feeds, "start_composer", start)
    monkeypatch.setattr(feeds, "PER_SHARD", PER_SHARD)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """DATA with twelve square training composites, in six shards."""
    data = tmp_path_factory.mktemp("composites")
    (data / "train").mkdir()
    shards._COMPOSER[:] = [Composer(SmallAssets(), finishes(), SIDE, SQUARE)]
    for first in range(0, 12, PER_SHARD):
        path = shards.composite_path(data, "train", first // PER_SHARD)
        shards.compose_shard(str(path), "train", first, first + PER_SHARD)
    return data


def taken(feed, *progress) -> list[Scenes]:
    with feed:
        return list(itertools.chain.from_iterable(feed.take(p) for p in progress))


def same(left: list[Scenes], right: list[Scenes]) -> bool:
    def columns(parts):
        return {name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}

    left, right = columns(left), columns(right)
    return all(np.array_equal(left[name], right[name]) for name in left)


def test_composed_on_the_fly_they_are_the_scenes_of_shards(data, tmp_path):
    fly = Feed(tmp_path / "train", SIDE, 12, assets="assets")
    with fly:
        first = fly.take(0.0)
        assert len(list((tmp_path / "train").iterdir())) == 1 and sum(map(len, first)) == 2
        assert fly.take(0.0) == [] and sum(map(len, fly.take(0.5))) > 2
        assert {path.name for path in tmp_path.iterdir()} >= {"train"}
    assert [path.name for path in tmp_path.iterdir()] == ["train"], "no scratch is left"
    # a stopped training: what is there is read, the others are composed
    again = taken(Feed(tmp_path / "train", SIDE, 12, assets="assets"), 0.5, 0.9, 1.0)
    assert same(again, taken(Feed(data / "train", SIDE), 0.0))


@pytest.mark.parametrize("limit", [3, 100])
def test_a_limit_counts_scenes(data, limit):
    found = taken(Feed(data / "train", SIDE, limit), 0.0, 1.0)
    assert [name for part in found for name in part.ids] == [f"train-c{n:06d}" for n in range(min(limit, 12))]


@pytest.mark.slow(reason="another process imports all")
def test_processes_read_the_same(data):
    assert same(taken(Feed(data / "train", SIDE, 5, workers=1), 0.0), taken(Feed(data / "train", SIDE, 5), 0.0))


def test_only_square_pictures_are_taken(data, tmp_path):
    """Those that `synthetic compose` made in all formats are the same as those of --square."""
    shards._COMPOSER[:] = [Composer(SmallAssets(), finishes(), SIDE)]
    path = shards.composite_path(tmp_path, "train", 0)
    path.parent.mkdir()
    shards.compose_shard(str(path), "train", 0, 12)
    mixed = taken(Feed(path.parent, SIDE), 0.0)
    square = taken(Feed(data / "train", SIDE), 0.0)
    ids = [name for part in square for name in part.ids]
    rows = [ids.index(name) for name in mixed[0].ids]
    assert 0 < len(rows) < 12
    assert np.array_equal(mixed[0].images, np.concatenate([part.images for part in square])[rows])
    held = held_out(path.parent, SIDE, 2)
    assert held.column("id") == mixed[0].ids[:2]


def test_a_folder_without_square_pictures_or_without_shards(tmp_path):
    composer = Composer(SmallAssets(), finishes(), SIDE, {0.5625: 1.0})
    path = shards.composite_path(tmp_path, "train", 0)
    path.parent.mkdir()
    shards.write_shard(path, [composer.compose("train", 0).row()])
    for read in (lambda: taken(Feed(path.parent, SIDE), 0.0), lambda: held_out(path.parent, SIDE, 4)):
        with pytest.raises(DataError, match=r"holds no square pictures.*`synthetic compose --square`"):
            read()
    with pytest.raises(DataError, match=r"holds no \.zip shards"):
        Feed(tmp_path / "none", SIDE)


def test_held_out_scenes_are_composed_too(tmp_path):
    found = held_out(tmp_path / "val", SIDE, 2, assets="assets")
    assert found.column("id") == ["val-c000000", "val-c000001"]
    assert len(read_shards(tmp_path / "val", SIDE)) == PER_SHARD


def test_hints_and_shares_are_packed():
    samples = scenes(2, side=SIDE)
    packed = Scenes.of(samples)
    hints = np.stack([feeds.hint_of(product) for product in samples.arrays["product"]])
    assert packed.hints.nbytes * 24 == hints.size and packed.tokens.shape == (2, 2, 77)
    assert np.array_equal(unpacked(torch.from_numpy(packed.hints)).numpy(), hints)
    assert packed.shares.shape == (2, 8, 8) and packed.shares[0, 4, 4] == 255 and packed.shares[0, 0, 0] == 0


def test_the_command_says_what_is_missing_for_composing(tmp_path, capsys):
    command = ["train", "vae", "--data", str(tmp_path / "data"), "--work", str(tmp_path), "--compose", str(tmp_path)]
    assert main(command) == 2
    assert "install" in capsys.readouterr().err and not (tmp_path / "data").exists()
