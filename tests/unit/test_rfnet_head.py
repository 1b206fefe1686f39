"""An added head: fitted on features in a moment, stored with the reviewer, part of every verdict."""

import math

import pytest
import torch

from reliable_ads.rfnet.data.sources import open_samples
from reliable_ads.rfnet.head import AddedHead
from reliable_ads.rfnet.training.evaluate import predict
from reliable_ads.rfnet.training.head import Features, cached_features, fit_head, read_features
from reliable_ads.rfnet.training.low_rank import add_low_rank, merge
from reliable_ads.rfnet.weights import WeightsError, blend, load_networks, read_metadata, save_reviewer

from .rfnet_examples import small_networks, write_split
from .source_examples import cutout, picture, put


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    return open_samples(write_split(tmp_path_factory.mktemp("split"), 20), 64)


@pytest.fixture(scope="module")
def features(samples):
    return read_features(*small_networks(), samples)


def noisy(count=60, width=12):
    """Features of which the first tells available from space_mismatch, and a network that knows nothing."""
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 2
    x = torch.randn(count, width, generator=random)
    x[:, 0] += 3 * labels
    return Features(torch.zeros(count, 5), x), labels


def test_features_hold_the_networks_own_verdict(samples, features):
    rfnet, mapnet = small_networks()
    assert torch.allclose(features.logits, predict(rfnet, mapnet, samples), atol=1e-5)
    assert features.features.shape == (20, rfnet.feature_width)


def test_as_made_a_head_changes_nothing(features):
    assert torch.equal(features.judged(AddedHead(features.features.shape[1])), features.logits)


def test_it_learns_what_the_labels_show():
    features, labels = noisy()
    p = features.judged(fit_head(features, labels, ridge=1)).softmax(1)
    assert (p[:, :2].argmax(1) == labels).float().mean() > 0.9


def test_labels_that_are_missing_keep_their_logits_apart():
    """With available and space_mismatch alone, the other three stay as they were against each other."""
    features, labels = noisy()
    features.logits = torch.randn(len(labels), 5, generator=torch.Generator().manual_seed(1))
    head = fit_head(features, labels, ridge=1)
    assert torch.equal(head.weight[2:], torch.zeros(3, 12)) and torch.equal(head.bias[2:], torch.zeros(3))


def test_an_infinite_ridge_leaves_scale_and_bias():
    features, labels = noisy()
    head = fit_head(features, labels, math.inf)
    assert not head.weight.any() and torch.isfinite(head.bias).all()


def test_a_stronger_ridge_changes_less():
    features, labels = noisy()
    assert fit_head(features, labels, 10).weight.norm() < fit_head(features, labels, 0.3).weight.norm()


def test_a_head_goes_on_from_another():
    features, labels = noisy()
    first = fit_head(features, labels, 1)
    both = fit_head(features, 1 - labels, 1, on=first)
    second = fit_head(Features(features.judged(first), features.features), 1 - labels, 1)
    assert torch.allclose(
        features.judged(both), Features(features.judged(first), features.features).judged(second), atol=1e-4
    )


def test_cached_features_are_computed_once(samples, tmp_path, features):
    path = tmp_path / "features.safetensors"
    networks = small_networks()
    seen = []
    networks[1].register_forward_pre_hook(lambda *_: seen.append(1))
    first = cached_features(path, "abc", *networks, samples.select(range(10)))
    assert len(seen) == 1 and torch.allclose(first.logits, features.logits[:10], atol=1e-5)
    cached_features(path, "abc", *networks, samples.select(range(5, 10)))
    assert len(seen) == 1
    again = cached_features(path, "abc", *networks, samples)
    assert len(seen) == 2 and torch.equal(again.features[:10], first.features)
    cached_features(path, "other weights", *networks, samples.select(range(5)))
    assert len(seen) == 3


def test_cached_features_are_those_of_what_is_seen_whatever_it_is_called(tmp_path):
    """Two data sets whose pictures have the same names, and one whose picture got another caption."""
    networks, cache = small_networks(), tmp_path / "features.safetensors"
    found = {}
    for name, colour, caption in (("a", 40, "a mug"), ("b", 200, "a mug"), ("c", 200, "a tent")):
        table = f"image,product,label,caption\n0.png,p.png,available,{caption}\n"
        put(tmp_path / name, {"0.png": picture(colour), "p.png": cutout(1), "t.csv": table})
        samples = open_samples(tmp_path / name / "t.csv", 64)
        found[name] = cached_features(cache, "abc", *networks, samples).features
        assert torch.allclose(found[name], read_features(*networks, samples).features, atol=1e-5)
    assert not torch.equal(found["a"], found["b"]) and not torch.equal(found["b"], found["c"])


@pytest.mark.parametrize("content", [b"", b"no safetensors", b"\xff" * 64])
def test_a_damaged_cache_is_made_anew(samples, tmp_path, content):
    path = tmp_path / "features.safetensors"
    path.write_bytes(content)
    assert len(cached_features(path, "abc", *small_networks(), samples.select(range(3)))) == 3


def test_where_features_cannot_be_kept_they_are_computed_all_the_same(samples, tmp_path, features):
    path = tmp_path / "features.safetensors"
    path.mkdir()
    with pytest.warns(UserWarning, match=r"isn't kept: .*features.safetensors. is a folder"):
        found = cached_features(path, "abc", *small_networks(), samples.select(range(3)))
    assert torch.allclose(found.features, features.features[:3], atol=1e-5)


def with_head(path):
    rfnet, mapnet = small_networks()
    rfnet.added = AddedHead(rfnet.feature_width)
    torch.nn.init.normal_(rfnet.added.weight, std=0.1)
    save_reviewer(path, rfnet, mapnet)
    return rfnet, mapnet


def test_a_head_is_stored_with_the_reviewer(samples, tmp_path):
    path = tmp_path / "with.safetensors"
    rfnet, mapnet = with_head(path)
    loaded, maps, _ = load_networks(path)
    found = predict(loaded, maps, samples)
    assert torch.allclose(found, predict(rfnet, mapnet, samples), atol=0.02)
    rfnet.added = None
    assert not torch.allclose(found, predict(rfnet, mapnet, samples), atol=0.1)


def test_only_a_file_with_a_head_needs_the_new_format(tmp_path):
    with_head(tmp_path / "with.safetensors")
    save_reviewer(tmp_path / "without.safetensors", *small_networks())
    versions = [read_metadata(tmp_path / f"{name}.safetensors")["format_version"] for name in ("with", "without")]
    assert versions == ["2", "1"]


def test_a_head_is_not_blended(tmp_path):
    with_head(tmp_path / "with.safetensors")
    save_reviewer(tmp_path / "without.safetensors", *small_networks())
    with pytest.raises(WeightsError, match="has an added head"):
        blend(tmp_path / "without.safetensors", tmp_path / "with.safetensors", 0.5, tmp_path / "between.safetensors")


def test_low_rank_changes_start_at_nothing_and_are_taken_in(samples):
    rfnet, mapnet = small_networks()
    before = predict(rfnet, mapnet, samples)
    names = set(rfnet.state_dict())
    groups = add_low_rank(rfnet)
    assert torch.allclose(predict(rfnet, mapnet, samples), before, atol=1e-5)
    learning = sum(parameter.numel() for group in groups for parameter in group["params"])
    assert learning < 0.2 * sum(parameter.numel() for parameter in rfnet.parameters())
    with torch.no_grad():
        for parameter in groups[0]["params"]:
            parameter.add_(0.01)
    changed = predict(rfnet, mapnet, samples)
    merge(rfnet)
    assert set(rfnet.state_dict()) == names
    assert torch.allclose(predict(rfnet, mapnet, samples), changed, atol=1e-4)
    assert not torch.allclose(changed, before, atol=1e-3)
