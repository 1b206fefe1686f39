"""Second opinions in bulk: `rfnet review --catalogue --opinions ...` and `cyclic produce --opinions ...`."""

import json

import pytest
from PIL import Image

from reliable_ads.catalogue.cli import main as cyclic
from reliable_ads.catalogue.settings import Verdict
from reliable_ads.rfnet.cli import main as rfnet
from reliable_ads.rfnet.opinions.opening import check_opinions
from reliable_ads.rfnet.opinions.panel import UNFITTED
from reliable_ads.rfnet.opinions.protocol import OpinionError

from .catalogue_examples import rows, tiny_family, write_csv, write_products

GONE = {"url": "http://127.0.0.1:1/v1", "model": "tiny", "timeout": 2}
OPINIONS = ("--opinions", "contact", "own_label")


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return tiny_family(tmp_path_factory.mktemp("family"))


@pytest.fixture
def reviewed(tmp_path, files):
    """(reviewer, further arguments) -> exit status of a review of two finished pictures into tmp_path/out."""
    listed = write_products(tmp_path, 2)
    for number, row in enumerate(listed):
        row["image"], row["product"] = f"drawn{number}.png", row.pop("picture")
        Image.new("RGB", (64, 96), (70 * number, 90, 90)).save(tmp_path / row["image"])
    table = write_csv(tmp_path / "drawn.csv", listed)

    def review(name, *more) -> int:
        where = ["--catalogue", str(table), "--out", str(tmp_path / "out"), "--weights", str(files / name)]
        return rfnet(["review", *where, "--threads", "1", *more])

    return review


def test_the_manifest_says_what_each_opinion_said_and_which_decided(tmp_path, reviewed):
    assert reviewed("fused.safetensors", *OPINIONS) == 0
    for row in rows(tmp_path / "out"):
        assert (row["decided_by"], row["label"], row["accepted"]) == ("contact", "space_mismatch", False)
        assert json.loads(row["opinions"]).keys() == {"contact", "own_label"}
    settings = json.loads((tmp_path / "out" / "catalogue.json").read_text("utf-8"))["settings"]
    assert settings["opinions"] == ["contact", "own_label"]


def test_other_opinions_are_other_settings(tmp_path, reviewed, capsys):
    assert reviewed("small.safetensors", *OPINIONS, "--limit", "1") == 0
    assert reviewed("small.safetensors", "--opinions", "contact") == 1
    assert "other settings (opinions was ['contact', 'own_label'], is ['contact'])" in capsys.readouterr().err
    assert reviewed("small.safetensors") == 1 and "opinions was" in capsys.readouterr().err
    assert reviewed("small.safetensors", *OPINIONS) == 0
    found = rows(tmp_path / "out")
    assert len(found) == 2 and {row["decided_by"] for row in found} == {"rfnet"}
    assert all(UNFITTED in json.loads(row["notes"]) for row in found)


def test_a_server_that_fails_is_a_note_and_ends_nothing(tmp_path, reviewed):
    (tmp_path / "gone.json").write_text(json.dumps(GONE))
    assert reviewed("small.safetensors", "--opinions", f"server={tmp_path / 'gone.json'}") == 0
    for row in rows(tmp_path / "out"):
        assert row["opinions"] == "{}" or not row["opinions"]
        assert any("The opinion server was left out" in note for note in json.loads(row["notes"]))
    about = json.loads((tmp_path / "out" / "catalogue.json").read_text("utf-8"))
    assert about["settings"]["opinions"][0].startswith("server=gone.json ") and str(tmp_path) not in str(about)


def drawn(tmp_path, files, *more) -> int:
    write_csv(tmp_path / "products.csv", write_products(tmp_path, 1))
    networks = [f"--{name}={files / name}.safetensors" for name in ("checkpoint", "controlnet")]
    drawing = ["--width", "64", "--steps", "2", "--attempts", "2", "--prompt", "{caption}", "--threads", "1"]
    where = [str(tmp_path / "products.csv"), "--out", str(tmp_path / "out")]
    return cyclic(["produce", *where, *networks, "--reviewer", str(files / "fused.safetensors"), *drawing, *more])


def test_a_catalogue_is_drawn_until_the_opinions_agree(tmp_path, files):
    """RFNet alone would take the first picture: its threshold here is nearly 0."""
    assert drawn(tmp_path, files, *OPINIONS) == 0
    found = rows(tmp_path / "out")
    assert [row["attempt"] for row in found] == [1, 2] and {row["decided_by"] for row in found} == {"contact"}
    assert all(json.loads(row["opinions"])["own_label"] == {"shape_hallucination": -6.0} for row in found)


@pytest.mark.parametrize(
    "opinions, sentence",
    [
        (["hope"], '"hope" is no second opinion'),
        (["contact", "contact"], "the opinion contact is given twice"),
        (["expansion=gone.onnx"], '"gone.onnx" does not exist'),
        (["server=gone.json"], "gone.json"),
        (["contact", "--accept", "5 % risk"], "certified"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_written(tmp_path, files, capsys, opinions, sentence):
    assert drawn(tmp_path, files, "--opinions", *opinions) == 1
    assert sentence in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_a_comfyui_has_its_opinions_in_the_graph(tmp_path, capsys):
    write_csv(tmp_path / "products.csv", write_products(tmp_path, 1))
    where = [str(tmp_path / "products.csv"), "--out", str(tmp_path / "out"), "--prompt", "{caption}"]
    assert cyclic(["produce", *where, "--comfy", "127.0.0.1:1", "--graph", "a.json", *OPINIONS]) == 1
    assert "--opinions is for drawing without ComfyUI" in capsys.readouterr().err


def test_weights_of_opinions_count_as_memory(tmp_path, files):
    folder = tmp_path / "sam"
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(b"x" * 1000)
    alone = Verdict(str(files / "small.safetensors"))
    assert Verdict(alone.reviewer, opinions=("contact", f"expansion={folder}")).weights() == alone.weights() + 1000


def test_a_light_check_loads_no_network(tmp_path):
    check_opinions(["contact", f"language={tmp_path}"])  # the folder is there; whether it is a model, loading tells
    with pytest.raises(OpinionError, match="write expansion=FILE"):
        check_opinions(["expansion"])
