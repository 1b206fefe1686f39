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
