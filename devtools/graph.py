"""From the graph that the web page saves to the one that the server's HTTP API takes.

The web page does this conversion in the browser. A headless client has to do it too, or ship every workflow twice. Covered are
the things that the shipped workflows use: nodes, links, widgets, notes. Anything else is refused by name, not passed over.
"""

import json
from pathlib import Path

NOTES = {"Note", "MarkdownNote"}
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}


class GraphError(ValueError):
    """A workflow that cannot be turned into an API graph; the text names the node and what to do."""


def load(path: Path) -> dict:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def to_api(workflow: dict, object_info: dict) -> dict:
    """Returns {node id: {"class_type", "inputs", "_meta": {"title"}}} for the server's /prompt.

    object_info: the server's /object_info, which knows each node's inputs and their order. Raises GraphError.
    """
    links = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph = {}
    for node in workflow["nodes"]:
        kind = node["type"]
        if kind in NOTES:
            continue
        if node.get("mode", 0) != 0:
            raise GraphError(f"node {node['id']} ({kind}) is muted or bypassed: delete it from the workflow")
        if kind not in object_info:
            raise GraphError(f"node {node['id']} ({kind}) is unknown to this ComfyUI: install the pack that it belongs to, or update ComfyUI")
        connected = {slot["name"]: links[slot["link"]] for slot in node.get("inputs", []) if slot.get("link") is not None}
        inputs = {**widget_values(node, object_info[kind]), **connected}
        graph[str(node["id"])] = {"class_type": kind, "inputs": inputs, "_meta": {"title": node.get("title", kind)}}
    return graph


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
        raise GraphError(f"node {node['id']} ({node['type']}) has {len(values)} widget values where {len(names)} are due: save the workflow again")
    return {name: value for name, value in zip(names, values, strict=True) if name}


def declared_inputs(info: dict) -> list[tuple[str, list]]:
    """(name, specification) of every input in the order of the web page's widgets."""
    return [(name, info["input"][group][name]) for group in ("required", "optional") for name in info["input_order"].get(group, [])]


def titled(graph: dict, title: str) -> str:
    """The id of the one node with this title. Raises GraphError."""
    found = [node_id for node_id, node in graph.items() if node["_meta"]["title"] == title]
    if len(found) != 1:
        raise GraphError(f"the workflow has {len(found)} nodes titled '{title}' where one is due")
    return found[0]
