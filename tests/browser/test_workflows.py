"""Every shipped workflow opens from the dialog of templates, and those whose models ship run."""

import pytest
from reliable_ads.devtools.comfy import ROOT

WORKFLOWS = sorted(path.stem for path in (ROOT / "workflows").glob("*.json"))
KNOWN = "app.graph._nodes.filter(({ type }) => !(type in LiteGraph.registered_node_types)).map(({ type }) => type)"
OURS = "[...new Set(app.graph._nodes.map(({ type }) => type).filter((type) => type.startsWith('RF')))]"


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])
def test_every_workflow_opens(desk, vue):
    page, seen = desk(Comfy__VueNodes__Enabled=vue), set()
    for name in WORKFLOWS:
        page.page.evaluate("app.graph.clear()")  # or the one before would do for what open_template waits for
        page.open_template(name)
        assert page.page.evaluate(KNOWN) == [], name
        seen |= set(page.page.evaluate(OURS))
    assert len(WORKFLOWS) >= 7 and {"RFCyclicSampler", "RFLabel", "RFTrainer", "RFProductFolder", "RFControlNetLoader"} <= seen


@pytest.mark.parametrize("kind", ["RFProduct", "RFLoadReviewer", "RFReview", "RFPocketModels"])
def test_help_opens(desk, kind):
    page = desk()
    page.open_template("pocket_demo")
    page.help(kind)
    assert len(page.page.locator(".node-help-content").inner_text()) > 500


def test_a_list_of_products_runs(desk):
    page = desk()
    page.open_template("product_list")
    page.set("RFProductFolder", album="in_the_browser")
    page.set("RFCyclicSampler", attempts=1, steps=4)
    page.run()
    assert "of 1" in page.strip("RFCyclicSampler")["line"]


def test_a_controlnet_is_tuned_and_draws(desk):
    page = desk()
    page.open_template("rfft_train_and_use")
    page.set("RFTrainer", steps=1, result_name="in_the_browser")
    page.set("RFCyclicSampler", attempts=1, steps=4)
    page.run()
    assert "of 1" in page.strip("RFCyclicSampler")["line"]
