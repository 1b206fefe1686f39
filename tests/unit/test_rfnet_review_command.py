"""`rfnet review` as a person types it, with the shipped reviewer on scenes of the shipped test split."""

import json

import pytest
from PIL import Image

from reliable_ads.rfnet import review_command
from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.data.sources import read_shards
from reliable_ads.rfnet.labels import LABELS, shown_label
from reliable_ads.rfnet.pictures import open_picture
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS
from reliable_ads.synthetic.jobs import TEST_SPLIT


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three scenes of one product, and the product's cut-out."""
    where, scenes = tmp_path_factory.mktemp("review"), read_shards(TEST_SPLIT, 128)
    first = scenes.labels.tolist().index(0)
    Image.fromarray(scenes[first]["product"]).save(where / "product.png")
    for number, row in enumerate((first, first + 1, first + 2)):
        Image.fromarray(scenes[row]["image"]).save(where / f"ad{number}.png")
    Image.fromarray(scenes[first]["image"]).save(where / "no_alpha.jpg")
    (where / "text.png").write_text("no picture")
    (where / "broken.safetensors").write_bytes(b"x" * 100)
    return where


def test_a_table_on_the_screen_and_all_verdicts_in_a_file(folder, tmp_path, capsys):
    images = [str(folder / f"ad{number}.png") for number in range(3)]
    assert (
        main(
            [
                "review",
                *images,
                "--product",
                str(folder / "product.png"),
                "--caption",
                "a thing",
                "--json",
                str(tmp_path / "out.json"),
            ]
        )
        == 0
    )
    head, *lines, last = capsys.readouterr().out.splitlines()
    rows = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert [row["image"] for row in rows] == images and len(lines) == 3
    for row, line in zip(rows, lines):
        name, verdict, label, *scores = line.split()
        assert (name, verdict == "accepted", label) == (row["image"], row["accepted"], shown_label(row))
        assert [float(score) for score in scores] == pytest.approx(
            [row["probabilities"][label] for label in LABELS], abs=0.006
        )
    assert head.split() == ["image", "verdict", "label", *LABELS] and len({len(line) for line in (head, *lines)}) == 1
    assert last.startswith(f"{sum(row['accepted'] for row in rows)} of 3 accepted")


def test_json_without_a_name_prints_one_object_per_line(folder, capsys):
    assert main(["review", str(folder / "ad0.png"), "--product", str(folder / "product.png"), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"image", "label", "probabilities", "accepted"}


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"image": "nowhere.png"}, '"nowhere.png" does not exist: check the path'),
        ({"image": "text.png"}, '"text.png" is not a picture that can be read'),
        ({"product": "nowhere.png"}, '"nowhere.png" does not exist'),
        ({"product": "no_alpha.jpg"}, '"no_alpha.jpg": the product fills its whole picture'),
        ({"weights": "broken.safetensors"}, '"broken.safetensors" '),
        ({"json": "ad1.png"}, 'ad1.png" after --json is no name of a .json file'),
        ({"image": "."}, "is a folder: give the path of a file"),
        ({"json": "text.png/out.json"}, "text.png"),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, changes, message):
    given = {
        "image": "ad0.png",
        "product": "product.png",
        "weights": str(DEFAULT_WEIGHTS),
        "json": str(folder / "never.json"),
        **changes,
    }
    arguments = [
        str(folder / given.pop("image")),
        *(part for name, value in given.items() for part in (f"--{name}", str(folder / value))),
    ]
    assert main(["review", *arguments]) == 1
    said = capsys.readouterr().err.strip()
    assert said.startswith("rfnet: ") and message in said and "\n" not in said and "Traceback" not in said
    assert (folder / "never.json").exists() == (
        "image" in changes
    )  # what could be reviewed is kept, with the reasons of the rest
    (folder / "never.json").unlink(missing_ok=True)


def test_a_damaged_picture_costs_only_itself(folder, tmp_path, capsys):
    (folder / "cut.png").write_bytes((folder / "ad1.png").read_bytes()[:500])
    images = [str(folder / name) for name in ("ad0.png", "cut.png", "ad2.png")]
    assert (
        main(["review", *images, "--product", str(folder / "product.png"), "--json", str(tmp_path / "out.json")]) == 1
    )
    rows, said = json.loads((tmp_path / "out.json").read_text("utf-8")), capsys.readouterr()
    assert [row["image"] for row in rows] == images and ["error" in row for row in rows] == [False, True, False]
    assert set(rows[1]) == {"image", "error"} and '"cut.png" is damaged or cut short' in rows[1]["error"]
    assert "1 of 3 could not be reviewed" in said.err and "cut.png" in said.err and "of 3 accepted" in said.out


def test_a_damaged_line_of_an_index_costs_only_itself(folder, capsys):
    good = {"image": "ad0.png", "product": "product.png", "caption": "a thing"}
    lines = [
        json.dumps(line)
        for line in (good, {**good, "product": "text.png"}, {"image": "ad0.png"}, [], {**good, "image": None}, good)
    ] + ["{", "", "[" * 5000]
    (folder / "index.jsonl").write_bytes("\r\n".join(lines).encode("utf-16"))
    assert main(["review", "--index", str(folder / "index.jsonl"), "--json"]) == 1
    said = capsys.readouterr()
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert ["error" in row for row in rows] == [False, True, True, True, True, False, True, True]
    assert 'line 7 of "index.jsonl" is no JSON object with "image" and "product"' in rows[6]["error"] and all(
        len(row.get("error", "")) < 400 for row in rows
    )


def test_what_was_judged_is_kept_when_the_user_stops_it(folder, tmp_path, monkeypatch):
    seen = []

    def interrupted(path):
        seen.append(path)
        if len(seen) > 1:
            raise KeyboardInterrupt
        return open_picture(path)

    monkeypatch.setattr(review_command, "open_picture", interrupted)
    images = [str(folder / f"ad{number}.png") for number in range(3)]
    assert (
        main(["review", *images, "--product", str(folder / "product.png"), "--json", str(tmp_path / "out.json")]) == 130
    )
    assert [row["image"] for row in json.loads((tmp_path / "out.json").read_text("utf-8"))] == images[:1]


def test_a_name_of_a_file_with_a_nul_is_no_name(folder, capsys):
    with pytest.raises(SystemExit):
        main(["review", str(folder / "ad0.png"), "--product", str(folder / "product.png"), "--json", "\0.json"])
    assert "a path holds no NUL character" in capsys.readouterr().err


def test_set_may_name_what_an_option_names(tmp_path, capsys):
    (tmp_path / "c.toml").write_text('train = ["a"]\nval = ["b"]\nout = "o.safetensors"\n', encoding="utf-8")
    assert main(["train", str(tmp_path / "c.toml"), "--set", "train=7"]) == 1
    assert "train is 7" in capsys.readouterr().err
