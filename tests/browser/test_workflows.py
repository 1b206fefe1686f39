"""Help opens, and those of the shipped workflows that need no model of the user's run."""

import re

import pytest

SAMPLER = "RFCyclicSampler"
QUICK = """
size = 128
evaluation_products = 1
evaluation_seeds = 2
batch = 1
gradient_steps = 1
sampling_steps = 4
last_steps = 1
"""
NEVER, ALWAYS = 1.0, 1e-6  # thresholds that no picture and that every picture passes


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
    page.set("RFProduct", width=128, height=128)
    page.set(SAMPLER, attempts=1, steps=4, threshold=ALWAYS)
    page.run()
    shown = page.strip(SAMPLER)
    assert re.fullmatch(r"1 of 1, accepted, seed \d+", shown["line"]) and shown["badges"] == ["✓ 1"]


def test_a_controlnet_is_tuned_and_draws(desk):
    page = desk()
    page.open_template("Train a ControlNet")
    page.set("RFTrainer", steps=1, result_name="in_the_browser", advanced=QUICK)
    page.set("RFProduct", width=128, height=128)
    page.set(SAMPLER, attempts=1, steps=4, threshold=NEVER)
    page.run()
    shown = page.strip(SAMPLER)
    assert shown["badges"] == ["✗ 1"]
    assert re.fullmatch(r"1 of 1, none accepted; given back: 1, seed \d+", shown["line"])
