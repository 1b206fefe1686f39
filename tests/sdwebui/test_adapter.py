"""RFFT adapters: Forge and reForge draw with one as with the merged file; Automatic1111 says that it must be merged."""

import pytest
import torch
from safetensors.torch import load_file, save_file

from reliable_ads.devtools.thin_models import MODELS, plain
from reliable_ads.devtools.webui import WebUIRefused
from reliable_ads.rfft.adapter import ALPHA, DOWN, PREFIX, UP, save_adapter, sha256_of
from reliable_ads.rfft.merge import merge_files, weight_names

from .ads import DRAW, by_seed, canvas, draw, in_infotext, pasted, refused, same

BASE = "thin_canny.safetensors"
DAMAGED = {
    "orphan_canny": '"gone.safetensors" (SHA-256 000000000000...), which is not in models/ControlNet: put the file',
    "astray_canny": "and the file of that name there is another: put the file",
    "gap_canny": "it is not a whole RFFT adapter",
    "endless_canny": "values that aren't finite",
    "nameless_canny": "is no RFFT adapter",
}


@pytest.fixture(scope="module")
def adapters(web):
    """In models/ControlNet since the web UI runs: an adapter of the thin canny, the merged file, and adapters that
    can't be used; gone again afterwards.
    """
    folder = web.data / "models" / "ControlNet"
    tensors, digest = low_rank(load_file(MODELS / BASE)), sha256_of(MODELS / BASE)
    first = next(key for key in tensors if key.endswith(DOWN))
    files = {name: folder / f"{name}.safetensors" for name in ("tuned_canny", "merged_depth", *DAMAGED)}
    save_adapter(files["tuned_canny"], tensors, digest, BASE)
    merge_files(MODELS / BASE, [files["tuned_canny"]], files["merged_depth"])
    save_adapter(files["orphan_canny"], tensors, "0" * 64, "gone.safetensors")
    save_adapter(files["astray_canny"], tensors, "0" * 64, BASE)
    save_adapter(files["gap_canny"], {k: v for k, v in tensors.items() if k != first}, digest, BASE)
    save_adapter(files["endless_canny"], {**tensors, first: tensors[first] / 0}, digest, BASE)
    save_file(load_file(files["tuned_canny"]), files["nameless_canny"])  # without its metadata
    # Asked for by name, a file is found that came after the web UI began
    report = draw(web, {"control_net_name": "merged_depth", "attempts": 1}).report
    assert report["settings"]["control_net"].startswith("merged_depth")
    yield
    for path in files.values():
        path.unlink()


def low_rank(base: dict, rank: int = 2) -> dict:
    """Random updates of every layer, about a third as large as its weights."""
    generator = torch.Generator().manual_seed(3)
    tensors = {}
    for module, key in weight_names(base, BASE).items():
        weight = base[key].float()
        if weight.ndim < 2:
            continue
        size = 0.3 * weight.std().item() / rank**0.5
        tensors[PREFIX + module + UP] = torch.randn(len(weight), rank, *[1] * (weight.ndim - 2), generator=generator)
        tensors[PREFIX + module + DOWN] = torch.randn(rank, *weight.shape[1:], generator=generator) * size
        tensors[PREFIX + module + ALPHA] = torch.tensor(float(rank))
    return tensors


def test_an_adapter_draws_as_the_merged_file(web, host, adapters):
    """In Forge and reForge, as a ControlNet of the host's own, without Reliable Ads."""
    if host.kind == "Automatic1111":
        said = refused(web, {"control_net_name": "tuned_canny"})
        assert "tuned_canny" in said and "merge it with its ControlNet in the tab Reliable Ads" in said
        return
    drawn = {
        name: web.draw(**DRAW, alwayson_scripts=plain(web, canvas(), control_net=name)).pictures[0]
        for name in ("thin_canny", "merged_depth", "tuned_canny")
    }
    assert same(drawn["tuned_canny"], drawn["merged_depth"]) and not same(drawn["tuned_canny"], drawn["thin_canny"])


def test_reliable_ads_draws_with_a_tuned_controlnet(web, host, adapters):
    name = "merged_depth" if host.kind == "Automatic1111" else "tuned_canny"
    answer, placed = draw(web, {"control_net_name": name, "attempts": 1}), canvas()
    alone = web.draw(**DRAW, alwayson_scripts=plain(web, placed, control_net="merged_depth"))
    assert same(answer.pictures[0], pasted(placed, alone.pictures[0]))
    assert in_infotext(answer.infotexts[0], "RF control net name") == name


def test_the_remedy_tuned_draws_again_with_the_tuned_controlnet(web, host, adapters):
    tuned = "merged_depth" if host.kind == "Automatic1111" else "tuned_canny"
    answer = draw(web, {"remedies": ["tuned"], "tuned_control_net_name": tuned, "keep_rejected": True})
    first, second = answer.report["attempts"]
    assert first["remedies"] == [] and [change["remedy"] for change in second["remedies"]] == ["tuned"]
    drawn, placed = by_seed(answer), canvas()
    for seed, name in ((5, "thin_canny"), (6, "merged_depth")):
        alone = web.draw(**{**DRAW, "seed": seed}, alwayson_scripts=plain(web, placed, control_net=name))
        assert same(drawn[seed], pasted(placed, alone.pictures[0])), seed
    text = answer.infotexts[answer.info["all_seeds"].index(6)]
    again = draw(web, {"attempts": 1, "begin_at": in_infotext(text, "RF begin at"), "tuned_control_net_name": tuned},
        seed=6)  # fmt: skip
    assert same(again.pictures[0], drawn[6])


def test_without_a_tuned_controlnet_the_remedy_is_left_out(web):
    report = draw(web, {"remedies": ["tuned"], "attempts": 1}).report
    assert report["remedies"] == {"allowed": [], "left_out": {"tuned": "no tuned ControlNet is chosen"}}


def test_no_adapter_is_chosen_by_itself(web, adapters):
    assert draw(web, {"attempts": 1}).report["settings"]["control_net"].startswith("thin_canny")


@pytest.mark.parametrize("name", DAMAGED)
def test_an_adapter_that_cannot_be_used(web, host, adapters, name):
    """As the ControlNet, as the tuned one, and in a unit of the host's own while Reliable Ads is off."""
    said = "merge it" if host.kind == "Automatic1111" else DAMAGED[name]
    assert said in refused(web, {"control_net_name": name})
    assert said in refused(web, {"tuned_control_net_name": name, "remedies": ["tuned"]})
    with pytest.raises(WebUIRefused, match="merge it" if host.kind == "Automatic1111" else name):
        web.draw(**DRAW, alwayson_scripts=plain(web, canvas(), control_net=name))
