"""`python -m reliable_ads.devtools.node_pictures`: the picture of each node on its help page, web/docs/<node>/node.png, from the real web page.

Needs playwright and a Chromium (`chromium` on the PATH, or playwright's own).
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from .comfy import ROOT, ComfyServer

PAGES = ROOT / "web" / "docs"
WITH_OWN = ("RFCyclicSampler",)  # whose page shows a result instead
READY = "window.app?.graph && app.canvas && app.extensionManager && document.querySelector('#graph-canvas') && !document.querySelector('.p-progressspinner')"
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Workflow.Persist": False, "Comfy.Notification.ShowVersionUpdates": False, "Comfy.Minimap.Visible": False,
            "Comfy.VueNodes.Enabled": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0, "Comfy.Graph.CanvasInfo": False}  # fmt: skip
PLACE = """(kind) => {
  app.graph.clear()
  const node = LiteGraph.createNode(kind)
  app.graph.add(node)
  node.pos = [0, 0]
  node.setSize([Math.max(400, node.computeSize()[0]), node.computeSize()[1]])
}"""
VIEW = """() => {
  Object.assign(app.canvas.ds, { scale: 1, offset: [200, 160] })
  app.canvas.setDirty(true, true)
  return [...app.graph._nodes[0].size]
}"""


def main() -> int:
    from playwright.sync_api import sync_playwright

    names = sorted(page.name for page in PAGES.iterdir() if page.is_dir() and page.name not in WITH_OWN)
    with tempfile.TemporaryDirectory(prefix="reliable-ads-") as base, ComfyServer(Path(base), Path(base) / "server.log", ("--cpu",)) as server, sync_playwright() as playing:
        path = shutil.which("chromium") or playing.chromium.executable_path
        browser = playing.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1100, "height": 1200})
        page.request.post(f"http://{server.address}/settings", data=SETTINGS)
        page.goto(f"http://{server.address}/", wait_until="domcontentloaded")
        page.wait_for_function(READY, timeout=120_000)
        for name in names:
            page.evaluate(PLACE, name)
            page.wait_for_timeout(700)
            width, height = page.evaluate(VIEW)
            page.wait_for_timeout(700)
            clip = {"x": 200 - 12, "y": 160 - 58, "width": width + 24, "height": height + 70}  # with the title and the pack's badge above it
            shot = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB")
            shot.quantize(64).save(PAGES / name / "node.png", optimize=True)
            print(PAGES / name / "node.png", shot.size)
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
