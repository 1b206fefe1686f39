"""Figures: one definition each, from which the tables follow, and a verdict that looks at the whole interval."""

import json

import pytest

from reliable_ads.benchmarks import common, figures, table
from reliable_ads.benchmarks.figures import Definition


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A folder of results of its own, and a registry that forgets what a test adds."""
    monkeypatch.setattr(common, "RESULTS", tmp_path)
    monkeypatch.setattr(common, "ROOT", tmp_path.parent)
    monkeypatch.setattr(table, "RESULTS", tmp_path)
    for registry in (figures.REGISTRY, table.REGISTRY):
        monkeypatch.setitem(registry, "mine", {})
    return tmp_path


def test_a_figure_from_outside_is_one_definition(results):
    figures.add("mine", Definition("gain", "What it gains", "points", ">= 0.1", {"figures": "It gains, from {old}"}))
    figures.add("mine", Definition("old", "What there was", "share", shown={"mine": ("before", "rate")}))
    measured = {"old": common.Figure(0.5, 0.4, 0.6, 100), "gain": common.Figure(0.2, 0.15, 0.25, 100)}
    common.publish("mine", "python -m mine", [0], measured, False)
    row = "+20.0 points (+15.0 to +25.0) | 100 | ≥ 10 points | yes |"
    assert f"| What it gains | {row} " in table.everything()
    page = "# Mine\n<!-- figures -->\nold\n<!-- /figures -->\n<!-- mine -->\n<!-- /mine -->\n<!-- other -->\n"
    assert f"| It gains, from 50.0 % | {row}\n" in table.filled(page)
    assert "| | rate |\n|---|---|\n| before | 50.0 % (40.0 to 60.0) |\n<!-- /mine -->\n<!-- other -->" in table.filled(
        page
    )
    written = json.loads((results / "mine.json").read_text())["figures"]["gain"]
    assert written["title"] == "What it gains" and written["unit"] == "points" and written["holds"] is True
    with pytest.raises(ValueError, match='a figure "gain" already'):
        figures.add("mine", Definition("gain", "Another"))


def test_a_figure_without_a_definition_is_kept_all_the_same(results):
    common.publish("mine", "a command", [0], {"unknown": common.Figure(1.5, n=3)}, False)
    assert "| unknown | 1.50 | 3 |" in table.everything()


@pytest.mark.parametrize(
    "target, low, high, verdict",
    [
        (">= 0.4", 0.45, 0.6, "yes"),
        (">= 0.5", 0.45, 0.6, "not shown"),
        (">= 0.6", 0.45, 0.7, "no"),
        ("<= 0.55", 0.45, 0.6, "not shown"),
        ("> 0.5", 0.51, 0.6, "no"),
        ("0.4 to 0.6", 0.45, 0.6, "yes"),
        ("0.4 to 0.6", 0.45, 0.61, "not shown"),
        ("< 0.5", None, None, "no"),
        ("0.5", None, None, "yes"),
        (">= 0.5 of other", 0.45, 0.6, "not shown"),
        ("", 0.45, 0.6, ""),
    ],
)
def test_a_target_holds_where_the_whole_interval_meets_it(target, low, high, verdict):
    figure = {"value": 0.5, "low": low, "high": high}
    assert Definition("key", "Title", target=target).verdict(figure, {"other": {"value": 0.96}}) == verdict


def test_a_target_that_nobody_can_check_is_refused():
    with pytest.raises(ValueError, match='"more" of key'):
        Definition("key", "Title", target="more")


def test_every_figure_that_was_published_has_a_definition_and_its_title():
    for benchmark, report in table.reports().items():
        known = figures.REGISTRY[benchmark]
        assert {key: figure["title"] for key, figure in report["figures"].items()} == {
            key: table.definition_of(benchmark, key, figure).title for key, figure in report["figures"].items()
        }
        assert {key.removesuffix(f"_{table.BEFORE}") for key in report["figures"]} <= set(known)


def test_a_figure_of_the_family_before_stays_what_it_was(results):
    figures.add("mine", Definition("rate", "Of unseen products", "share", ">= 0.9", {"figures": "Accepted"}))
    common.publish("mine", "python -m mine", [0], {"rate": common.Figure(0.5, 0.4, 0.6, 100)}, False)
    file = results / "mine.json"
    report = json.loads(file.read_text())
    report["figures"]["rate"] |= {"painter": table.BEFORE, "title": f"Of old ones{table.OF_BEFORE}", "target": "> 0.3"}
    file.write_text(json.dumps(report))
    assert f"| Of old ones{table.OF_BEFORE} | 50.0 % (40.0 to 60.0) | 100 | > 30 % | yes |" in table.everything()
    page = table.filled("<!-- figures -->\n<!-- /figures -->\n")
    assert "| what (128-pixel family) |" in page and "| Accepted | 50.0 %" in page
    common.publish("mine", "python -m mine", [0], {"rate": common.Figure(0.5, 0.4, 0.6, 100)}, False, paints=True)
    assert "| Of unseen products | 50.0 % (40.0 to 60.0) | 100 | ≥ 90 % | **no** |" in table.everything()


def test_the_readme_shows_at_most_eight_figures_and_those_that_fall_short():
    lines = table.shown_in("figures").split("\n")
    rows = [line for line in lines[2:] if line.startswith("|")]
    assert 4 <= len(rows) <= 8 and any("**no**" in row for row in rows)
    assert all("{" not in row and row.count("|") == 6 for row in rows)
