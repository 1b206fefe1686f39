"""`python -m reliable_ads.devtools.pictures results | workflow | nodes | strip | gallery`: pictures of what a real
ComfyUI draws, and of its web page.

`results` draws the picture that lies beside each shipped workflow: what a run of it gives; the first one is the help
page's of RF Cyclic Sampler, too. `workflow FILE.json --out FILE.png` shows a graph in the page, after running it with
--run; --vue, --light, --width and --node are for looking at the nodes themselves. `nodes` takes each node's picture for
its help page, web/docs/<node>/node.png. `strip` takes README's first picture: what appears below the sampler when the
first template draws a product of benchmarks/products with its own prompt and seed. That is the one test product whose
plain loop got its first accepted picture at the fifth attempt, in benchmarks/sampler.py. `gallery` takes the page that
the template of a product list leaves. All but `results` need playwright and a Chromium.
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import tempfile
from argparse import Namespace
from pathlib import Path

from PIL import Image

from ..rfnet.sheets import contact_sheet
from ..synthetic.jobs import jobs_of
from .browser import NO_BROWSER, STRIP, Browser, chromium
from .client import ComfyClient
from .comfy import ROOT, ComfyServer
from .demo import PICTURE, PLACED, PROMPT, SAMPLER, WORKFLOW, png_of
from .graph import load, shipped, titled, to_api
from .graph import workflow as shipped_as
from .sheet import PAPER, attempts_sheet

PAGES = ROOT / "web" / "docs"
# workflows that are not run here, and the number of the product that is drawn instead
STAND_INS = {"SD 1.5": 0, "SDXL": 1, "Train a ControlNet": 2, "LoRAs": 3, "Flux": 4, "Qwen": 5, "Z-Image": 6}
WITH_OWN = ("RFCyclicSampler",)  # whose help page shows a result instead
CORNER = (200, 160)  # where a node stands on the page, pixels
ATTEMPTS, NEARNESS = 5, 2.5  # of the strip: how many, and the canvas's scale
TALLEST = 1400  # pixels of a list's page that are shown
MARGIN, HEAD = 12, 58  # what is shown around it, and above it: its title and the pack's badge
PLACE = """(kind) => {
  app.graph.clear()
  const node = LiteGraph.createNode(kind)
  app.graph.add(node)
  node.pos = [0, 0]
  node.setSize([Math.max(400, node.computeSize()[0]), node.computeSize()[1]])
}"""
VIEW = """(offset) => {
  Object.assign(app.canvas.ds, { scale: 1, offset })
  app.canvas.setDirty(true, true)
  return [...app.graph._nodes[0].size]
}"""
SET = """([title, values]) => {
  const node = app.graph._nodes.find((node) => node.title === title)
  for (const [name, value] of Object.entries(values)) node.widgets.find((widget) => widget.name === name).value = value
}"""
NEAR = """([title, scale]) => {
  const node = app.graph._nodes.find((node) => node.title === title)
  app.graph._nodes.filter((other) => other !== node).forEach((other) => app.graph.remove(other))
  node.setSize([560, node.computeSize()[1] + 200])
  const strip = node.widgets.find(({ name }) => name === 'verdicts')
  Object.assign(app.canvas.ds, { scale, offset: [60 - node.pos[0], 60 - node.pos[1] - (strip.y ?? strip.last_y)] })
  app.canvas.setDirty(true, true)
}"""
AROUND = f"""(strip) => {{
  const {{ x, y }} = strip.getBoundingClientRect()
  const {{ right, bottom }} = [...strip.querySelectorAll('figure')].at(-1).getBoundingClientRect()
  return {{ x: x - {MARGIN}, y: y - {MARGIN}, width: right - x + {2 * MARGIN}, height: bottom - y + {MARGIN} }}
}}"""
SELECT = "(title) => app.canvas.selectNode(app.graph._nodes.find((node) => node.title === title))"


def results(options: Namespace, chrome, address: str) -> None:
    """The picture beside each shipped workflow.

    In the place of those that need a user's models, or minutes, the small family draws another product.
    """
    client = ComfyClient(address)
    known, products = client.ask("/object_info"), sorted((ROOT / "pocket" / "demo_products").glob("*.png"))
    for path in (path for path in shipped() if options.only in path.stem):
        word = next((word for word in STAND_INS if word in path.stem), None)
        graph = to_api(without_muted(load(shipped_as("Remedies") if word else path)), known)
        if word:
            put_product(graph, client, products[STAND_INS[word] % len(products)])
        picture = result(path, graph, client)
        picture.save(path.with_suffix(".jpg"), quality=88)
        print(path.with_suffix(".jpg"), picture.size)
        if path.stem == WORKFLOW.stem:
            picture.save(PAGES / WITH_OWN[0] / "attempts.png", optimize=True)


def put_product(graph: dict, client: ComfyClient, product: Path) -> None:
    """Puts another product and its caption into a graph."""
    graph[titled(graph, "Product picture")]["inputs"]["image"] = client.upload(product.name, product.read_bytes())
    caption = product.with_suffix(".txt")
    words = caption.read_text().strip() if caption.is_file() else product.stem.replace("_", " ")
    graph[titled(graph, "Product")]["inputs"]["caption"] = words


def result(path: Path, graph: dict, client: ComfyClient) -> Image.Image:
    """What a run of a workflow shows: all products of a list, all attempts of a loop."""
    sampler = next(key for key, node in graph.items() if node["class_type"] == "RFCyclicSampler")
    outputs = client.outputs(graph)

    def images(key: str) -> list[Image.Image]:
        return [Image.open(io.BytesIO(client.view(file))) for file in outputs[key]["images"]]

    if "list" in path.stem:
        return grid(images(titled(graph, "Result")))
    if "Teach" in path.stem:
        return grid(images(sampler))
    return attempts_sheet(images(sampler), json.loads(outputs[sampler]["report"][0])["attempts"])


def without_muted(workflow: dict) -> dict:
    return {**workflow, "nodes": [node for node in workflow["nodes"] if not node.get("mode")]}


def grid(pictures: list, columns: int = 4, side: int = 192) -> Image.Image:
    """Pictures side by side, four in a row."""
    cells = [picture.convert("RGB").resize((side, side), Image.Resampling.LANCZOS) for picture in pictures]
    return contact_sheet(cells, columns, ground=PAPER)


def workflow(options: Namespace, chrome, address: str) -> None:
    """The picture of one workflow."""
    settings = {
        "Comfy.VueNodes.Enabled": options.vue,
        "Comfy.ColorPalette": "light" if options.light else "dark",
        "Comfy.Graph.CanvasInfo": False,
    }
    browser = Browser(chrome, address, settings, options.width, round(options.width * 9 / 16))
    browser.open_graph(json.loads(options.file.read_text(encoding="utf-8")))
    if options.run_it:
        browser.run(1_200_000)  # one of them trains
    if options.node:
        browser.page.evaluate(SELECT, options.node)
    browser.fit()
    browser.settle()
    picture = Image.open(io.BytesIO(browser.page.screenshot())).convert("RGB")
    out = options.out
    picture.save(out, **({} if out.suffix == ".png" else {"quality": 85}))
    print(f"{out}: {len(browser.errors)} page errors", *browser.errors, sep="\n")
    browser.close()


def nodes(options: Namespace, chrome, address: str) -> None:
    """The pictures of the help pages."""
    browser = Browser(chrome, address, {"Comfy.Graph.CanvasInfo": False}, 1100, 1200)
    for folder in sorted(page for page in PAGES.iterdir() if page.is_dir() and page.name not in WITH_OWN):
        browser.page.evaluate(PLACE, folder.name)
        browser.settle()
        width, height = browser.page.evaluate(VIEW, CORNER)
        browser.settle()
        clip = {
            "x": CORNER[0] - MARGIN,
            "y": CORNER[1] - HEAD,
            "width": width + 2 * MARGIN,
            "height": height + HEAD + MARGIN,
        }
        shot = Image.open(io.BytesIO(browser.page.screenshot(clip=clip))).convert("RGB")
        shot.quantize(64).save(folder / "node.png", optimize=True)
        print(folder / "node.png", shot.size)


def strip(options: Namespace, chrome, address: str) -> None:
    """The verdicts of one product's run, from near."""
    job = jobs_of(options.products)[options.number]
    name = ComfyClient(address).upload(f"{job.product_id}.png", png_of(job.product.rgba))
    browser = Browser(chrome, address, {"Comfy.Graph.CanvasInfo": False}, 1700, 800)
    browser.open_template(WORKFLOW.stem)
    for title, values in {
        PICTURE: {"image": name},
        PLACED: {"caption": job.product.caption},
        PROMPT: {"text": job.prompt},
        SAMPLER: {"seed": job.seed, "attempts": ATTEMPTS, "early_rejection": "off"},
    }.items():
        browser.page.evaluate(SET, [title, values])
    browser.run(600_000)
    kind = WITH_OWN[0]
    print(job.product.caption, job.prompt, job.seed, browser.strip(kind)["words"])
    browser.page.evaluate(NEAR, [SAMPLER, NEARNESS])
    browser.settle()
    clip = browser.page.evaluate(f"(kind) => {{ {STRIP} return ({AROUND})(strip) }}", kind)
    shot = Image.open(io.BytesIO(browser.page.screenshot(clip=clip))).convert("RGB")
    shot.save(options.out, quality=90)
    print(options.out, shot.size)
    browser.close()


def gallery(options: Namespace, chrome, address: str) -> None:
    """The page of a list of products."""
    client = ComfyClient(address)
    client.outputs(to_api(load(shipped_as("list")), client.ask("/object_info")))
    (page_file,) = (options.base / "output").rglob("index.html")
    page = chrome.new_page(viewport={"width": 1100, "height": 700})
    page.goto(page_file.as_uri())
    page.wait_for_load_state("networkidle")
    shot = Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("RGB")
    shot.crop((0, 0, shot.width, min(shot.height, TALLEST))).save(options.out, quality=85)
    print(options.out, shot.size)
    page.close()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    each = commands.add_parser("results", help="the picture beside each shipped workflow")
    each.set_defaults(take=results)
    each.add_argument("--only", default="", help="of workflows with this in their names")
    one = commands.add_parser("workflow", help="a picture of one graph")
    one.set_defaults(take=workflow)
    one.add_argument("file", type=Path)
    one.add_argument("--out", type=Path, required=True, help="a .jpg or .png")
    one.add_argument("--run", dest="run_it", action="store_true", help="run it first")
    one.add_argument("--vue", action="store_true", help="in Vue nodes")
    one.add_argument("--light", action="store_true", help="in the light theme")
    one.add_argument("--width", type=int, default=1600, help="of the window, pixels")
    one.add_argument("--node", help="title of a node to show from near")
    commands.add_parser("nodes", help="each node's picture for its help page").set_defaults(take=nodes)
    near = commands.add_parser("strip", help="README's first picture")
    near.set_defaults(take=strip)
    near.add_argument("--products", type=Path, default=ROOT / "benchmarks" / "products" / "unseen.zip")
    near.add_argument("--number", type=int, default=7, help="of the product in it, from 0")
    near.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "five_attempts.jpg")
    page = commands.add_parser("gallery", help="docs/product_list.md's picture")
    page.set_defaults(take=gallery)
    page.add_argument("--out", type=Path, default=ROOT / "docs" / "pictures" / "product_list.jpg")
    options = parser.parse_args()

    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(prefix="ComfyUI-") as base, sync_playwright() as playing:
        if (browser := chromium(playing)) is None:
            print(NO_BROWSER, file=sys.stderr)
            return 1
        with ComfyServer(Path(base), Path(base) / "server.log", ("--cpu", "--preview-method", "auto")) as server:
            options.base = Path(base)
            options.take(options, browser, server.address)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
