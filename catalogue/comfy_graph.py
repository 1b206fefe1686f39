"""A graph in ComfyUI's API format with RF Product Folder in it, and the same graph for one job of a catalogue."""

from __future__ import annotations

import copy
from pathlib import Path

from ..rfnet.files import quoted
from ..rfnet.structured import parse_json
from ..rfnet.textfiles import read_text
from .rows import CatalogueError, Job

FOLDER, SAMPLERS = "RFProductFolder", ("RFCyclicSampler", "RFCyclicSamplerAdvanced")
IMAGE, MASK, CAPTION, PROMPT, SEED, JOB, SUMMARY = range(7)  # RF Product Folder's outputs
LIMIT = 16 << 20  # bytes
LOADER = "catalogue_picture"  # the node that takes RF Product Folder's place


class ComfyGraph:
    """nodes: {id: {"class_type", "inputs"}}; folder, sampler: the ids of RF Product Folder and RF Cyclic Sampler."""

    def __init__(self, nodes: dict, name: str):
        self.nodes, self.name = nodes, name
        self.folder = self._one((FOLDER,), "RF Product Folder")
        self.sampler = self._one(SAMPLERS, "RF Cyclic Sampler")
        if not any(link == [self.folder, IMAGE] for _, _, link in self._links()):
            raise CatalogueError(f"{name}: nothing takes RF Product Folder's image: connect it to RF Product.")

    @classmethod
    def read(cls, path) -> ComfyGraph:
        """Raises CatalogueError on what is no such graph."""
        name = quoted(Path(path).name)
        try:
            nodes = parse_json(read_text(path, LIMIT), "it")
        except ValueError as error:
            raise CatalogueError(f"the graph {name} can't be read ({error}): export it again.") from error
        if isinstance(nodes, dict) and isinstance(nodes.get("nodes"), list):
            raise CatalogueError(f"{name} is a workflow as ComfyUI's page saves it: use Export (API) in its menu.")
        whole = isinstance(nodes, dict) and all(
            isinstance(node, dict) and isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)
            for node in nodes.values()
        )
        if not whole or not nodes:
            raise CatalogueError(f"{name} is no graph in API format: use Export (API) in ComfyUI's menu.")
        return cls(nodes, name)

    def for_job(self, job: Job, picture: str) -> dict:
        """The graph that draws one job. picture: the name of its product among the server's inputs."""
        instead = {
            IMAGE: [LOADER, 0],
            MASK: [LOADER, 1],
            CAPTION: job.caption,
            PROMPT: job.prompt,
            SEED: job.seed,
            SUMMARY: f"{job.id}: {job.caption}",
        }
        nodes = copy.deepcopy(self.nodes)
        for node, name, link in self._links():
            if link[1] in instead:
                nodes[node]["inputs"][name] = instead[link[1]]
            else:  # its gallery is this catalogue's manifest
                del nodes[node]["inputs"][name]
        del nodes[self.folder]
        return nodes | {LOADER: {"class_type": "LoadImage", "inputs": {"image": picture}}}

    def faults(self, known: dict) -> list[str]:
        """Why a server that knows these nodes (its /object_info) can't run it, a sentence each."""
        told = []
        for node in self.nodes.values():
            kind = node["class_type"]
            if kind not in known:
                told.append(f"it has no node {kind}")
                continue
            asked = {**known[kind]["input"].get("required", {}), **known[kind]["input"].get("optional", {})}
            for name, value in node["inputs"].items():
                options = options_of(asked.get(name))
                if isinstance(value, str) and options and value not in options:
                    told.append(f'{kind} offers no "{value[:60]}" as {name}')
        return told

    def _one(self, kinds: tuple, name: str) -> str:
        found = [id_ for id_, node in self.nodes.items() if node["class_type"] in kinds]
        if len(found) != 1:
            raise CatalogueError(f"{self.name} has {len(found)} nodes {name}: it must have one.")
        return found[0]

    def _links(self) -> list[tuple[str, str, list]]:
        """(node, input, link) of all that RF Product Folder feeds."""
        return [
            (id_, name, value)
            for id_, node in self.nodes.items()
            for name, value in node["inputs"].items()
            if isinstance(value, list) and len(value) == 2 and value[0] == self.folder
        ]


def options_of(asked) -> list:
    """What a combo offers, of an input in /object_info; [] for others."""
    if not isinstance(asked, list) or not asked:
        return []
    if isinstance(asked[0], list):
        return asked[0]
    about = asked[1] if len(asked) > 1 and isinstance(asked[1], dict) else {}
    return about.get("options", []) if asked[0] == "COMBO" else []
