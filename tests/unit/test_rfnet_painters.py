"""Who painted: one name for a network in files and in memory, and certificates that hold for one painter only."""

import contextlib
import json

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from PIL import Image
from safetensors.torch import load_file, save_file

from reliable_ads.pocket.family import build_pocket
from reliable_ads.pocket.ldm import save_checkpoint, save_controlnet
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.files import sha256_of
from reliable_ads.rfnet.painters import Painter, PainterError, fingerprint, fingerprints_of, painter_of, read_painter
from reliable_ads.rfnet.reviewer import Reviewer
from reliable_ads.rfnet.risks import doubt, doubting, parse_risks
from reliable_ads.rfnet.weights import WeightsError, change_metadata, load_reviewer, read_metadata, save_reviewer

from .rfnet_examples import bottle_rgba, small_networks, write_split

ENTRY = {"threshold": 0.9, "accepted": 59, "bad": 0, "bound": 0.0496, "confidence": 0.95}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A checkpoint and a ControlNet."""
    folder = tmp_path_factory.mktemp("painter")
    pocket = build_pocket(seed=1)
    save_checkpoint(folder / "sd.safetensors", pocket)
    save_controlnet(folder / "canny.safetensors", pocket)
    diffusers = {name: value.contiguous() for name, value in pocket.controlnet.state_dict().items()}
    save_file(diffusers, folder / "canny_diffusers.safetensors")
    return folder


@pytest.fixture(scope="module")
def painter(files) -> dict:
    return msgspec.to_builtins(read_painter(files / "sd.safetensors", files / "canny.safetensors"))


def test_a_painter_is_named_by_its_files(files, painter):
    for kind, name in (("checkpoint", "sd.safetensors"), ("controlnet", "canny.safetensors")):
        assert painter[kind]["name"] == name and painter[kind]["sha256"] == sha256_of(files / name)
    assert painter_of(files / "sd.safetensors").controlnets == frozenset()


@pytest.mark.parametrize("stored", [torch.float32, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("loaded", [torch.float32, torch.float16, torch.bfloat16])
def test_a_network_has_its_files_name_in_each_precision(tmp_path, stored, loaded):
    torch.manual_seed(0)
    network = {f"input_blocks.{n}.weight": torch.randn(20, 8 + n) / 7 for n in range(30)}
    network |= {"bias": torch.randn(4), "count": torch.tensor(3.0), "zero_convs.0.0.weight": torch.zeros(4, 4, 1, 1)}
    save_file({name: value.to(stored) for name, value in network.items()}, tmp_path / "c.safetensors")
    names = fingerprints_of(tmp_path / "c.safetensors", "ControlNet")
    assert fingerprint(value.to(stored).to(loaded) for value in network.values()) in names
    save_file(
        {f"control_model.{name}": value.to(stored) for name, value in network.items()}, tmp_path / "c.safetensors"
    )
    assert fingerprints_of(tmp_path / "c.safetensors", "ControlNet") == names


def test_layouts_have_one_name_and_other_weights_another(files, tmp_path):
    (half,) = fingerprints_of(files / "canny.safetensors", "ControlNet")
    assert half in fingerprints_of(files / "canny_diffusers.safetensors", "ControlNet")
    tensors = load_file(files / "canny.safetensors")
    tensors["middle_block.1.proj_in.weight"] = tensors["middle_block.1.proj_in.weight"] * 1.1
    save_file(tensors, tmp_path / "tuned.safetensors")
    assert half not in fingerprints_of(tmp_path / "tuned.safetensors", "ControlNet")


def test_only_whole_networks_paint(files, tmp_path):
    save_file({"rfft.x.lora_up.weight": torch.ones(2, 2)}, tmp_path / "adapter.safetensors")
    for path, kind, words in (
        (tmp_path / "adapter.safetensors", "ControlNet", "merge it first"),
        (files / "sd.safetensors", "ControlNet", "is no ControlNet: name the ControlNet that painted"),
        (files / "canny.safetensors", "checkpoint", "is no checkpoint"),
        (tmp_path / "none.safetensors", "checkpoint", "does not exist"),
    ):
        with pytest.raises(PainterError, match=words):
            fingerprints_of(path, kind)


def test_a_certificate_holds_for_its_own_painter_only(files, painter):
    own = painter_of(files / "sd.safetensors", files / "canny.safetensors")
    (control,) = own.controlnets
    others = (
        Painter(own.checkpoint),
        Painter("0" * 16, own.controlnets),
        Painter(own.checkpoint, frozenset({"0" * 16})),
        Painter(own.checkpoint, frozenset({control, "0" * 16})),
    )
    scenes = {**ENTRY, "about": "rendered scenes"}
    reviewer = Reviewer(
        *small_networks(), {"risks": json.dumps({"0.05": {**ENTRY, "painter": painter}, "0.1": scenes})}
    )

    def certified(*given):
        return reviewer.certificate(*given)["certified_for_this_painter"]

    assert certified("5 % risk", own) is True and certified("5 % risk") is None
    assert [certified("5 % risk", other) for other in others] == [False] * 4
    assert certified("10 % risk", own) is False and certified("10 % risk") is None  # of before there were painters
    assert reviewer.certificate("threshold", own) is None
    assert reviewer.threshold_for("5 % risk") == 0.9  # decides in any case


def test_a_doubt_says_what_was_measured(painter):
    named = {**ENTRY, "painter": painter}
    said = [
        doubt(certificate and {**certificate, "certified_for_this_painter": holds})
        for certificate, holds in ((None, None), (named, True), (named, False), ({**ENTRY, "about": "x" * 900}, None))
    ]
    measured = "the risk was measured on"
    assert said[:2] == ["", ""]
    assert (
        said[2] == f'not certified for this painter: {measured} pictures by "sd.safetensors" with "canny.safetensors".'
    )
    assert said[3].startswith(f"painter unknown, so not certified: {measured}") and len(said[3]) < 300
    assert doubting({"accepted": True, "notes": ["a"]}, "b")["notes"] == ["a", "b"]
    assert doubting({"error": "x"}, "b") == {"error": "x"} and doubting({}, "") == {}


def test_painters_survive_a_weights_file(tmp_path, painter):
    path = tmp_path / "w.safetensors"
    risks = {"0.05": {**ENTRY, "painter": painter}, "0.1": {"refused": "too few", "painter": painter}}
    save_reviewer(path, *small_networks(), {"risks": risks})
    assert load_reviewer(path).risks == {0.05: risks["0.05"], 0.1: risks["0.1"]}
    change_metadata(path, path, {"risks": {"0.05": {**ENTRY, "painter": {"checkpoint": "x" * 5000}}}})
    with pytest.raises(WeightsError, match=r'"w.safetensors" has "risks".*painter.*rfnet calibrate') as refusal:
        load_reviewer(path)
    assert len(str(refusal.value)) < 400


FILE = {"name": "a.safetensors", "sha256": "0" * 64, "weights": ["0" * 16]}


@pytest.mark.parametrize(
    "named",
    [
        None,
        "sd.safetensors",
        {},
        {"checkpoint": None},
        {"checkpoint": FILE, "vae": FILE},
        {"checkpoint": {**FILE, "sha256": "0"}},
        {"checkpoint": {**FILE, "sha256": "0" * 64 + "\n"}},
        {"checkpoint": {**FILE, "weights": []}},
        {"checkpoint": {**FILE, "weights": ["../../../../etc"]}},
        {"checkpoint": {**FILE, "weights": ["0" * 16] * 5}},
        {"checkpoint": {**FILE, "name": "a" * 300}},
        {"checkpoint": FILE, "controlnet": []},
    ],
    ids=repr,
)
def test_a_malformed_painter_is_refused(named):
    with pytest.raises(ValueError, match="painter"):
        parse_risks(json.dumps({"0.05": {**ENTRY, "painter": named}}))


@given(
    some.recursive(
        some.none() | some.floats() | some.text(max_size=5),
        lambda inner: (
            some.lists(inner, max_size=3)
            | some.dictionaries(some.sampled_from(["checkpoint", "controlnet", "name"]), inner, max_size=3)
        ),
    )
)
def test_any_painter_is_read_or_refused(named):
    with contextlib.suppress(ValueError):
        parse_risks(json.dumps({"0.05": {**ENTRY, "painter": named}}))


@pytest.mark.slow(reason="three commands over a split")
def test_calibrate_names_the_painter_and_review_asks_for_it(files, painter, tmp_path, capsys):
    data, weights, out = write_split(tmp_path / "data", 20), tmp_path / "w.safetensors", tmp_path / "out.safetensors"
    save_reviewer(weights, *small_networks())
    named = ["--painter", str(files / "sd.safetensors"), "--painter-controlnet", str(files / "canny.safetensors")]
    assert main(["calibrate", str(weights), "--data", str(data), "--out", str(out), "--about", "mugs", *named]) == 0
    assert 'painted by "sd.safetensors" with "canny.safetensors"' in capsys.readouterr().out
    risks = json.loads(read_metadata(out)["risks"])
    assert [entry["painter"] for entry in risks.values()] == [painter] * 2 and risks["0.1"]["about"] == "mugs"
    assert main(["calibrate", str(weights), "--data", str(data), *named[2:]]) == 1
    assert "--painter-controlnet is given without --painter" in capsys.readouterr().err
    assert main(["calibrate", str(weights), "--data", str(data), "--painter", named[3]]) == 1
    assert "is no checkpoint" in capsys.readouterr().err and "risks" not in read_metadata(weights)

    change_metadata(out, out, {"risks": {"0.05": {**ENTRY, "threshold": 1e-6, "painter": painter}}})
    picture = tmp_path / "p.png"
    Image.fromarray(bottle_rgba(64, 64), "RGBA").save(picture)
    asked = ["review", str(picture), "--product", str(picture), "--weights", str(out), "--accept", "5 % risk", "--json"]
    said = []
    for more in ([], named, named[:2]):
        assert main([*asked, *more]) == 0
        said.append(" ".join(json.loads(capsys.readouterr().out).get("notes", [])))
    assert "painter unknown" in said[0] and "certified" not in said[1] and "not certified for this painter" in said[2]
