"""`rfnet review` as a person types it, with the shipped reviewer on scenes of the shipped test split."""

import json

import pytest
from PIL import Image
from reliable_ads.pocket.briefs import TEST_SPLIT
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data import read_scenes
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS



@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three scenes of one product, and the product's cut-out."""
    where, scenes = tmp_path_factory.mktemp("review"), read_scenes(TEST_SPLIT)
    first = scenes.labels.tolist().index(0)
    Image.fromarray(scenes.products[first]).save(where / "product.png")
    for number, row in enumerate((first, first + 1, first + 2)):
        Image.fromarray(scenes.images[row]).save(where / f"ad{number}.png")
    Image.fromarray(scenes.images[first]).save(where / "no_alpha.jpg")
    (where / "text.png").write_text("no picture")
    (where / "broken.safetensors").write_bytes(b"x" * 100)
    return where


def test_a_table_on_the_screen_and_all_verdicts_in_a_file(folder, tmp_path, capsys):
    images = [str(folder / f"ad{number}.png") for number in range(3)]
    assert main(["review", *images, "--product", str(folder / "product.png"), "--caption", "a thing", "--json", str(tmp_path / "out.json")]) == 0
    head, *lines, last = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [row["image"] for row in rows] == images and len(lines) == 3
    for row, line in zip(rows, lines):
        name, verdict, label, *scores = line.split()
        assert (name, verdict == "accepted", label) == (row["image"], row["accepted"], row["label"])
        assert [float(score) for score in scores] == pytest.approx([row["probabilities"][label] for label in LABELS], abs=0.006)
    assert head.split() == ["image", "verdict", "label", *LABELS] and len({len(line) for line in (head, *lines)}) == 1
    assert last.startswith(f"{sum(row['accepted'] for row in rows)} of 3 accepted")


def test_json_without_a_name_prints_one_object_per_line(folder, capsys):
    assert main(["review", str(folder / "ad0.png"), "--product", str(folder / "product.png"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"image", "label", "probabilities", "accepted"}


@pytest.mark.parametrize("changes, message", [
    ({"image": "nowhere.png"}, '"nowhere.png" does not exist: check the path'), ({"image": "text.png"}, '"text.png" is not a picture that Pillow can read'),
    ({"product": "nowhere.png"}, '"nowhere.png" does not exist'), ({"product": "no_alpha.jpg"}, '"no_alpha.jpg": the product fills its whole picture'),
    ({"weights": "broken.safetensors"}, '"broken.safetensors" '), ({"json": "ad1.png"}, 'ad1.png" after --json is no name of a .json file'),
    ({"image": "."}, "is a folder: give the path of a picture file"), ({"json": "text.png/out.json"}, "text.png"),
])
def test_bad_input_is_one_sentence(folder, capsys, changes, message):
    given = {"image": "ad0.png", "product": "product.png", "weights": str(DEFAULT_WEIGHTS), "json": str(folder / "never.json"), **changes}
    arguments = [str(folder / given.pop("image")), *(part for name, value in given.items() for part in (f"--{name}", str(folder / value)))]
    assert main(["review", *arguments]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("rfnet: ") and message in said and "\n" not in said and "Traceback" not in said
    assert not (folder / "never.json").exists()
