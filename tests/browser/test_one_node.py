"""The whole loop as one node (a subgraph blueprint), and as a form (app mode)."""

import re

import pytest

from reliable_ads.devtools.comfy import ROOT
from reliable_ads.devtools.graph import load

BLUEPRINT = ROOT / "subgraphs" / "Reliable Product Ad.json"
ADDED = "app.graph._nodes.some(({ title }) => title === 'Reliable Product Ad')"
WIRE = """(values) => {
  const ad = app.graph._nodes[0]
  const add = (kind) => { const node = LiteGraph.createNode(kind); app.graph.add(node); return node }
  const [picture, models, show] = [add('LoadImage'), add('RFPocketModels'), add('PreviewImage')]
  picture.widgets.find(({ name }) => name === 'image').value = 'demo_product.png'
  for (const [node, ...names] of [[picture, 'image', 'mask'], [models, 'model', 'clip', 'vae', 'control_net']])
    names.forEach((name, slot) => node.connect(slot, ad, ad.findInputSlot(name)))
  ad.connect(0, show, 0)
  for (const [name, value] of Object.entries(values)) ad.widgets.find((widget) => widget.name === name).value = value
}"""


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])
def test_the_blueprint_is_found_by_its_name_and_runs(desk, vue):
    page = desk(Comfy__VueNodes__Enabled=vue)
    page.page.evaluate("app.graph.clear()")
    page._command("Workspace.SearchBox.Toggle")
    page.page.keyboard.type("Reliable Product Ad")
    page.page.get_by_text("Reliable Product Ad").locator("visible=true").last.wait_for()
    page.page.wait_for_timeout(1000)  # the list of what is found settles
    page.page.keyboard.press("Enter")
    page.page.mouse.move(700, 300)
    page.page.mouse.click(700, 300)  # newer front ends let the user place it
    page.page.wait_for_function(ADDED)
    page.page.evaluate(
        WIRE, {"width": 128, "height": 128, "steps": 4, "attempts": 2, "seed": 31, "caption": "a bottle"}
    )
    sent = page.page.evaluate("async () => (await app.graphToPrompt()).output")
    kinds = [node["class_type"] for node in sent.values()]
    assert sorted(kinds) == sorted(
        [
            "LoadImage",
            "RFPocketModels",
            "PreviewImage",
            *(node["type"] for node in load(BLUEPRINT)["definitions"]["subgraphs"][0]["nodes"]),
        ]
    )
    sampler = next(node for node in sent.values() if node["class_type"] == "RFCyclicSampler")
    assert sampler["inputs"]["seed"] == 31 and sampler["inputs"]["attempts"] == 2
    assert "a bottle" in [node["inputs"].get("caption") for node in sent.values()]
    page.run()
    rows = page.page.evaluate(
        "app.graph._nodes[0].subgraph._nodes.find(({ type }) => type === 'RFCyclicSampler').widgets.find(({ name }) =>"
        " name === 'verdicts').strip?.rows.length"
    )
    assert rows in (1, 2)  # the sampler inside has its strip


def test_the_demo_is_a_form_in_app_mode(desk):
    page = desk(Comfy__AppBuilder__VueNodeSwitchDismissed=True)
    if not page.page.evaluate("app.extensionManager.command.commands.some(({ id }) => id === 'Comfy.ToggleLinear')"):
        pytest.skip("this front end has no app mode")
    for name in ("SD 1.5", "SDXL", "First product ad"):
        page.open_template(name)
        about = page.page.evaluate("(app.rootGraph ?? app.graph).extra.linearData")
        assert len(about["inputs"]) == 4 and len(about["outputs"]) == 1
    page.set("RFCyclicSampler", steps=4, threshold=1e-6)
    page._command("Comfy.ToggleLinear")
    if (skip := page.page.get_by_role("button", name="Skip")).count() or page.page.get_by_text(
        "Welcome to Apps"
    ).count():
        skip.click()
    form = page.page.locator("body")
    for words in ("demo_product.png", "caption", "attempts"):
        form.get_by_text(words).first.wait_for()
    assert form.locator("textarea:visible").first.input_value().startswith("photo, on a wooden table")
    page.page.get_by_role("button", name=re.compile("^Run$")).first.click()
    page.page.locator(".rf-verdicts:visible .rf-result", has_text="accepted, seed").wait_for()
