"""RF Label in ComfyUI's page: labels are clicked and keyed in, taken back, and go on where they were after a reload, in
another tab, behind a stopped server.
"""

from itertools import count

import pytest
from PIL import Image

from reliable_ads.devtools.browser import Browser
from reliable_ads.devtools.comfy import ComfyServer
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS

NUMBERS = count()
BOX, READY = ".rf-label", ".rf-label-button:enabled:has-text('fit to publish')"
VUE = pytest.mark.parametrize("vue", [False, True], ids=["canvas", "vue nodes"])


def fill(base, many: int) -> LabelFolder:
    """A dataset of pictures that wait."""
    folder = LabelFolder(base / "output" / "labels" / f"browser{next(NUMBERS)}")
    product = Image.new("RGBA", (96, 96))
    product.paste((200, 90, 30, 255), (30, 20, 66, 80))
    for number in range(many):
        picture = Image.new("RGB", product.size, (40 * number % 256, 120 + number // 32, 160))  # each another one
        picture.paste(product, mask=product)
        folder.add(
            picture,
            product,
            "box",
            "an orange box",
            "a box on a table",
            {"label": "size_mismatch", "probability": 0.81},
        )
    return folder


@pytest.fixture
def folder(server) -> LabelFolder:
    return fill(server.base, 6)


class Buttons:
    """One RF Label node on a page."""

    def __init__(self, desk: Browser, folder: LabelFolder, blind: bool = True, learner: str = "off"):
        self.desk, self.page, self.folder, self.blind, self.learner = desk, desk.page, folder, blind, learner
        self.open()

    def open(self) -> None:
        node = {
            "id": 1,
            "type": "RFLabel",
            "pos": [0, 0],
            "size": [460, 620],
            "flags": {},
            "order": 0,
            "mode": 0,
            "properties": {},
            "widgets_values": [self.folder.folder.name, self.blind, "", self.learner, ""],
        }
        self.page.evaluate(
            "(graph) => app.loadGraphData(graph, true, true, 'label')",
            {"last_node_id": 1, "last_link_id": 0, "nodes": [node], "links": [], "version": 0.4},
        )
        self.page.evaluate("() => app.extensionManager.command.execute('Comfy.Canvas.FitView')")
        self.page.locator(BOX).wait_for()
        self.settle()

    def settle(self) -> None:
        self.page.wait_for_function("() => app.graph._nodes[0]?.rfLabels?.state && !app.graph._nodes[0].rfLabels.busy")

    def click(self, words: str) -> None:
        self.page.locator(f"{BOX} button:has-text('{words}')").click()
        self.settle()

    def key(self, key: str) -> None:
        self.page.keyboard.press(key)
        self.settle()

    def hover(self) -> None:
        self.page.locator(".rf-label-picture").hover()

    @property
    def shown(self) -> str:
        """Key of the picture on the screen."""
        return self.page.locator(".rf-label-picture").get_attribute("src").rsplit("/", 1)[1].removesuffix(".png")

    @property
    def counts(self) -> dict:
        return dict(zip(LABELS, map(int, self.page.locator(".rf-label-buttons i").all_inner_texts())))

    @property
    def progress(self) -> str:
        return self.page.locator(".rf-label-progress").inner_text()


@VUE
def test_labels_are_clicked_and_keyed_in_and_taken_back(desk, folder, vue):
    buttons = Buttons(desk(Comfy__VueNodes__Enabled=vue), folder)
    keys = folder.read().waiting
    assert buttons.shown == keys[0] and buttons.progress.startswith(
        "0 labelled, 6 to go · for a useful adaptation: 200 more"
    )
    assert (
        "an orange box" in buttons.page.locator(BOX).inner_text()
        and "a box on a table" in buttons.page.locator(BOX).inner_text()
    )
    buttons.click("wrong size")
    buttons.click("fit to publish")
    assert folder.read().labels == {keys[0]: "size_mismatch", keys[1]: "available"} and buttons.shown == keys[2]

    buttons.hover()
    for key in ("2", "5"):
        buttons.key(key)
    assert buttons.counts == dict(zip(LABELS, (1, 1, 1, 0, 1))) == folder.read().counts
    buttons.key("Backspace")
    assert buttons.shown == keys[3] and buttons.page.evaluate("app.graph._nodes.length") == 1
    buttons.key("u")
    assert buttons.shown == keys[2] and folder.read().labels == {keys[0]: "size_mismatch", keys[1]: "available"}
    buttons.click("undo")
    assert buttons.shown == keys[1] and buttons.progress.startswith("1 labelled, 5 to go")
    buttons.click("skip")
    assert buttons.shown == keys[2] and len(folder.read().labels) == 1


def test_a_double_click_labels_one_picture(desk, folder):
    buttons = Buttons(desk(), folder)
    buttons.page.locator(READY).dblclick()
    buttons.settle()
    assert len(folder.read().labels) == 1 and buttons.shown == folder.read().waiting[0]


def test_a_key_that_is_held_labels_one_picture(desk, folder):
    buttons = Buttons(desk(), folder)
    buttons.hover()
    buttons.page.keyboard.down("1")
    for _ in range(5):
        buttons.page.keyboard.down("1")
        buttons.settle()
    buttons.page.keyboard.up("1")
    assert len(folder.read().labels) == 1


def test_keys_do_nothing_elsewhere_nor_while_the_user_types(desk, folder):
    buttons = Buttons(desk(), folder)
    buttons.hover()
    buttons.page.mouse.move(5, 500)
    buttons.key("1")
    assert not folder.read().labels
    buttons.page.evaluate(
        "() => { const field = document.createElement('input'); field.id = 'field'; field.style.cssText = 'position:"
        " fixed; top: 0; z-index: 99999'; document.body.append(field) }"
    )
    buttons.page.locator("#field").click()
    buttons.hover()
    buttons.key("3")
    assert buttons.page.locator("#field").input_value() == "3" and not folder.read().labels


def test_reloaded_pages_and_other_tabs_go_on(desk, folder):
    first = Buttons(desk(), folder)
    first.click("hardly stands out")
    first.desk.reload()
    first.open()
    keys = folder.read().waiting
    assert first.counts["indistinctiveness"] == 1 and first.shown == keys[0]

    second = Buttons(desk(), folder)
    assert second.shown == first.shown
    first.click("fit to publish")
    second.click("wrong size")
    assert (
        second.counts
        == folder.read().counts
        == {**dict.fromkeys(LABELS, 0), "indistinctiveness": 1, "size_mismatch": 1}
    )
    first.click("undo")  # of its own label's picture, whatever it says now
    assert first.shown == keys[0] and keys[0] in folder.read().waiting


def test_a_reloaded_page_can_take_back_the_last_label(desk, folder):
    buttons = Buttons(desk(), folder)
    key = buttons.shown
    buttons.click("fit to publish")
    buttons.desk.reload()
    buttons.open()
    buttons.click("undo")
    assert buttons.shown == key and not folder.read().labels


@pytest.mark.parametrize("blind", [True, False])
def test_the_verdict_is_shown_only_where_the_user_wants_it(desk, folder, blind):
    buttons = Buttons(desk(), folder, blind)
    assert ("reviewer: wrong size 81 %" in buttons.page.locator(BOX).inner_text()) == (not blind)
    buttons.desk.set("RFLabel", blind=not blind)
    buttons.page.evaluate("() => app.graph._nodes[0].widgets.find(({ name }) => name === 'blind').callback()")
    buttons.settle()
    assert ("reviewer: wrong size 81 %" in buttons.page.locator(BOX).inner_text()) == blind


def test_all_labelled(desk, server):
    folder = fill(server.base, 1)
    buttons = Buttons(desk(), folder)
    buttons.click("grew extra parts")
    assert "Nothing waits" in buttons.page.locator(BOX).inner_text() and buttons.page.locator(READY).count() == 0
    buttons.click("undo")
    assert buttons.page.locator(READY).count() == 1


def test_a_run_brings_pictures_to_the_buttons(desk, server):
    folder = LabelFolder(server.base / "output" / "labels" / "fresh")
    page = desk()
    page.open_template("Teach the reviewer")
    page.set("RFLabel", dataset="fresh")
    page.set("RFCyclicSampler", attempts=2, steps=4, threshold=1.0)
    page.run()
    page.page.wait_for_function(
        "() => app.graph._nodes.find(({ type }) => type === 'RFLabel').rfLabels.state?.waiting === 2"
    )
    assert len(folder.read().waiting) == 2


def test_in_chinese(desk, folder):
    buttons = Buttons(desk(Comfy__Locale="zh"), folder)
    assert (
        buttons.page.locator(f"{BOX} button").all_inner_texts()[0].split("\n")[1] == "可以发布"
        and "已标注 0 张" in buttons.progress
    )


def test_a_key_while_the_page_asks_by_itself_counts(desk, folder):
    buttons = Buttons(desk(), folder)
    buttons.hover()
    shown = buttons.shown
    buttons.page.evaluate(
        "() => { app.graph._nodes[0].rfLabels.refresh(); app.graph._nodes[0].rfLabels.refresh();"
        " document.activeElement.dispatchEvent(new KeyboardEvent('keydown', { key: '2', bubbles: true })) }"
    )
    buttons.page.wait_for_function(
        "() => document.querySelector('.rf-label-progress').innerText.startsWith('1 labelled')"
    )
    assert folder.read().labels == {shown: "space_mismatch"}


def test_ten_labels_are_learned_and_the_line_says_so(desk, server):
    folder = fill(server.base, 22)
    buttons = Buttons(desk(), folder, learner="rfnet_compact.safetensors")
    line = buttons.page.locator(".rf-label-learning")
    buttons.page.wait_for_function(
        "() => document.querySelector('.rf-label-learning').innerText.includes('after 10 more labels')"
    )
    seen = []
    for number in range(10):
        seen.append(buttons.shown)
        buttons.click("wrong size" if number % 2 else "fit to publish")
    buttons.page.wait_for_function("() => document.querySelector('.rf-label-learning').innerText.includes('agreed')")
    assert "of your last 10 labels (at first" in line.inner_text() and line.inner_text()[0] in "▁▂▃▄▅▆▇█"
    assert len(set(seen)) == 10 and folder.read().labels.keys() == set(seen)
    skipped = buttons.shown
    buttons.click("skip")
    assert buttons.shown not in (skipped, *seen)
    buttons.click("undo")
    assert buttons.shown == seen[-1] and len(folder.read().labels) == 9

    buttons.desk.set("RFLabel", labeller="Ana")
    buttons.page.evaluate("() => app.graph._nodes[0].widgets.find(({ name }) => name === 'labeller').callback()")
    buttons.settle()
    for _ in range(5):
        buttons.click("fit to publish")
    assert "Ana" in line.inner_text() and "of 1 alike" in line.inner_text()


def test_two_hundred_labels_and_a_server_that_stops_between(browser, tmp_path):
    folder = fill(tmp_path, 200)
    with ComfyServer(tmp_path, tmp_path / "server.log", ("--cpu",)) as server:
        page = Browser(browser, server.address, {})
        buttons = Buttons(page, folder)
        buttons.hover()
        for number in range(90):
            buttons.key(str(1 + number % 5))
        key = buttons.shown
    buttons.click("wrong size")
    assert "The server does not answer" in buttons.page.locator(BOX).inner_text() and buttons.shown == key
    with ComfyServer(tmp_path, tmp_path / "server.log", ("--cpu",), port=server.port):
        buttons.settle()
        buttons.click("wrong size")
        assert folder.read().labels[key] == "size_mismatch"
        buttons.hover()
        for number in range(109):
            buttons.key(str(1 + number % 5))
        assert len(folder.read().labels) == 200 and buttons.progress.startswith("200 labelled, 0 to go")
        page.close()
