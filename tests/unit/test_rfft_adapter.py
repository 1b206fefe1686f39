"""The adapter: off it is the base bit for bit, on it equals the merged file, adapters add, and its file is refused
wherever it doesn't belong.
"""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.ldm import from_ldm, key_maps, save_controlnet
from reliable_ads.rfft.adapter import (
    Adapter,
    AdapterError,
    LowRank,
    load_adapter,
    read_adapter,
    save_adapter,
    sha256_of,
)
from reliable_ads.rfft.merge import merge_files, merge_states

from .adapter_examples import answer, filled, near, same, tiny_with
from .rfft_examples import TINY, tiny_pocket


@pytest.fixture
def controlnet():
    return tiny_pocket().controlnet


def test_it_begins_as_the_base_and_off_is_the_base_bit_for_bit(controlnet):
    before, weights = answer(controlnet), {k: v.clone() for k, v in controlnet.state_dict().items()}
    fresh = Adapter(controlnet, 4)
    assert near(answer(controlnet), before) == 0
    fresh.remove()
    adapter = filled(controlnet)
    assert near(answer(controlnet), before) > 0.01
    with adapter.off():
        assert same(answer(controlnet), before)
    assert adapter.strength == 1 and near(answer(controlnet), before) > 0.01
    adapter.strength = 0
    assert same(answer(controlnet), before)
    adapter.strength = 1
    adapter.remove()
    assert same(answer(controlnet), before)
    assert weights.keys() == controlnet.state_dict().keys() and all(
        torch.equal(v, weights[k]) for k, v in controlnet.state_dict().items()
    )


def test_off_ends_even_when_its_block_fails(controlnet):
    adapter = filled(controlnet)
    with pytest.raises(KeyError), adapter.off():
        raise KeyError
    assert adapter.strength == 1


@pytest.mark.parametrize(
    "layer", [torch.nn.Linear(6, 5), torch.nn.Conv2d(6, 5, 3, stride=2, padding=1), torch.nn.Conv2d(6, 5, 1)]
)
def test_an_update_is_a_change_of_the_weight(layer):
    from reliable_ads.rfft.adapter import delta

    update = LowRank(layer, 3)
    torch.nn.init.normal_(update.up)
    update.alpha = 1.5  # a file may bring another alpha than the rank
    x = torch.randn(2, 6) if isinstance(layer, torch.nn.Linear) else torch.randn(2, 6, 8, 8)
    added = layer(x) + update(x)
    layer.weight.data += delta(update.up.detach(), update.down.detach(), update.alpha)
    assert torch.allclose(layer(x), added, atol=1e-5)


def test_every_linear_and_convolution_learns_and_nothing_else(controlnet):
    controlnet.requires_grad_(False)
    adapter = filled(controlnet)
    layers = [m for m in controlnet.modules() if isinstance(m, (torch.nn.Linear, torch.nn.Conv2d))]
    assert len(adapter.updates) == len(layers) == len(set(adapter.names))
    down, mid = controlnet(
        torch.randn(1, 4, 8, 8),
        torch.tensor([300]),
        encoder_hidden_states=torch.randn(1, 77, 32),
        controlnet_cond=torch.rand(1, 3, 64, 64),
        return_dict=False,
    )
    sum(x.square().sum() for x in (*down, mid)).backward()
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in adapter.parameters())
    assert all(p.grad is None for p in controlnet.parameters())


def test_merged_equals_base_and_adapter_at_every_strength(base):
    path, controlnet = base
    names = key_maps(TINY, controlnet=controlnet)["controlnet"]
    adapter, tensors = filled(controlnet), load_file(path)
    single = {k: v.float() for k, v in tensors.items()}
    for strength in (1.0, 0.5, 0.0):
        adapter.strength = strength
        with_adapter = answer(controlnet)
        merged = tiny_pocket().controlnet
        from_ldm(merged, names, merge_states(single, [(adapter.tensors(), strength, "a")], "base"), "merged")
        assert near(answer(merged), with_adapter) < 1e-5
        assert strength or same(answer(merged), with_adapter)
    assert (
        merge_states(tensors, [(adapter.tensors(), 1.0, "a")], "base")["zero_convs.0.0.weight"].dtype == torch.float16
    )


def test_adapters_add(base):
    path, controlnet = base
    single = {k: v.float() for k, v in load_file(path).items()}
    one, two = filled(controlnet, 2, seed=1), filled(controlnet, 4, seed=2)
    one.strength = 0.7
    with_both = answer(controlnet)
    merged = tiny_pocket().controlnet
    from_ldm(
        merged,
        key_maps(TINY, controlnet=controlnet)["controlnet"],
        merge_states(single, [(one.tensors(), 0.7, "1"), (two.tensors(), 1.0, "2")], "base"),
        "merged",
    )
    assert near(answer(merged), with_both) < 1e-5


def test_a_file_brings_the_same_adapter_back(base, tmp_path):
    path, controlnet = base
    adapter = filled(controlnet)
    for p in adapter.parameters():
        p.data = p.data.half().float()
    about = {
        "reviewer": "rfnet_compact",
        "losses": {"loss": "cc", "beta": 0.1},
        "steps": 5,
        "rates": {"before": {"value": 0.5, "low": 0.3, "high": 0.7, "n": 20}},
    }
    save_adapter(tmp_path / "a.safetensors", adapter, sha256_of(path), path.name, about)
    expected = answer(controlnet)
    adapter.remove()
    again = load_adapter(controlnet, tmp_path / "a.safetensors", path)
    assert (
        same(answer(controlnet), expected) and again.rank == 4 and not any(p.requires_grad for p in again.parameters())
    )
    _, metadata = read_adapter(tmp_path / "a.safetensors", path)
    assert (
        metadata["base_sha256"] == sha256_of(path)
        and json.loads(metadata["rates"])["before"]["n"] == 20
        and metadata["rank"] == "4"
    )
    keys = load_file(tmp_path / "a.safetensors").keys()
    assert {
        "rfft.zero_convs.0.0.lora_up.weight",
        "rfft.zero_convs.0.0.lora_down.weight",
        "rfft.zero_convs.0.0.alpha",
    } <= set(keys)
    again.strength = 0
    again.remove()
    half = load_adapter(controlnet, tmp_path / "a.safetensors", path, strength=0.0)
    assert same(answer(controlnet), answer(tiny_with(path))) and half.strength == 0


def test_what_does_not_belong_is_refused_by_name(base, tmp_path):
    path, controlnet = base
    file = tmp_path / "a.safetensors"
    save_adapter(file, filled(controlnet), sha256_of(path), path.name)
    other = tmp_path / "other.safetensors"
    save_controlnet(other, tiny_pocket(seed=3))
    with pytest.raises(
        AdapterError,
        match=r'"a.safetensors" belongs to "base.safetensors".*not to "other.safetensors".*choose the ControlNet',
    ):
        read_adapter(file, other)
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(AdapterError, match=r'"cut.safetensors" is cut short.*copy or download'):
        read_adapter(cut)
    with pytest.raises(
        AdapterError,
        match=r'"base.safetensors" is no RFFT adapter but a whole ControlNet: choose a file that `rfft train` wrote',
    ):
        read_adapter(path)
    with pytest.raises(AdapterError, match=r'the adapter ".*none.safetensors" does not exist'):
        read_adapter(tmp_path / "none.safetensors")
    tensors, metadata = read_adapter(file)
    lacking = {k: v for k, v in tensors.items() if k != "rfft.zero_convs.0.0.alpha"}
    up, down, alpha = (f"rfft.zero_convs.0.0.{part}" for part in ("lora_up.weight", "lora_down.weight", "alpha"))
    for key, value in (
        (up, tensors[up].flatten()),
        (down, tensors[down][:0]),
        (down, tensors[down].to(torch.int8)),
        (alpha, torch.tensor(-1.0)),
        (alpha, torch.ones(2)),
    ):
        save_file(tensors | {key: value}, tmp_path / "odd.safetensors", metadata)
        with pytest.raises(AdapterError, match=r'"odd.safetensors" has an update of zero_convs.0.0 that can.t be used'):
            read_adapter(tmp_path / "odd.safetensors")
    for bad, about, words in (
        (tensors, {**metadata, "format_version": "9"}, "format version 9.*update Reliable Ads"),
        (lacking, metadata, "lacks rfft.zero_convs.0.0.alpha"),
        (tensors | {"x": torch.zeros(1)}, metadata, "holds more than"),
        (tensors, {"format": metadata["format"], "format_version": "1"}, "which ControlNet it belongs to"),
        (
            tensors | {"rfft.zero_convs.0.0.lora_up.weight": torch.full((32, 4, 1, 1), float("nan"))},
            metadata,
            "aren't finite",
        ),
    ):
        save_file(bad, tmp_path / "bad.safetensors", about)
        with pytest.raises(AdapterError, match=f'"bad.safetensors".*{words}'):
            read_adapter(tmp_path / "bad.safetensors")


def test_another_kind_of_controlnet_is_refused(base, tmp_path):
    from reliable_ads.pocket.family import build_pocket

    path, controlnet = base
    wider = build_pocket({**TINY, "unet": {**TINY["unet"], "channels": [64, 64]}}).controlnet
    save_adapter(tmp_path / "wide.safetensors", filled(wider), sha256_of(path), path.name)
    before = answer(controlnet)
    with pytest.raises(
        AdapterError, match=r'"wide.safetensors" was made for another ControlNet.*use the base that it names'
    ):
        load_adapter(controlnet, tmp_path / "wide.safetensors", path)
    assert same(answer(controlnet), before)  # and no hook stayed behind
    deeper = build_pocket({**TINY, "unet": {**TINY["unet"], "attention": [True, True]}}).controlnet
    save_adapter(tmp_path / "deep.safetensors", filled(deeper), sha256_of(path), path.name)
    with pytest.raises(AdapterError, match=r'"deep.safetensors" was made for another kind of ControlNet'):
        load_adapter(controlnet, tmp_path / "deep.safetensors", path)
    with pytest.raises(AdapterError, match=r'does not fit "base.safetensors"'):
        merge_files(path, [tmp_path / "deep.safetensors"], tmp_path / "m.safetensors")
    with pytest.raises(AdapterError, match="rank is 0"):
        Adapter(controlnet, 0)
