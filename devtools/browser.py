"""ComfyUI's page, as someone with a browser uses it."""

import json
import shutil
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from .comfy import PACK
from .graph import workflow

NO_BROWSER = (
    "no Chromium here: install one (Debian, Ubuntu: apt install chromium) or run `python -m playwright install"
    " chromium` with .venv's Python"
)
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# A page that shows but what a test does: no tour, no news, nothing kept from the page before.
QUIET = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Notification.ShowVersionUpdates": False,
    "Comfy.Minimap.Visible": False,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.Locale": "en",
}
PATIENCE = 120_000  # milliseconds, for a slow machine; every wait ends when what it waits for is there
READY = (
    "window.app?.graph && app.canvas && app.extensionManager && document.querySelector('#graph-canvas') &&"
    " !document.querySelector('.p-progressspinner')"
)
NODE = "const node = app.graph._nodes.find(({ type }) => type === kind);"
STRIP = NODE + "const strip = node?.widgets?.find(({ name }) => name === 'verdicts')?.element;"

QUEUE = """async () => {
  window.ended = undefined
  const note = (name) => ({ detail }) => { window.ended ??= [name, detail.exception_message] }
  for (const name of ['execution_success', 'execution_error', 'execution_interrupted'])
    app.api.addEventListener(name, note(name), { once: true })
  await app.queuePrompt(0)
  const errors = app.lastNodeErrors ?? {}
  if (Object.keys(errors).length) window.ended = ['refused', JSON.stringify(errors)]
}"""


def chromium(playing):
    """A headless Chromium for a playwright that runs: the system's, or playwright's own; None where there is none
    (NO_BROWSER says what to do).
    """
    found = [shutil.which(name) for name in ("chromium", "chromium-browser", "google-chrome")]
    path = next(filter(None, found), playing.chromium.executable_path)
    return playing.chromium.launch(executable_path=path, args=ARGUMENTS) if Path(path).is_file() else None


def for_tests():
    """A fixture's generator: a headless Chromium. Skips where there is none."""
    import pytest

    playwright = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install -r requirements-dev.txt"
    )
    with playwright.sync_playwright() as running:
        started = chromium(running)
        if started is None:
            pytest.skip(NO_BROWSER)
        yield started
        started.close()


class Browser:
    """One page with these settings of its user's.

    chrome: what `chromium` started; errors: whatever went wrong on the page, and what our scripts complained of;
    scripts: {path: bytes} of ours.
    """

    def __init__(self, chrome, address: str, settings: dict, width: int = 1600, height: int = 1000):
        self.address, self.errors, self.scripts, self.loading = address, [], {}, True
        self._settle({**QUIET, **settings})
        self.context = chrome.new_context(viewport={"width": width, "height": height})
        self.context.set_default_timeout(PATIENCE)
        self.context.add_init_script("localStorage.setItem('vueNodesBannerDismissed', 'true')")
        self.context.route("**/*", self._only_here)
        self.page = self.context.new_page()
        self.page.on("pageerror", self._note)
        self.page.on("console", self._listen)
        self.page.on("response", self._weigh)
        self.page.goto(f"http://{address}/", wait_until="domcontentloaded")
        self._loaded()

    def close(self) -> None:
        self.context.close()

    def reload(self) -> None:
        self.loading = True
        self.page.reload(wait_until="domcontentloaded")
        self._loaded()

    def open_template(self, word: str) -> None:
        """Opens one of the pack's workflows, the one with this in its name, by the calls that the dialog of templates
        makes; what is open is emptied first.
        """
        self.page.evaluate(
            """async ([pack, name]) => {
                 app.graph.clear()
                 const graph = await (await app.api.fetchApi(`/workflow_templates/${pack}/${name}.json`)).json()
                 await app.loadGraphData(graph, true, true, name, { openSource: 'template' })
               }""",
            [PACK, workflow(word).stem],
        )
        self.page.wait_for_function("app.graph._nodes.some(({ type }) => type === 'RFCyclicSampler')")
        self.still()

    def browse(self):
        """The dialog of templates, with the pack's chosen."""
        self._command("Comfy.BrowseTemplates")
        dialog = self.page.get_by_role("dialog")
        dialog.get_by_text(PACK, exact=True).first.click()
        return dialog

    def still(self) -> None:
        """Until the canvas no longer glides to where the front end sends it."""
        self._rest("[app.canvas.ds.scale, ...app.canvas.ds.offset]", 400)

    def open_graph(self, graph: dict) -> None:
        """Opens a workflow as it is saved in a file."""
        self.page.evaluate("(graph) => app.loadGraphData(graph, true, true, 'workflow')", graph)
        self.fit()

    def fit(self) -> None:
        """Shows what is selected, or everything: what is out of sight is not drawn."""
        self._command("Comfy.Canvas.FitView")

    def settle(self) -> None:
        """Until nothing moves any more: the canvas glides to where it is sent, and Vue nodes take their places one by
        one.
        """
        self._rest("[...document.querySelectorAll('[data-node-id]')].map((node) => node.getBoundingClientRect())", 1500)

    def set(self, kind: str, **values) -> None:
        """Sets widgets of the node of this kind."""
        script = (
            f"([kind, values]) => {{ {NODE} for (const [name, value] of Object.entries(values))"
            " node.widgets.find((widget) => widget.name === name).value = value }"
        )
        self.page.evaluate(script, [kind, values])

    def queue(self) -> None:
        self.page.evaluate(QUEUE)

    def run(self, patience: int = PATIENCE) -> None:
        """Queues the graph and waits until it has run, so many milliseconds at most."""
        self.queue()
        ended = self.page.wait_for_function("window.ended", timeout=patience).json_value()
        assert ended[0] == "execution_success", ended

    def wait(self, kind: str, condition: str) -> None:
        """Until a condition on `node` and the element `strip` of the node of this kind holds."""
        self.page.wait_for_function(f"(kind) => {{ {STRIP} return {condition} }}", arg=kind)

    def strip(self, kind: str) -> dict:
        """{"line", "badges", "words", "pictures"} of a strip whose pictures have all come."""
        self.wait(
            kind,
            "strip && [...strip.querySelectorAll('img')].every(({ complete, naturalWidth }) => complete &&"
            " naturalWidth)",
        )
        texts = "const texts = (which) => [...strip.querySelectorAll(which)].map(({ textContent }) => textContent);"
        shown = (
            "{ line: texts('.rf-result')[0], badges: texts('b'), words: texts('figcaption'), pictures:"
            " [...strip.querySelectorAll('img')].map(({ src }) => src) }"
        )
        return self.page.evaluate(f"(kind) => {{ {STRIP} {texts} return {shown} }}", kind)

    def tile(self, kind: str):
        """The first tile of a strip, to be clicked."""
        return self.page.evaluate_handle(
            f"(kind) => {{ {STRIP} return strip.querySelector('figure') }}", kind
        ).as_element()

    def help(self, kind: str) -> None:
        """Opens the help page of the node of this kind with the button above a node that is selected; in the middle
        nothing of the page lies over it.
        """
        self.page.evaluate(
            f"(kind) => {{ {NODE} app.canvas.selectNode(node); app.canvas.centerOnNode(node); app.canvas.setDirty(true,"
            " true) }",
            kind,
        )
        self.page.get_by_test_id("info-button").first.click()
        self.page.locator(".node-help-content h2").first.wait_for()

    def _rest(self, value: str, pause: int) -> None:
        """Until an expression's value is the same as a pause ago, milliseconds."""
        self.page.evaluate(
            f"""async () => {{
              const now = () => JSON.stringify({value})
              const pause = () => new Promise((resolve) => setTimeout(resolve, {pause}))
              for (let before; before !== now(); await pause()) before = now()
            }}"""
        )

    def _command(self, name: str) -> None:
        self.page.evaluate("(name) => app.extensionManager.command.execute(name)", name)

    def _settle(self, settings: dict) -> None:
        request = urllib.request.Request(
            f"http://{self.address}/settings", json.dumps(settings).encode(), {"Content-Type": "application/json"}
        )
        urllib.request.urlopen(request, timeout=60).close()

    def _loaded(self) -> None:
        self.page.wait_for_function(READY)
        self.loading = False

    def _note(self, error) -> None:
        """Until its canvas is there, the front end trips over progress text of a run that goes on; that is left to
        it.
        """
        if not self.loading or f"/extensions/{PACK}/" in (error.stack or ""):
            self.errors.append(f"page: {error}")

    def _only_here(self, route) -> None:
        asked = urlsplit(route.request.url)
        route.continue_() if asked.hostname == "127.0.0.1" or asked.scheme in ("data", "blob") else route.abort()

    def _listen(self, message) -> None:
        if message.type == "error" and f"/extensions/{PACK}/" in f"{message.location.get('url')} {message.text}":
            self.errors.append(f"console: {message.text}")

    def _weigh(self, response) -> None:
        path = urlsplit(response.url).path
        if path.startswith(f"/extensions/{PACK}/") and path.endswith(".js"):
            self.scripts[path] = len(response.body())
