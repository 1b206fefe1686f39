"""A list of products through the cyclic sampler: one bar, a gallery, and what a killed server, a cancel and a full disk
cost.
"""

import json
import re
from pathlib import Path

import pytest

from reliable_ads.cyclic.gallery import Gallery, file_name
from reliable_ads.devtools.client import ComfyClient
from reliable_ads.devtools.comfy import ComfyServer

from .ads import ALWAYS, jobs_of
from .graphs import listed_ads


def pictures(gallery: Path) -> dict:
    return {path.name: path.read_bytes() for path in gallery.glob("*.png")}


def test_one_queue_entry_draws_them_all(client, base, folder):
    events = list(client.run(listed_ads(folder)))
    assert events[-1].kind == "execution_success"
    wanted = jobs_of(folder)
    gallery = Gallery(base / "output" / folder.name)
    assert gallery.to_do == [] and set(pictures(gallery.folder)) == {f"{file_name(job)}.png" for job in wanted}
    rows = [json.loads((gallery.folder / "entries" / f"{job.key}.json").read_text()) for job in wanted]
    assert [[attempt["seed"] for attempt in row["report"]["attempts"]] for row in rows] == [
        [job.seed, job.seed + 1] for job in wanted
    ]
    assert rows[0]["report"]["settings"]["cfg"] == 5.0

    texts = [event.data["text"] for event in events if event.kind == "progress_text" and event.node == "sampler"]
    heads = [re.match(r"product (\d)/6 · attempt (\d)/2 · ", text).groups() for text in texts]
    assert heads == [(str(product), str(attempt)) for product in range(1, 7) for attempt in (1, 1, 2)]
    bar = [
        (event.data["value"], event.data["max"])
        for event in events
        if event.kind == "progress" and event.node == "sampler"
    ]
    assert bar == sorted(bar) and bar[-1] == (24, 24) and {most for _, most in bar} <= {2, 24}

    outputs = client.history(client.prompt_id)["outputs"]
    assert len(outputs["save"]["images"]) == 6 and len(outputs["sampler"]["report"]) == 6
    assert set(client.outputs(listed_ads(folder))) == {"folder"}  # all is done: nothing is drawn or saved again


@pytest.mark.parametrize("ending", ["stop", "error"])
def test_a_product_without_an_accepted_picture_does_not_end_the_list(client, base, folder, ending):
    outputs = client.outputs(listed_ads(folder, sampler__on_exhausted=ending))
    gallery = Gallery(base / "output" / folder.name)
    assert (
        len(gallery.rows) == 6
        and gallery.to_do == []
        and not pictures(gallery.folder)
        and len(list((gallery.folder / "attempts").iterdir())) == 12
    )
    assert "save" not in outputs and len(outputs["sampler"]["report"]) == 6


def test_nan_in_every_attempt_does_not_end_the_list(client, base, folder, tmp_path):
    from .tiny_models import write_pocket

    write_pocket(
        base / "models" / "pocket" / "nan_list_sd.safetensors", tmp_path / "unused.safetensors", broken_decoder=True
    )
    client.outputs(listed_ads(folder, models__ckpt_name="nan_list_sd.safetensors"))
    gallery = Gallery(base / "output" / folder.name)
    assert len(gallery.rows) == 6 and "NaN" in (gallery.folder / "index.html").read_text()


def test_a_cancelled_list_goes_on(client, base, folder):
    gallery = base / "output" / folder.name
    for event in client.run(listed_ads(folder)):
        if event.kind == "progress_text" and event.data["text"].startswith("product 3/6 · attempt 2/2"):
            client.interrupt()
    before = pictures(gallery)
    assert event.kind == "execution_interrupted" and 2 <= len(before) < 6
    events = list(client.run(listed_ads(folder)))
    texts = [event.data["text"] for event in events if event.kind == "progress_text" and event.node == "sampler"]
    assert texts[0].startswith(f"product {len(before) + 1}/6 ") and texts[-1].startswith("product 6/6 ")
    assert before.items() <= pictures(gallery).items() and len(pictures(gallery)) == 6


def test_a_full_disk_ends_with_a_sentence_and_the_list_goes_on(client, base, folder):
    gallery = base / "output" / folder.name
    gallery.mkdir()
    (gallery / "attempts").write_text("a file where the folder should be, as good as a full disk")
    with pytest.raises(
        RuntimeError,
        match=r"the pictures of blue-box.png can't be kept .*: free some disk space and run the list again",
    ):
        client.outputs(listed_ads(folder))
    (gallery / "attempts").unlink()
    client.outputs(listed_ads(folder))
    assert Gallery(gallery).to_do == [] and len(pictures(gallery)) == 6


def test_a_disk_for_previews_that_fills_up_on_the_way_costs_nothing(client, base, folder):
    first = listed_ads(folder)
    first["folder"]["inputs"]["at_most"] = 1  # makes the folder for previews
    client.outputs(first)
    try:
        for event in client.run(listed_ads(folder)):
            if (
                event.kind == "progress_text"
                and event.data["text"].startswith("product 4/6 · attempt 1/2 · ")
                and (base / "temp").is_dir()
            ):
                (base / "temp").rename(base / "temp_away")
                (base / "temp").write_text("a file where the folder should be, as good as a full disk")
    finally:
        (base / "temp").unlink()
        (base / "temp_away").rename(base / "temp")
    assert event.kind == "execution_success" and len(client.history(client.prompt_id)["outputs"]["save"]["images"]) == 5
    assert Gallery(base / "output" / folder.name).to_do == []


def test_a_killed_server_loses_no_picture_and_draws_none_twice(base, folder):
    """Killed while it draws the third of six, then while it draws the fifth; started again, the list goes on."""
    gallery, drawn, before = base / "output" / folder.name, [], {}
    for kill_at in ("product 3/6 · attempt 1/2 · ", "product 5/6 · attempt 1/2 · ", None):
        with ComfyServer(base, base / "killed.log", ("--cpu",)) as server:
            client = ComfyClient(server.address, patience=120)
            try:
                for event in client.run(listed_ads(folder)):
                    text = (
                        event.data.get("text", "") if event.kind == "progress_text" and event.node == "sampler" else ""
                    )
                    if kill_at and text.startswith(kill_at) and "sampling" not in text:
                        server.process.kill()
                        server.process.wait()
                        break
            except OSError:
                pass  # the connection of a killed server
        there = pictures(gallery)
        assert before.items() <= there.items()  # byte for byte
        drawn.append(len(there) - len(before))
        before = there
        assert not list(gallery.rglob("*.partial"))
    assert drawn == [2, 2, 2]
    assert Gallery(gallery).to_do == [] and set(before) == {f"{file_name(job)}.png" for job in jobs_of(folder)}


def test_the_first_accepted_picture_is_the_one_that_is_kept(client, base, folder):
    client.outputs(listed_ads(folder, sampler__threshold=ALWAYS))
    rows = Gallery(base / "output" / folder.name).rows.values()
    assert [len(row.tried) for row in rows] == [1] * 6 and all(row.tried[0].accepted for row in rows)
