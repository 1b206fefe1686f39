"""Names, captions and prompts come from files of other people: every page shows them as text, whatever they hold."""

import pytest
from PIL import Image

from reliable_ads.cyclic.gallery import Row, Tried
from reliable_ads.cyclic.gallery_page import page_of
from reliable_ads.rfnet.data.labelling import LabelFolder

RAISED = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>'
HOSTILE = [
    RAISED,
    f"\"'>{RAISED}",
    "mug \u202egnp.exe\u2066 \u200b",
    "long " * 100,
    "bell \x07 and \x1b[31m escape",
    "{{caption}} ${window.hacked=1} `x`",
]


def calm(page) -> None:
    """Nothing of a hostile text became part of the page."""
    page.wait_for_timeout(200)
    assert page.evaluate("window.hacked") is None and page.locator("img[src='x']").count() == 0


@pytest.fixture(scope="module")
def shown():
    """A text as a browser's innerText has it, to be looked for."""
    return lambda text: " ".join(text.split())[:40]


def test_the_galleries_page(browser, tmp_path, shown):
    tried = Tried("x.jpg", 1, RAISED, 0.5, False, False, RAISED, "")
    rows = [
        Row(f"k{number}{RAISED}", text, text, text, 1, (f"{text[:40]}.png",), (tried,), 0, 20, 1.0)
        for number, text in enumerate(HOSTILE)
    ]
    (tmp_path / "index.html").write_text(
        page_of(RAISED, rows, 0, {RAISED: RAISED, "\u202efile": "reason"}), encoding="utf-8"
    )
    page = browser.new_page()
    page.goto((tmp_path / "index.html").as_uri())
    calm(page)
    assert page.locator("article").count() == len(HOSTILE) and page.locator("script").count() == 0
    assert [shown(text) for text in page.locator("h2").all_inner_texts()[1:]] == [shown(text) for text in HOSTILE]
    assert page.locator("article").first.bounding_box()["width"] <= page.viewport_size["width"]
    page.close()


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])
def test_the_strip_of_verdicts(desk, vue):
    """As the server's events bring them."""
    page = desk(Comfy__VueNodes__Enabled=vue)
    page.open_template("First product ad")
    send = """([product, label]) => {
      const node = app.graph._nodes.find(({ type }) => type === 'RFCyclicSampler').id
      const row = { number: 1, label, probability: 0.5, accepted: false, seed: '<b>1</b>' }
      for (const rows of [[], [row]]) {
        const detail = { node, most: 5, product, rows }
        app.api.dispatchEvent(new CustomEvent('reliable_ads.verdicts', { detail }))
      }
    }"""
    for text in HOSTILE:
        page.page.evaluate(send, [text, text])
        strip = page.page.locator(".rf-verdicts:visible").first
        assert strip.locator(".rf-line").first.evaluate("(line) => line.textContent") == text
        assert (
            strip.locator("figcaption").evaluate("(words) => words.textContent").startswith(text)
            and strip.locator("b").count() == 1
        )
    calm(page.page)


def test_the_label_node(desk, server):
    folder = LabelFolder(server.base / "output" / "labels" / "hostile")
    for number, text in enumerate(HOSTILE):
        folder.add(
            Image.new("RGB", (64, 64), (40 * number, 120, 160)),
            Image.new("RGBA", (64, 64), (200, 90, 30, 255)),
            f"product{number}",
            text,
            text,
            None,
        )
    page = desk()
    page.open_template("Teach the reviewer")
    page.set("RFLabel", dataset="hostile")
    labels = "app.graph._nodes.find(({ type }) => type === 'RFLabel').rfLabels"
    page.page.evaluate(f"{labels}.refresh()")
    seen = set()
    for _ in HOSTILE:
        page.page.wait_for_function(f"{labels}.state?.item && !{labels}.busy")
        seen.add(page.page.locator(".rf-label-about b").evaluate("(caption) => caption.textContent"))
        page.page.evaluate(f"{labels}.skip()")
    calm(page.page)
    assert len(seen) == len(HOSTILE) and all(text in seen for text in HOSTILE[:2])
