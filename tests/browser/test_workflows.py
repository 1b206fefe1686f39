"""Help opens, and those of the shipped workflows that need no model of the user's run."""

import pytest


@pytest.mark.parametrize("kind", ["RFProduct", "RFRemedies", "RFReview", "RFPocketModels"])
def test_help_opens(desk, kind):
    page = desk()
    page.open_template("Remedies")
    page.help(kind)
    assert len(page.page.locator(".node-help-content").inner_text()) > 500


def test_a_list_of_products_runs(desk):
    page = desk()
    page.open_template("A list of products")
    page.set("RFProductFolder", gallery="in_the_browser")
    page.set("RFCyclicSampler", attempts=1, steps=4)
    page.run()
    assert "of 1" in page.strip("RFCyclicSampler")["line"]


def test_a_controlnet_is_tuned_and_draws(desk):
    page = desk()
    page.open_template("Train a ControlNet")
    page.set("RFTrainer", steps=1, result_name="in_the_browser")
    page.set("RFCyclicSampler", attempts=1, steps=4)
    page.run()
    assert "of 1" in page.strip("RFCyclicSampler")["line"]
