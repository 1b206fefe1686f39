"""`rfnet review --catalogue`: finished pictures judged in bulk."""

import json

import pytest
from PIL import Image

from reliable_ads.rfnet.cli import main
from reliable_ads.rfnet.weights import save_reviewer

from .catalogue_examples import check_whole, failures, rows, write_csv, write_products
from .rfnet_examples import small_networks


@pytest.fixture
def listed(tmp_path):
    """A catalogue of three images, and arguments that judge it with a small reviewer."""
    save_reviewer(tmp_path / "small.safetensors", *small_networks(), {})
    listed = write_products(tmp_path, 3)
    for number, row in enumerate(listed):
        row["image"], row["product"] = f"drawn{number}.jpg", row.pop("picture")
        Image.new("RGB", (64, 96), (70 * number, 90, 90)).save(tmp_path / row["image"], "JPEG")
    path = write_csv(tmp_path / "drawn.csv", listed)
    return [
        "review",
        "--catalogue",
        str(path),
        "--out",
        str(tmp_path / "out"),
        "--weights",
        str(tmp_path / "small.safetensors"),
    ]


def test_a_catalogue_gets_the_verdicts_that_single_images_get(tmp_path, listed, capsys):
    assert main([*listed, "--threads", "1"]) == 0
    assert "3 jobs, 0 of them done" in capsys.readouterr().out
    found = rows(tmp_path / "out")
    for number, row in enumerate(found):
        single = [
            "review",
            str(tmp_path / f"drawn{number}.jpg"),
            "--product",
            row["picture"],
            "--json",
            "--threads",
            "1",
        ]
        assert main([*single, "--caption", row["caption"], "--weights", str(tmp_path / "small.safetensors")]) == 0
        alone = json.loads(capsys.readouterr().out)
        assert row["p_available"] == pytest.approx(alone["probabilities"]["available"], abs=1e-6)
        assert row["accepted"] == alone["accepted"] and row["image"] == str(tmp_path / f"drawn{number}.jpg")
    assert json.loads(found[0]["carried"]) == {"colour": "blue"} and not (tmp_path / "out" / "pictures").exists()
    check_whole(tmp_path / "out")
    (tmp_path / "drawn2.jpg").write_bytes(b"no picture")
    assert main(listed) == 0 and len(rows(tmp_path / "out")) == 3


def test_what_can_not_be_judged_is_named(tmp_path, listed, capsys):
    (tmp_path / "drawn1.jpg").write_bytes(b"no picture")
    (tmp_path / "drawn2.jpg").unlink()
    assert main(listed) == 1
    assert [(each["id"], each["kind"]) for each in failures(tmp_path / "out")] == [
        ("p1", "unusable picture"),
        ("p2", "unusable picture"),
    ]
    assert len(rows(tmp_path / "out")) == 1
    capsys.readouterr()
    assert main([*listed, "--threshold", "0.9"]) == 1 and "holds results of other settings" in capsys.readouterr().err
    assert main([*listed, "--json"]) == 1 and "leave out json" in capsys.readouterr().err
    assert main(["review", "--catalogue", "a.csv"]) == 1 and "needs --out DIR" in capsys.readouterr().err
