"""The tab "Reliable Ads" in the host's own page, in a real browser."""

import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from reliable_ads.rfft.merge import merge_files
from reliable_ads.rfnet.data.labelling import LabelFolder
from reliable_ads.rfnet.labels import LABELS
from reliable_ads.rfnet.weights import DEFAULT_WEIGHTS, read_metadata

from ..server.tiny_models import write_reviewer
from .ads import canvas, cut_out, picture

browser = pytest.importorskip("playwright.sync_api")
ID = "#reliable_ads_"
POCKET = "pocket_canny"
QUICK = """
size = 128
sampling_steps = 4
last_steps = 2
gradient_steps = 2
batch = 1
evaluation_products = 1
evaluate_every = 1
"""


@pytest.fixture
def outputs(data):
    return data / "outputs"


@pytest.fixture
def tab(page):
    """tab("Label") opens this section."""
    page.locator("#tabs > div > button", has_text="Reliable Ads").first.click()

    def section(name: str) -> None:
        page.locator(f"{ID}tab_sections > div > button", has_text=name).first.click()

    section("Review")
    return section


@pytest.fixture
def pictures(outputs, tmp_path):
    """Three pictures of the box, and a file that is none -> (the folder as one types it, the product's file)."""
    folder = outputs / tmp_path.name
    folder.mkdir(parents=True)
    for number, level in enumerate((0.2, 0.5, 0.8)):
        ground = torch.full((1, 3, 128, 128), level)
        picture(canvas(128, 128).paste(ground)[0]).save(folder / f"ad{number}.png")
    (folder / "a <b>.png").write_text("no picture")
    product = tmp_path / "box.png"
    cut_out().save(product)
    return f"outputs/{folder.name}", product


def fill(page, name: str, value) -> None:
    box = page.locator(f"{ID}{name} textarea, {ID}{name} input[type=number], {ID}{name} input[type=text]").first
    box.fill(str(value))
    box.press("Tab")


def choose(page, name: str, value: str) -> None:
    """An entry of a list."""
    box = page.locator(f"{ID}{name} input").first
    box.click()
    page.locator("ul.options li").filter(has_text=value).first.click()
    browser.expect(box).to_have_value(re.compile(re.escape(value)))


def says(page, name: str, words: str) -> str:
    """Waits until a line of text says this -> the line."""
    element = f"document.querySelector({json.dumps(f'{ID}{name} textarea')}).value"
    try:
        page.wait_for_function(f"{element}.includes({json.dumps(words)})")
    except browser.TimeoutError:
        pytest.fail(f"{name} says {page.evaluate(element)!r}, and never {words!r}")
    return page.evaluate(element)


def review(page, folder: str, product) -> None:
    fill(page, "review_folder", folder)
    page.set_input_files(f"{ID}review_product input[type=file]", str(product))
    page.wait_for_selector(f"{ID}review_product img")
    page.click(f"{ID}review_start")


def test_pictures_of_a_folder_are_reviewed_copied_and_labelled_with_keys(page, tab, pictures, outputs):
    folder, product = pictures
    name = folder.rpartition("/")[2]
    review(page, folder, product)
    told = says(page, "review_status", "of 3 accepted, from available")
    assert 'Left out: "a <b>.png" is not a picture' in told
    page.wait_for_selector(f"{ID}review_gallery img")
    fill(page, "review_copy_name", f"{name}-copies")
    page.click(f"{ID}review_copy")
    says(page, "review_status", "accepted")
    accepted = int(told.split()[0])
    assert len(list((outputs / f"{name}-copies").glob("*.png"))) == accepted
    fill(page, "review_dataset", name)
    page.click(f"{ID}review_add")
    says(page, "review_status", f"3 pictures added to {name}. 0 labelled, 3 to go.")

    tab("Label")
    labels = LabelFolder(outputs / "labels" / name)
    if page.locator(f"{ID}label_dataset input").first.input_value() != name:
        page.wait_for_timeout(1000)
        choose(page, "label_dataset", name)
    says(page, "label_progress", "0 labelled, 3 to go.")
    page.wait_for_selector(f"{ID}label_picture img")
    page.evaluate("document.activeElement.blur()")
    for count, key in enumerate("25", 1):
        page.keyboard.press(key)
        says(page, "label_progress", f"{count} labelled, {3 - count} to go.")
    assert sorted(labels.read().labels.values()) == sorted((LABELS[1], LABELS[4]))
    page.keyboard.press("u")
    says(page, "label_progress", "1 labelled, 2 to go.")
    page.click(f"{ID}label_1")
    says(page, "label_progress", "2 labelled, 1 to go.")
    assert list(labels.read().labels.values()) == [LABELS[1], LABELS[0]]
    assert all(json.loads(line)["blind"] for line in lines(labels) if '"label"' in line and '"blind"' in line)


def lines(labels: LabelFolder) -> list[str]:
    return (labels.folder / "journal.jsonl").read_text("utf-8").split("\n")


@pytest.mark.parametrize("folder, words", [("/etc", "is outside the web UI's own"), ("outputs/none", "can't be read")])
def test_no_other_folders_are_read(page, tab, pictures, folder, words):
    review(page, folder, pictures[1])
    says(page, "review_status", words)


@pytest.mark.parametrize("name", ["../up", "a/b", "..", ""])
def test_nothing_is_written_elsewhere(page, tab, pictures, outputs, name):
    review(page, *pictures)
    says(page, "review_status", "of 3 accepted")
    before = sorted(outputs.parent.rglob("*"))
    fill(page, "review_dataset", name)
    page.click(f"{ID}review_add")
    says(page, "review_status", "can't name a dataset")
    fill(page, "review_copy_name", name)
    page.click(f"{ID}review_copy")
    says(page, "review_status", "can't name a folder in outputs")
    assert sorted(outputs.parent.rglob("*")) == before


def test_another_sites_page_labels_nothing(page, tab, browser, web, host, pictures, outputs):
    """Gradio 3's websocket is open to all of them; Gradio 4 asks the browser first."""
    if host.kind == "Forge":
        pytest.skip("Gradio 4 has no websocket, and its POST needs the browser's leave")
    folder, product = pictures
    name = folder.rpartition("/")[2]
    review(page, folder, product)
    says(page, "review_status", "of 3 accepted")
    fill(page, "review_dataset", name)
    page.click(f"{ID}review_add")
    says(page, "review_status", "0 labelled, 3 to go.")
    key = next(iter(LabelFolder(outputs / "labels" / name).read().items))
    number = page.evaluate(
        "const { components, dependencies } = window.gradio_config;"
        "const { id } = components.find(({ props }) => props.elem_id === 'reliable_ads_label_1');"
        "dependencies.findIndex(({ targets }) => targets.flat().includes(id))"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), SimpleHTTPRequestHandler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        stranger = browser.new_page()
        stranger.goto(f"http://localhost:{site.server_port}/none")
        told = stranger.evaluate(ASK, [f"ws://{web.address}/queue/join", number, [name, key, True, "off", ""]])
        stranger.close()
        site.shutdown()
    assert "asked by another site" in json.dumps(told)
    assert LabelFolder(outputs / "labels" / name).read().labels == {}


ASK = """([address, fn_index, data]) => new Promise((resolve) => {
  const socket = new WebSocket(address)
  const about = { fn_index, session_hash: 'stranger' }
  socket.onmessage = ({ data: text }) => {
    const message = JSON.parse(text)
    if (message.msg === 'send_hash') socket.send(JSON.stringify(about))
    if (message.msg === 'send_data') socket.send(JSON.stringify({ ...about, data, event_data: null }))
    if (message.msg === 'process_completed') resolve(message.output)
  }
  socket.onclose = () => resolve('closed')
})"""


def test_a_reviewer_learns_from_a_dataset_in_a_process_of_its_own(page, tab, data, outputs):
    write_reviewer(data / "models" / "rfnet" / "start.safetensors")
    labels = LabelFolder(outputs / "labels" / "shop")
    product = cut_out().resize((64, 96))
    tab("Adapt")
    page.wait_for_timeout(1000)
    for number in range(45):
        shown = Image.new("RGB", product.size, (5 * number, 50 * (number % 5), 0))
        labels.add(shown, product, f"p{number % 9}", "a box")
        if number == 20:
            continue
        labels.label((labels.read().items.keys() - labels.read().labels.keys()).pop(), LABELS[number % 5])
    tab("Review")
    tab("Adapt")
    page.wait_for_timeout(1500)
    choose(page, "adapt_dataset", "shop")
    choose(page, "adapt_weights", "start.safetensors")
    page.locator(f"{ID}tab_adapt .label-wrap").first.click()
    fill(page, "adapt_epochs", 1)
    page.locator(f"{ID}adapt_mix input").uncheck()
    fill(page, "adapt_name", "../up")
    page.click(f"{ID}adapt_start")
    says(page, "adapt_status", "can't name a reviewer")
    fill(page, "adapt_name", "shop_reviewer")
    page.click(f"{ID}adapt_start")
    says(page, "adapt_status", "is running")
    page.wait_for_function(f"!document.querySelector('{ID}adapt_status textarea').value.includes('is running')")
    log = says(page, "adapt_log", "average precision")
    new = data / "models" / "rfnet" / "shop_reviewer.safetensors"
    kept = "The adapted reviewer is kept" in log
    assert new.is_file() == kept and "step 1/" in (labels.folder / "adapt.log").read_text("utf-8")
    says(page, "adapt_status", "is done" if kept else "The old reviewer stays")
    assert not kept or "adapted" in read_metadata(new)


def test_a_training_shows_itself_and_is_stopped_and_goes_on(page, tab, data, host):
    tab("Tune")
    page.wait_for_timeout(2500)
    choose(page, "tune_checkpoint", "pocket_sd")
    choose(page, "tune_controlnet", f"{POCKET}.safetensors")
    page.locator(f"{ID}tab_tune .label-wrap").first.click()
    fill(page, "tune_prompts", "{caption} on a table")
    fill(page, "tune_name", "tuned")
    fill(page, "tune_advanced", QUICK)
    fill(page, "tune_steps", 200)
    page.click(f"{ID}tune_start")
    words = says(page, "tune_status", "run")
    if "is running" not in words:
        assert words.startswith("Training needs diffusers: run `") and "pip install --no-deps diffusers" in words
        pytest.skip(f"{host.kind} has no diffusers, and the page says so")
    says(page, "tune_log", "step 1 of 200: p(available)")
    page.wait_for_selector(f"{ID}tune_picture img")
    page.click(f"{ID}tune_cancel")
    says(page, "tune_status", "everything is saved")
    assert (data / "models" / "ControlNet" / "tuned.state").exists()
    page.click(f"{ID}tune_start")
    says(page, "tune_log", "going on from step")
    page.click(f"{ID}tune_cancel")
    says(page, "tune_status", "everything is saved")


def test_an_adapter_is_merged_with_the_controlnet_that_it_names(page, tab, data, tmp_path):
    shipped = DEFAULT_WEIGHTS.parents[2] / "pocket" / "weights"
    tab("Merge")
    page.wait_for_timeout(1500)
    choose(page, "merge_adapter", f"{POCKET}_reliable.safetensors")
    page.wait_for_function(f"document.querySelector('{ID}merge_base input').value === '{POCKET}.safetensors'")
    fill(page, "merge_name", "merged")
    page.click(f"{ID}merge_start")
    says(page, "merge_status", "merged.safetensors is in models/ControlNet")
    expected = tmp_path / "expected.safetensors"
    merge_files(shipped / f"{POCKET}.safetensors", [shipped / f"{POCKET}_reliable.safetensors"], expected)
    made, wanted = load_file(data / "models" / "ControlNet" / "merged.safetensors"), load_file(expected)
    assert made.keys() == wanted.keys() and all(torch.equal(made[key], wanted[key]) for key in wanted)
    page.click(f"{ID}merge_start")
    says(page, "merge_status", "exists: choose another name")
