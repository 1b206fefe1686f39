"""Which folders a graph may read: ComfyUI's own, and those that the server's owner lists; wherever links lead."""

import os
import shutil

import pytest

from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import GraphRefused

from .ads import CHECKPOINT, CONTROLNET, REVIEWER, cut_out

LIST = "reliable_ads_folders.txt"


@pytest.fixture
def elsewhere(tmp_path):
    """A folder of one product that lies nowhere near ComfyUI."""
    folder = tmp_path / "my shop"
    folder.mkdir()
    cut_out().save(folder / "box.png")
    return folder


@pytest.fixture
def listing(base):
    """Writes the owner's list, and takes it away again."""
    yield lambda text: (base / LIST).write_text(text, encoding="utf-8")
    (base / LIST).unlink(missing_ok=True)


def folder_graph(folder, gallery: str) -> dict:
    return {
        "folder": node("RFProductFolder", folder=str(folder), prompts="a table", gallery=gallery, seed=1),
        "show": node("PreviewAny", source=["folder", 6]),
    }


def train_graph(folder) -> dict:
    settings = {
        "steps": 1,
        "learning_rate": 1e-4,
        "loss": "KL",
        "beta": 0.05,
        "training_seed": 0,
        "prompts": "a table",
        "result_name": "roots",
    }
    return {
        "train": node(
            "RFTrainer",
            ckpt_name=CHECKPOINT,
            control_net_name=CONTROLNET,
            reviewer_name=REVIEWER,
            folder=str(folder),
            **settings,
        )
    }


def says(client, graph) -> str:
    with pytest.raises(GraphRefused) as refusal:
        client.queue(graph)
    return str(refusal.value)


@pytest.mark.parametrize(
    "named",
    [
        "{elsewhere}",
        "{base}",
        "{base}/user",
        "..",
        "../../..",
        "/",
        "~",
        "/etc",
        "\\\\evil\\share",
        "//evil/share",
        "C:\\Windows",
        "x\0y",
        "a" * 5000,
    ],
)
def test_a_graph_reads_nowhere_else(client, base, elsewhere, named):
    named = named.format(elsewhere=elsewhere, base=base)
    for graph, about in (
        (folder_graph(named, "roots_none"), "RF Product Folder"),
        (train_graph(named), "RF Train ControlNet"),
    ):
        if os.name == "posix" and named in (
            "C:\\Windows",
            "\\\\evil\\share",
        ):  # there a name like any other, of a folder below input that isn't there
            continue
        message = says(client, graph)
        named_so = "may not read" in message and LIST in message and about in message
        assert named_so or "holds an invalid character" in message, message
        assert len(message) < 700 and "Traceback" not in message


def test_a_link_that_leads_out_is_not_followed(client, base, elsewhere):
    link = base / "input" / "leads_out"
    link.symlink_to(elsewhere)
    try:
        assert "may not read" in says(client, folder_graph("leads_out", "roots_link"))
    finally:
        link.unlink()


def test_a_folder_that_the_owner_lists_is_read_and_none_beside_it(client, elsewhere, listing):
    listing(f'\ufeff# my shops\n\n  "{elsewhere}"  \n')
    assert (
        "0 of 1 are in the gallery, 1 to draw"
        in client.outputs(folder_graph(elsewhere, "roots_listed"))["show"]["text"][0]
    )
    assert "may not read" in says(client, folder_graph(elsewhere.parent, "roots_beside"))
    assert "may not read" in says(client, folder_graph(f"{elsewhere}2", "roots_beside"))


@pytest.mark.parametrize("where", ["input", "output", "models"])
def test_comfyuis_own_folders_are_read(client, base, elsewhere, where):
    there = base / where / "roots_own"
    shutil.copytree(elsewhere, there)
    named = there.name if where == "input" else str(there)
    assert "1 to draw" in client.outputs(folder_graph(named, f"roots_{where}"))["show"]["text"][0]
    shutil.rmtree(there)


def test_a_list_that_is_no_text_lists_nothing(client, base, elsewhere):
    try:
        (base / LIST).write_bytes(b"\xff\xfe\x00\x01")
        assert "may not read" in says(client, folder_graph(elsewhere, "roots_broken"))
    finally:
        (base / LIST).unlink()
