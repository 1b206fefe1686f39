"""What every benchmark writes down beside a figure: when, where, and by which reviewer."""

import json

import pytest

from reliable_ads.benchmarks import common, table
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, change_metadata


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "ROOT", tmp_path.parent)
    return tmp_path


def test_figures_keep_the_reviewer_that_they_were_measured_with(results, monkeypatch):
    def figures():
        return json.loads((results / "end_to_end.json").read_text())["figures"]

    common.publish(
        "end_to_end", "a command", "0", {"ap": common.Figure(0.9), "setup_seconds": common.Figure(100)}, False
    )
    common.publish("end_to_end", "a command", "0", {"setup_seconds": common.Figure(90)}, False, reviews=False)
    assert figures()["ap"]["reviewer"] == common.reviewer_print() and figures()["setup_seconds"]["reviewer"] is None

    def listed():
        return table.listed(table.rows_of("end_to_end", {"figures": figures()}))

    assert not any("¹" in line for line in listed())
    monkeypatch.setattr(table, "reviewer_print", lambda: "another")
    lines = listed()
    assert "¹" in lines[2] and "¹" not in lines[3] and lines[-1] == table.EARLIER


def test_calibrating_a_reviewer_anew_leaves_its_print(tmp_path):
    other = tmp_path / "calibrated.safetensors"
    change_metadata(DEFAULT_WEIGHTS, other, {"temperature": "1.5"})
    assert other.read_bytes() != DEFAULT_WEIGHTS.read_bytes()
    assert common.reviewer_print(other) == common.reviewer_print()


def test_a_figure_of_another_family_stays_beside_the_next(results):
    file = results / "reviewer.json"
    first = {"value": 0.19, "low": None, "high": None, "n": 82, "unit": "", "target": "", "title": "Of before: error"}
    file.write_text(json.dumps({"figures": {"drawn_ece": {**first, "painter": "128", "reviewer": None}}}))
    for value in (0.3, 0.05):
        common.publish("reviewer", "a command", "0", {"drawn_ece": common.Figure(value)}, False, paints=True)
    report = json.loads(file.read_text())
    assert {key: figure["value"] for key, figure in report["figures"].items()} == {
        "drawn_ece_128": 0.19,
        "drawn_ece": 0.05,
    }
    told = [row.title("") for row in table.rows_of("reviewer", report)]
    assert told[1] == "Of before: error" + table.OF_BEFORE and told[0] != told[1]
