"""`python -m reliable_ads.devtools.locales`: writes those of the pack's words that follow from others.

- locales/en: names and tooltips of all nodes. The front end shows them before the schemas' own, so a stale one would be
a wrong one.
- web/docs/NODE.md: the English page again. The front end shows it to readers of languages that have no page.

locales/zh and the pages are written by hand; tests/server/test_help.py says what is missing there.
"""

import json
import re
import sys
import tempfile
from pathlib import Path

from .client import ComfyClient
from .comfy import PACK, ROOT, ComfyServer
from .graph import declared_inputs

PAGES = ROOT / "web" / "docs"


def own_nodes(object_info: dict) -> dict:
    """{node id: its entry of the server's /object_info} of this pack's nodes."""
    return {name: info for name, info in sorted(object_info.items()) if info["python_module"] == f"custom_nodes.{PACK}"}


def english(nodes: dict) -> dict:
    """{path below the repository: its text} of the English locale."""
    kinds = {spec[0] for info in nodes.values() for _, spec in declared_inputs(info)} | {
        kind for info in nodes.values() for kind in info["output"]
    }
    main = {
        "nodeCategories": {info["category"]: info["category"] for info in nodes.values()},
        "dataTypes": {
            kind: kind for kind in sorted(kind for kind in kinds if isinstance(kind, str) and kind.startswith("RF_"))
        },
    }
    return {
        Path("locales/en/main.json"): as_text(main),
        Path("locales/en/nodeDefs.json"): as_text({name: entry(info) for name, info in nodes.items()}),
    }


def entry(info: dict) -> dict:
    """One node as the front end looks it up: inputs by id, outputs by number."""
    inputs = {}
    for name, spec in declared_inputs(info):
        inputs[name] = {"name": spec[1].get("display_name") or name, "tooltip": literal(spec[1]["tooltip"])}
        if spec[1].get("control_after_generate"):
            # a widget that the front end puts below the seed
            inputs["control_after_generate"] = {"name": "control after generate"}
    outputs = {
        str(number): {"name": name, "tooltip": literal(tooltip)}
        for number, (name, tooltip) in enumerate(zip(info["output_name"], info["output_tooltips"]))
    }
    return {
        "display_name": info["display_name"],
        "description": literal(info["description"]),
        "inputs": inputs,
        "outputs": outputs,
    }


def literal(text: str) -> str:
    """The text as vue-i18n has to be given it: it takes {}, @ and | for syntax of its own."""
    return re.sub(r"[{}@|]", lambda sign: f"{{'{sign[0]}'}}", text)


def other_languages(nodes: dict) -> dict:
    """{path below the repository: its text} of the pages for readers of languages without a page."""
    pages = {(PAGES / f"{name}.md").relative_to(ROOT): PAGES / name / "en.md" for name in nodes}
    return {path: page.read_text(encoding="utf-8") for path, page in pages.items() if page.is_file()}


def as_text(values: dict) -> str:
    return json.dumps(values, ensure_ascii=False, indent=2) + "\n"


def main() -> int:
    with (
        tempfile.TemporaryDirectory() as folder,
        ComfyServer(Path(folder), Path(folder) / "server.log", ("--cpu",)) as server,
    ):
        nodes = own_nodes(ComfyClient(server.address).ask("/object_info"))
    for path, text in {**english(nodes), **other_languages(nodes)}.items():
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(text, encoding="utf-8", newline="\n")
        print(f"wrote {path.as_posix()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
