"""From the graph that the web page saves to the one that the server's HTTP API takes.

The web page does this conversion in the browser. A headless client has to do it too, or ship every workflow twice.
Covered are the things that the shipped workflows use: nodes, links, widgets, notes, subgraphs. Anything else is refused
by name, not passed over.
"""

import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "example_workflows"  # the name that ComfyUI prefers; the oldest supported one lists it too
NOTES = {"Note", "MarkdownNote"}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
INSIDE, OUTSIDE = -10, -20  # what a subgraph's own links call its inputs and its outputs


class GraphError(ValueError):
    """A workflow that cannot be turned into an API graph; the text names the node and what to do."""


def load(path: Path) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def shipped() -> list[Path]:
    """The workflows that ship, in the order in which they are numbered."""
    return sorted(WORKFLOWS.glob("*.json"), key=lambda path: int(path.stem.split()[0]))


def workflow(word: str) -> Path:
    """The one shipped workflow with this in its name, as in workflow("SDXL"). Raises GraphError."""
    found = [path for path in shipped() if word.lower() in path.stem.lower()]
    if len(found) != 1:
        raise GraphError(f"{len(found)} shipped workflows have '{word}' in their names where one is due")
    return found[0]


def to_api(workflow: dict, object_info: dict) -> dict:
    """Returns {node id: {"class_type", "inputs", "_meta": {"title"}}} for the server's /prompt; a node in a subgraph
    has an id such as "6:2".

    object_info: the server's /object_info, which knows each node's inputs and their order. Raises GraphError.
    """
    definitions = {each["id"]: each for each in workflow.get("definitions", {}).get("subgraphs", ())}
    graph = {}
    for level in levels(Level("", workflow, definitions)):
        for node in level.nodes.values():
            kind = node["type"]
            if kind in NOTES or kind in definitions:
                continue
            if kind not in object_info:
                raise GraphError(
                    f"node {node['id']} ({kind}) is unknown to this ComfyUI: install the pack that it belongs to, or"
                    " update ComfyUI"
                )
            inputs = {**widget_values(node, object_info[kind]), **level.connected(node)}
            graph[f"{level.prefix}{node['id']}"] = {
                "class_type": kind,
                "inputs": inputs,
                "_meta": {"title": node.get("title", kind)},
            }
    return graph


@dataclass
class Level:
    """The nodes and links of a graph, or of a subgraph where the node `host` of the level `above` stands for it."""

    prefix: str
    graph: dict
    definitions: dict
    above: "Level | None" = None
    host: dict | None = None

    def __post_init__(self):
        self.nodes = {node["id"]: node for node in self.graph["nodes"]}
        links = (
            [link[k] for k in ("id", "origin_id", "origin_slot")] if isinstance(link, dict) else link
            for link in self.graph["links"]
        )
        self.links = {link[0]: (link[1], link[2]) for link in links}
        for node in self.nodes.values():
            if node["type"] not in NOTES and node.get("mode", 0) != 0:
                raise GraphError(
                    f"node {node['id']} ({node['type']}) is muted or bypassed: delete it from the workflow"
                )

    def inside(self, node: dict) -> "Level":
        return Level(f"{self.prefix}{node['id']}:", self.definitions[node["type"]], self.definitions, self, node)

    def connected(self, node: dict) -> dict:
        """{input: what is linked to it}, inputs without a link left out."""
        sources = {
            slot["name"]: self.source(slot["link"]) for slot in node.get("inputs", []) if slot.get("link") is not None
        }
        return {name: source for name, source in sources.items() if source is not None}

    def source(self, link: int):
        """[node id, output] at the other end of a link, through subgraphs; a number or text where a subgraph's widget
        gives one; or None.
        """
        origin, slot = self.links[link]
        if origin == INSIDE:
            given = self.host["inputs"][slot]
            return (
                widgets_of(self.host).get(given["name"])
                if given.get("link") is None
                else self.above.source(given["link"])
            )
        node = self.nodes[origin]
        if node["type"] not in self.definitions:
            return [f"{self.prefix}{origin}", slot]
        within = self.inside(node)
        return within.source(within.graph["outputs"][slot]["linkIds"][0])


def levels(level: Level):
    """A level and all below it."""
    yield level
    for node in level.nodes.values():
        if node["type"] in level.definitions:
            yield from levels(level.inside(node))


def widgets_of(host: dict) -> dict:
    """{name: value} of the widgets that a subgraph's node shows."""
    names = [slot["name"] for slot in host["inputs"] if slot.get("widget")]
    return dict(zip(names, host.get("widgets_values", ()), strict=True))


def widget_values(node: dict, info: dict) -> dict:
    """Names the values that the web page stores by position only, leaving out those of purely visual widgets."""
    names = []
    for name, spec in declared_inputs(info):
        kind, options = spec[0], spec[1] if len(spec) > 1 else {}
        if options.get("forceInput") or not (isinstance(kind, list) or kind in WIDGETS):
            continue
        names.append(name)
        if options.get("control_after_generate") or (kind == "INT" and name in ("seed", "noise_seed")):
            names.append(None)  # the widget "randomize after each run"
        if options.get("image_upload"):
            names.append(None)  # the upload button
    values = node.get("widgets_values", [])
    if len(values) != len(names):
        raise GraphError(
            f"node {node['id']} ({node['type']}) has {len(values)} widget values where {len(names)} are due: save the"
            " workflow again"
        )
    return {name: value for name, value in zip(names, values, strict=True) if name}


def declared_inputs(info: dict) -> list[tuple[str, list]]:
    """(name, specification) of every input in the order of the web page's widgets."""
    return [
        (name, info["input"][group][name])
        for group in ("required", "optional")
        for name in info["input_order"].get(group, [])
    ]


def titled(graph: dict, title: str) -> str:
    """The id of the one node with this title. Raises GraphError."""
    found = [node_id for node_id, node in graph.items() if node["_meta"]["title"] == title]
    if len(found) != 1:
        raise GraphError(f"the workflow has {len(found)} nodes titled '{title}' where one is due")
    return found[0]
