"""The reviewer's figures on drawn pictures, and what is made of blind labels."""

import json

import numpy as np
import pytest
from PIL import Image

from reliable_ads.benchmarks import drawn, labelled
from reliable_ads.benchmarks.figures import find

from .rfnet_examples import bottle


def test_rates_of_a_reviewer_that_errs_in_a_known_way():
    labels = np.array([0] * 10 + [1] * 6 + [4] * 4)
    p = np.full((20, 5), 0.02)
    p[:9, 0] = 0.9  # one available picture is rejected
    p[9, 1] = 0.9
    p[10:15, 1] = 0.9  # five of six named right
    p[15, 0] = 0.9  # accepted though bad, and named the first of its defects
    p[16:, 3] = 0.9  # rejected, named wrongly
    figures = drawn.figures_of(p, 0.5, labels, np.array([True] * 16 + [False] * 4))
    value = {key: figure.value for key, figure in figures.items()}
    assert value["drawn_agreement"] == pytest.approx(0.9) and value["drawn_good_lost"] == pytest.approx(0.1)
    assert value["drawn_bad_rejected"] == pytest.approx(0.9)
    assert (value["drawn_defect_named"], figures["drawn_defect_named"].n) == (1.0, 6)
    assert all(find("reviewer", key).title != key for key in figures)


def test_bins_of_the_calibration_error_are_of_equal_count():
    p = np.linspace(0, 1, 100)
    assert drawn.calibration(p, p > 2) == pytest.approx(0.5)
    assert drawn.calibration(np.full(100, 0.7), np.arange(100) % 10 < 7) == pytest.approx(0, abs=0.7)
    certain = np.repeat([0.0, 1.0], 50)
    assert drawn.calibration(certain, certain == 1) == 0


def test_agreement_stands_beside_chance():
    said = [["available"] * 3] * 5 + [["space_mismatch", "available", "size_mismatch"]] * 5
    figures = drawn.agreement(said)
    assert figures["labellers_agreement"].value == pytest.approx((0.5 + 1 + 0.5) / 3)
    assert figures["labellers_by_chance"].value == pytest.approx(0.5)
    assert drawn.agreement([]) == {}


@pytest.fixture
def kept(tmp_path, monkeypatch):
    monkeypatch.setattr(labelled, "FOLDER", tmp_path / "labels")
    found = []
    for number, colour in enumerate(("red", "green", "blue")):
        picture = Image.new("RGB", (32, 32), colour)
        picture.save(tmp_path / f"{number}.png")
        found.append((tmp_path / f"{number}.png", labelled.picture_hash(picture), bottle()))
    labelled.blind_sheets([*found, found[0]], tmp_path)  # one twice, as two arms may serve it
    return tmp_path, {row[1] for row in found}


def test_labels_by_number_are_kept_by_picture(kept):
    folder, hashes = kept
    keys = json.loads((folder / "blind.json").read_text())
    assert set(keys) == hashes and len(keys) == 3 and (folder / "sheet-000.png").exists()
    files = [folder / f"{name}.json" for name in "abc"]
    for file, last in zip(files, ("available", "available", "space_mismatch")):
        file.write_text(json.dumps({"0": "available", "1": "size_mismatch", "2": last}))
    labelled.keep("single", folder / "blind.json", files)
    assert labelled.available("single") == {keys[0]: True, keys[1]: False, keys[2]: True}
    files[1].write_text('{"0": "available"}')
    with pytest.raises(SystemExit, match="must answer 0 to 2; look at number 1"):
        labelled.keep("single", folder / "blind.json", files)
    with pytest.raises(SystemExit, match="is missing"):
        labelled.said("accepted")
