"""The shipped workflows as they open from the dialog of templates: their words can be read, nothing lies on anything
else, and the page queues what devtools/graph.py does.
"""

import io
from collections import Counter

import pytest
from PIL import Image

from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.graph import GraphError, load, shipped, to_api

VUE = pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])
SIZES = ((1440, 900), (1920, 1080))
READABLE = 8 / 14  # below this zoom the canvas draws no words
WIDTH, HEIGHT = 1890, 1180  # what is readable when it is fitted to 1440 x 900
LISTEN = """() => {
  const draw = CanvasRenderingContext2D.prototype.fillText
  window.drawn = new Set()
  CanvasRenderingContext2D.prototype.fillText = function (text) {
    window.drawn.add(String(text))
    return draw.apply(this, arguments)
  }
}"""
DRAWN = """async () => {
  window.drawn.clear()
  app.canvas.setDirty(true, true)
  await new Promise((resolve) => setTimeout(resolve, 300))
  return [...window.drawn].join('\\n')
}"""
IN_DOM = "[...document.querySelectorAll('[data-node-id]')].map(({ innerText }) => innerText).join('\\n')"
BOXES = """(vue) => {
  const { scale, offset } = app.canvas.ds
  const rendered = (node) => {
    const { left, top, width, height } = document.querySelector(`[data-node-id="${node.id}"]`).getBoundingClientRect()
    return [left / scale - offset[0], top / scale - offset[1], width / scale, height / scale]
  }
  const title = LiteGraph.NODE_TITLE_HEIGHT
  const drawn = ({ pos, size }) => [pos[0], pos[1] - title, size[0], size[1] + title]
  return app.graph._nodes.map((node) => [node.title, ...(vue ? rendered(node) : drawn(node))])
}"""
GROUPS = "app.graph._groups.map(({ title, pos, size }) => [title, ...pos, ...size])"
KNOWN = "app.graph._nodes.filter(({ type }) => !(type in LiteGraph.registered_node_types)).map(({ type }) => type)"


def over(one, other) -> float:
    """How far two boxes [title, left, top, width, height] reach into each other, pixels."""
    along = [min(one[k] + one[k + 2], other[k] + other[k + 2]) - max(one[k], other[k]) for k in (1, 2)]
    return max(0, min(along))


def within(one, other) -> bool:
    return all(other[k] - 1 <= one[k] and one[k] + one[k + 2] <= other[k] + other[k + 2] + 1 for k in (1, 2))


@VUE
def test_every_template_opens_readable_and_nothing_lies_on_anything_else(desk, vue):
    page = desk(Comfy__VueNodes__Enabled=vue)
    page.page.evaluate(LISTEN)
    known = ComfyClient(page.address).ask("/object_info")
    for width, height in SIZES:
        page.page.set_viewport_size({"width": width, "height": height})
        for path in shipped():
            if unknown(path, known):
                continue  # a newer ComfyUI has it
            page.open_template(path.stem)
            assert page.page.evaluate("app.canvas.ds.scale") >= READABLE, (path.stem, width)
            words = page.page.evaluate(IN_DOM if vue else DRAWN)
            titles = [node["title"] for node in load(path)["nodes"]]
            assert [title for title in titles if title[:24] not in words] == [], (
                path.stem,
                width,
            )  # the canvas ends long ones with dots
            if (width, height) == SIZES[0]:
                assert page.page.evaluate(KNOWN) == [], path.stem
                boxes, groups = page.page.evaluate(BOXES, vue), page.page.evaluate(GROUPS)
                tidy(path.stem, boxes, groups)
                if not vue:  # older front ends widen a graph for Vue nodes, and don't fit it
                    assert all(extent([*boxes, *groups], k) <= most for k, most in ((1, WIDTH), (2, HEIGHT))), path.stem
                assert queued(page) == converted(path, known), path.stem


def unknown(path, known: dict) -> set:
    """The nodes that this ComfyUI lacks."""
    workflow = load(path)
    own = {each["id"] for each in workflow.get("definitions", {}).get("subgraphs", ())} | {"MarkdownNote"}
    return {node["type"] for node in workflow["nodes"]} - own - known.keys()


def tidy(name: str, boxes: list, groups: list) -> None:
    """No box reaches into another, nor out of its group."""
    for number, box in enumerate(boxes):
        assert [other[0] for other in boxes[number + 1 :] if over(box, other) > 1] == [], (name, box[0])
        assert [group[0] for group in groups if over(box, group) > 1 and not within(box, group)] == [], (name, box[0])


def extent(boxes: list, k: int) -> float:
    """Width (k = 1) or height (k = 2) of all of them."""
    return max(box[k] + box[k + 2] for box in boxes) - min(box[k] for box in boxes)


def queued(page) -> dict:
    """What the page would send to the server."""
    return bare(page.page.evaluate("async () => (await app.graphToPrompt()).output"))


def converted(path, known: dict) -> dict:
    workflow = load(path)
    muted = [node["id"] for node in workflow["nodes"] if node.get("mode")]
    if muted:  # the page leaves them out, the converter refuses them
        with pytest.raises(GraphError, match="muted"):
            to_api(workflow, known)
        workflow["nodes"] = [node for node in workflow["nodes"] if node["id"] not in muted]
    return bare(to_api(workflow, known))


def bare(graph: dict) -> dict:
    """Without titles, and without what Preview as Text shows of itself."""
    shown = {key: (node["class_type"], {**node["inputs"]}) for key, node in graph.items()}
    for kind, inputs in shown.values():
        if kind == "PreviewAny":
            for name in [name for name in inputs if name.startswith("preview")]:
                del inputs[name]
    return shown


@pytest.mark.parametrize("vue, palette", [(False, "dark"), (False, "light"), (True, "dark"), (True, "light")])
def test_notes_can_be_read(desk, vue, palette):
    """WCAG asks for a contrast of 4.5 at least."""
    page = desk(Comfy__VueNodes__Enabled=vue, Comfy__ColorPalette=palette)
    page.open_template("First product ad")
    paragraph = page.page.locator("p", has_text="ships with the pack").first
    colour = paragraph.evaluate("(node) => getComputedStyle(node).color.match(/[\\d.]+/g).slice(0, 3).map(Number)")
    shot = Image.open(io.BytesIO(page.page.screenshot(clip=paragraph.bounding_box()))).convert("RGB")
    ground = Counter(shot.getdata()).most_common(1)[0][0]
    assert contrast(colour, ground) >= 4.5, (colour, ground)


def contrast(one, other) -> float:
    """Of two sRGB colours, 0 to 255, as WCAG 2 defines it."""

    def luminance(colour):
        linear = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (value / 255 for value in colour)
        ]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_templates_are_numbered_and_each_has_a_small_picture(desk):
    page = desk()
    cards = page.browse()
    for path in shipped():
        card = cards.get_by_test_id(f"template-workflow-{path.stem}")
        card.scroll_into_view_if_needed()  # one that is out of sight has no picture yet
        picture = card.locator("img").first
        page.page.wait_for_function(
            "(image) => image.complete && image.naturalWidth > 100", arg=picture.element_handle()
        )
        assert path.with_suffix(".jpg").stat().st_size < 150_000
    cards.get_by_test_id(f"template-workflow-{shipped()[0].stem}").click()
    page.page.wait_for_function("app.graph._nodes.some(({ type }) => type === 'RFCyclicSampler')")
    assert len(load(shipped()[0])["nodes"]) <= 8  # a designer's first graph
    numbers = [path.stem.split()[0] for path in shipped()]
    assert numbers == [str(number) for number in range(1, len(shipped()) + 1)]
