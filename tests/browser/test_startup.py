"""What people see and click in ComfyUI's page: a shipped workflow, the strip of verdicts, help, and no errors."""

import re

import pytest

SAMPLER, REVIEW = "RFCyclicSampler", "RFReview"
NEVER, ALWAYS = 1.0, 1e-6  # thresholds that no picture and that every picture passes
FINISHED = {  # the node shows the pictures that it drew, and no live preview is left over them
    False: "node.imgs?.length === 2 && node.imgs.every(({ src }) => src.includes('/view?'))",
    True: (
        "[...document.querySelectorAll(`[data-testid='node-body-${node.id}'] img`)].every(({ src }) =>"
        " src.includes('/view?'))"
    ),
}


@pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])
def test_the_demo_shows_its_verdicts(desk, vue):
    page = desk(Comfy__VueNodes__Enabled=vue)
    assert page.scripts and sum(page.scripts.values()) <= 30_000
    page.open_template("Remedies")

    page.set(SAMPLER, threshold=ALWAYS, seed=2**53 + 1 + vue, steps=6)  # no number in JavaScript is 2**53 + 1
    page.set(REVIEW, threshold=ALWAYS)
    page.run()
    shown = page.strip(SAMPLER)
    assert shown["badges"] == ["✓ 1"] and re.fullmatch(r"1 of 5, accepted, seed \d+", shown["line"])
    assert re.fullmatch(r"[a-z ]+ \d+\s%", shown["words"][0])
    assert page.strip(REVIEW)["line"] == "1 of 1 accepted"
    assert page.tile(SAMPLER).is_visible() and page.tile(REVIEW).is_visible()

    page.set(SAMPLER, threshold=NEVER, attempts=2)
    page.set(REVIEW, threshold=NEVER)
    page.run()
    shown = page.strip(SAMPLER)
    assert shown["badges"] == ["✗ 1", "✗ 2"] and re.fullmatch(
        r"2 of 2, none accepted; given back: [12], seed \d+", shown["line"]
    )
    assert all(
        "/view?" in picture for picture in shown["pictures"]
    )  # files of the server's; while it ran they were data
    page.wait(SAMPLER, FINISHED[vue])

    plain = page.strip(REVIEW)
    assert plain["badges"] == ["✗ 1", "✗ 2"] and plain["line"] == "0 of 2 accepted"
    page.tile(REVIEW).click()
    hot = page.strip(REVIEW)
    assert (
        hot["words"][0].startswith("heat: ")
        and hot["pictures"][0] != plain["pictures"][0]
        and hot["pictures"][1] == plain["pictures"][1]
    )
    page.tile(REVIEW).click()
    assert page.strip(REVIEW) == plain


def test_verdicts_come_while_it_runs_and_again_after_a_reload(desk):
    def opened():
        page.open_template("First product ad")
        page.set(SAMPLER, threshold=NEVER, attempts=3, seed=99)

    page = desk()
    opened()
    page.queue()
    page.wait(SAMPLER, "strip?.innerText === 'drawing attempt 1 of 3'")
    page.wait(SAMPLER, "strip?.querySelector('img')?.src.startsWith('data:image/jpeg')")
    assert re.fullmatch(r"drawing attempt [23] of 3|3 of 3, none accepted", page.strip(SAMPLER)["line"])
    page.reload()
    opened()
    page.run()  # what the first run draws, from the cache
    assert page.strip(SAMPLER)["badges"] == ["✗ 1", "✗ 2", "✗ 3"]


def test_a_risk_that_is_not_certified_here_is_marked(desk):
    page = desk()
    page.open_template("First product ad")
    send = """(about) => {
      const node = app.graph._nodes.find(({ type }) => type === 'RFCyclicSampler').id
      app.api.dispatchEvent(new CustomEvent('reliable_ads.verdicts', { detail: { node, most: 5, rows: [], ...about } }))
    }"""
    for about, words in (
        ({}, []),
        ({"certified": True}, []),
        ({"certified": False}, ["not certified for this painter"]),
        ({"certified": None}, ["painter unknown, so not certified"]),
    ):
        page.page.evaluate(send, about)
        lines = page.page.locator(".rf-verdicts:visible").first.locator(".rf-line").all_inner_texts()
        assert lines == ["drawing attempt 1 of 5", *words]


def test_strip_and_help_in_the_readers_language(desk):
    page = desk(Comfy__Locale="zh")
    page.open_template("First product ad")
    page.set(SAMPLER, threshold=ALWAYS, seed=5, steps=2)
    page.run()
    assert page.strip(SAMPLER)["line"] == "第 1 次（最多 5 次），通过，种子 5"
    page.help(SAMPLER)
    assert "RF 循环采样器" in page.page.locator(".node-help-content").inner_text()


BATCH = """() => {
  const sampler = app.graph._nodes.find(({ type }) => type === 'RFCyclicSampler')
  const slot = sampler.findInputSlot('latent_image')
  const link = sampler.inputs[slot].link
  const { origin_id, origin_slot } = app.graph.links[link] ?? app.graph.links.get(link)
  const batch = LiteGraph.createNode('RepeatLatentBatch')
  app.graph.add(batch)
  app.graph.getNodeById(origin_id).connect(origin_slot, batch, 0)
  batch.connect(0, sampler, slot)
  batch.widgets[0].value = 3
}"""


def test_a_batch_says_which_picture_is_drawn_and_what_came_of_each(desk):
    page = desk()
    page.open_template("First product ad")
    page.page.evaluate(BATCH)
    page.set(SAMPLER, threshold=NEVER, attempts=2, seed=7, steps=4)
    page.queue()
    page.wait(SAMPLER, "strip?.innerText.startsWith('picture 1 of 3: drawing attempt 1 of 2')")
    page.wait(
        SAMPLER,
        "/^picture [23] of 3: drawing attempt [12] of 2/.test(strip?.innerText)"
        " && strip.querySelectorAll('figure').length >= 2",
    )
    assert page.page.wait_for_function("window.ended").json_value()[0] == "execution_success"
    shown = page.strip(SAMPLER)
    assert shown["badges"] == ["✗ 1 · 1/3", "✗ 2 · 1/3", "✗ 3 · 2/3", "✗ 4 · 2/3", "✗ 5 · 3/3", "✗ 6 · 3/3"]
    assert re.fullmatch("3 pictures, 6 attempts, 0 accepted; given back: [12], [34], [56]", shown["line"])
    assert re.fullmatch(r"picture 1: .* \d+\s%, seed 7", page.tile(SAMPLER).get_attribute("title"))
