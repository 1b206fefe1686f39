"""What every benchmark writes down beside a figure: when, where, and by which reviewer; and that a figure is one entry,
also of a benchmark elsewhere.
"""

import json

import pytest

from reliable_ads.benchmarks import common, figures, table
from reliable_ads.benchmarks.figures.entry import Entry
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, change_metadata


@pytest.fixture
def results(tmp_path, monkeypatch):
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "ROOT", tmp_path.parent)
    return tmp_path


def test_figures_keep_the_reviewer_that_they_were_measured_with(results, monkeypatch):
    def written():
        return json.loads((results / "end_to_end.json").read_text())["figures"]

    common.publish(
        "end_to_end", "a command", "0", {"ap": common.Figure(0.9), "setup_seconds": common.Figure(100)}, False
    )
    common.publish("end_to_end", "a command", "0", {"setup_seconds": common.Figure(90)}, False, reviews=False)

    def lines():
        return table.rows([(key, row, figures.find("end_to_end", key)) for key, row in written().items()])

    assert written()["ap"]["reviewer"] == common.reviewer_print() and written()["setup_seconds"]["reviewer"] is None
    assert not any("¹" in line for line in lines())
    monkeypatch.setattr(table, "reviewer_print", lambda: "another")
    assert "¹" in lines()[2] and "¹" not in lines()[3] and lines()[-1] == f"¹ {table.EARLIER}"


@pytest.fixture
def registry(monkeypatch):
    """The figures of this test alone."""
    monkeypatch.setattr(figures, "REGISTRY", {})


def test_a_figure_from_elsewhere_is_one_entry(results, registry, monkeypatch):
    """Added, measured, and shown on a page and in docs/figures.md, with no word of it anywhere else."""
    monkeypatch.setattr(table, "RESULTS", results)
    figures.add(
        "fans",
        Entry("loudness", "How loud the fans get", "dB", "<= 40", {"mine": ""}),
        Entry("served", "Shops served", "share", ">= 0.5", {"grid": ("shops", "served")}),
    )
    found = {"loudness": common.Figure(39.0, 35.0, 43.0, 5), "served": common.Figure(0.25, 0.1, 0.4, 20)}
    common.publish("fans", "python -m fans", [0], found, False, reviews=False)
    row = json.loads((results / "fans.json").read_text())["figures"]["loudness"]
    assert row["title"] == "How loud the fans get" and row["unit"] == "dB" and row["holds"] is False
    page = table.filled("before\n<!-- mine -->\n<!-- /mine -->\n<!-- grid -->\nstale\n<!-- /grid -->\nafter\n")
    assert "| How loud the fans get | 39.00 (35.00 to 43.00) | 5 | <= 40 | not shown |" in page
    assert "| shops | 25.0 % (10.0 to 40.0) |" in page and "stale" not in page and page.endswith("after\n")
    assert "| Shops served | 25.0 % (10.0 to 40.0) | 20 | >= 0.5 | **no** |" in table.everything()


def test_a_figure_without_an_entry_is_refused(results, registry):
    figures.add("fans", Entry("loudness", "How loud the fans get"))
    with pytest.raises(ValueError, match='has a figure "loudness" already'):
        figures.add("fans", Entry("loudness", "the same"))
    with pytest.raises(KeyError, match="no entry"):
        common.publish("fans", "python -m fans", [0], {"speed": common.Figure(1.0)}, quick=True)
    with pytest.raises(KeyError, match="no figure is shown"):
        table.filled("<!-- nowhere -->\n<!-- /nowhere -->")


@pytest.mark.parametrize(
    "target, value, low, high, verdict",
    [
        ("<= 0.5", 0.4, 0.3, 0.5, "yes"),
        ("<= 0.5", 0.4, 0.3, 0.6, "not shown"),
        ("<= 0.5", 0.6, 0.3, 0.7, "**no**"),
        ("> 0, interval too", 0.1, 0.0, 0.2, "**no**"),
        ("0.40 to 0.70", 0.6, 0.5, 0.71, "not shown"),
        ("14", 14, None, None, "yes"),
        (">= 1e-05", 1e-6, None, None, "**no**"),
        ("", 1.0, None, None, ""),
    ],
)
def test_a_target_holds_where_the_whole_interval_does(target, value, low, high, verdict):
    entry = Entry("key", "title", target=target)
    assert entry.verdict(value, low, high) == verdict
    assert entry.holds(value, low, high) is ({"": None, "yes": True}.get(verdict, False))


def test_every_measured_figure_has_an_entry_with_its_unit():
    for name, report in table.reports().items():
        for figure, entry in table.measured(name, report):
            assert figure["unit"] == entry.unit and figure["title"] == entry.title, f"{name}: {entry.key}"


def test_calibrating_a_reviewer_anew_leaves_its_print(tmp_path):
    other = tmp_path / "calibrated.safetensors"
    change_metadata(DEFAULT_WEIGHTS, other, {"temperature": "1.5"})
    assert other.read_bytes() != DEFAULT_WEIGHTS.read_bytes()
    assert common.reviewer_print(other) == common.reviewer_print()
