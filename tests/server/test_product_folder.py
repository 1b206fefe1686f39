"""A folder of products in one queue entry, up to the sampler: lists, what the gallery has already, files that can't be
used, and sentences for wrong input.
"""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reliable_ads.cyclic.gallery import Gallery
from reliable_ads.devtools.api_graph import node
from reliable_ads.devtools.client import GraphRefused
from reliable_ads.rfnet.cut_outs import endings

from .ads import PROMPTS, ad, cut_out, fails, jobs_of, pixels


def listing(where: Path, /, **changes) -> dict:
    """The folder and what the stock mechanism of lists makes of it: a placed product, a prompt, a caption and a seed
    per job.
    """
    place = {**ad()["product"]["inputs"], "image": ["folder", 0], "mask": ["folder", 1], "caption": ["folder", 2]}
    return {
        "folder": node(
            "RFProductFolder", **{"folder": where.name, "prompts": PROMPTS, "gallery": where.name, "seed": 3, **changes}
        ),
        "product": node("RFProduct", **place),
        "placed": node("PreviewImage", images=["product", 1]),
        "captions": node("PreviewAny", source=["folder", 2]),
        "prompts": node("PreviewAny", source=["folder", 3]),
        "seeds": node("PreviewAny", source=["folder", 4]),
        "summary": node("PreviewAny", source=["folder", 6]),
    }


def keep(gallery: Gallery, job) -> None:
    """What the sampler leaves of a job."""
    attempt = {
        "attempt": 1,
        "seed": job.seed,
        "label": "available",
        "probabilities": {"available": 0.9},
        "accepted": True,
        "dropped": False,
        "steps": 2,
    }
    gallery.keep(
        job,
        [Image.new("RGB", (64, 64))],
        {"accepted": True, "attempts": [attempt], "returned": 1, "usable": [1], "steps": 2, "seconds": 1.0},
    )


def gallery_of(base: Path, folder: Path) -> Gallery:
    return Gallery(base / "output" / folder.name)


def test_every_product_comes_with_every_prompt(client, base, folder):
    outputs = client.outputs(listing(folder))
    wanted = jobs_of(folder)
    assert outputs["captions"]["text"] == ["blue box", "blue box", "red box", "red box", "a tin of tea", "a tin of tea"]
    assert outputs["prompts"]["text"] == [
        "blue box on a table",
        "a beach",
        "red box on a table",
        "a beach",
        "a tin of tea on a table",
        "a beach",
    ]
    assert outputs["seeds"]["text"] == [str(job.seed) for job in wanted]
    assert len(outputs["placed"]["images"]) == 6
    summary = outputs["summary"]["text"]
    assert (
        len(summary) == 1
        and summary[0].startswith("0 of 6 are in the gallery, 6 to draw in this run.")
        and summary[0].endswith(f"Page: {gallery_of(base, folder).folder / 'index.html'}")
    )
    assert "connect the job output" in summary[0]
    assert (
        gallery_of(base, folder).keys == [job.key for job in wanted]
        and "still to do" in (gallery_of(base, folder).folder / "index.html").read_text()
    )


def test_products_are_placed_as_load_image_would_have_them(client, folder):
    client.upload("red_box.png", (folder / "red_box.png").read_bytes())
    graph = {
        name: made
        for name, made in ad(picture__image="red_box.png", product__caption="red box").items()
        if name in ("picture", "product")
    }
    for name, output in (("placed", 1), ("hint", 3)):
        graph[name] = node("PreviewImage", images=["product", output])
    alone = client.outputs(graph)
    together = {**listing(folder, prompts="x"), "hint": node("PreviewImage", images=["product", 3])}
    listed = client.outputs(together)
    for name in ("placed", "hint"):
        assert np.array_equal(pixels(client, alone[name]), pixels(client, listed[name], 1))  # blue-box, red_box, tin


def test_what_the_gallery_has_is_left_out(client, base, folder):
    client.outputs(listing(folder))
    gallery, wanted = gallery_of(base, folder), jobs_of(folder)
    for job in (wanted[0], wanted[3]):
        keep(gallery, job)
    outputs = client.outputs(listing(folder))  # the same graph: nothing of it may come from the server's cache
    assert outputs["prompts"]["text"] == [job.prompt for job in wanted if job not in (wanted[0], wanted[3])]
    assert outputs["summary"]["text"][0].startswith("2 of 6 are in the gallery, 4 to draw in this run.")
    (gallery.folder / "entries" / f"{wanted[0].key}.json").write_text("{torn")
    assert len(client.outputs(listing(folder))["placed"]["images"]) == 5


def test_nothing_left_to_do_ends_with_words_and_draws_nothing(client, base, folder):
    gallery = gallery_of(base, folder)
    for job in jobs_of(folder):
        keep(gallery, job)
    events = list(client.run(listing(folder)))
    outputs = client.history(client.prompt_id)["outputs"]
    assert events[-1].kind == "execution_success" and not [event for event in events if event.kind == "execution_error"]
    assert set(outputs) == {"folder", "summary"}
    for told in (
        outputs["folder"]["text"][0],
        outputs["summary"]["text"][0],
        *(event.data["text"] for event in events if event.kind == "progress_text"),
    ):
        assert told.startswith("All 6 are in the gallery, nothing is left to draw") and "index.html" in told


def test_no_more_than_asked_for_at_once(client, folder):
    outputs = client.outputs(listing(folder, at_most=2))
    assert outputs["captions"]["text"] == ["blue box", "blue box"]
    assert (
        "2 to draw in this run.\n4 more are left for later runs: queue again to go on." in outputs["summary"]["text"][0]
    )


def test_files_that_can_not_be_used_are_named_and_left_out(client, base, folder):
    (folder / "damaged.png").write_bytes((folder / "tin.png").read_bytes()[:300])
    cut_out().convert("RGB").save(folder / "photo.png")
    Image.new("RGBA", (200, 200)).save(folder / "nothing.png")
    Image.new("RGBA", (4, 4)).save(folder / "tiny.webp")
    (folder / "words.tif").write_text("not a picture")
    outputs = client.outputs(listing(folder))
    assert len(outputs["placed"]["images"]) == 6
    page = (gallery_of(base, folder).folder / "index.html").read_text()
    for name, reason in (
        ("damaged.png", "damaged or cut short"),
        ("photo.png", "fills its whole picture"),
        ("nothing.png", "is empty"),
        ("tiny.webp", "4x4"),
        ("words.tif", "not a picture"),
    ):
        line = next(
            line for line in outputs["summary"]["text"][0].splitlines() if line.startswith(f"Left out: {name}: ")
        )
        assert reason in line and f"<li><bdi>{name}</bdi>: " in page
    for job in jobs_of(folder):
        if job.file in ("blue-box.png", "red_box.png", "tin.png"):
            keep(gallery_of(base, folder), job)
    assert (
        "Left out: damaged.png" in client.outputs(listing(folder))["summary"]["text"][0]
    )  # and not an error, where the rest is done


def test_what_is_no_product_picture_is_named_and_hidden_files_are_passed_over(client, folder):
    for name in ("photo.jpg", "other.JPG", "list.heic", "._tin.png", "Thumbs.db"):
        (folder / name).write_bytes(b"not looked at")
    (folder / "bottles").mkdir()
    (folder / "tin.txt").write_bytes("罐".encode("gbk"))
    Image.fromarray(np.asarray(cut_out())).save(folder / "wide.avif" if ".avif" in endings() else folder / "wide.gif")
    outputs = client.outputs(listing(folder))
    lines = outputs["summary"]["text"][0].splitlines()
    assert (
        "Left out: 3 files of other kinds (.jpg, .heic), 1 sub-folder (bottles)." in lines
        and len(outputs["placed"]["images"]) == 6
    )
    assert any(
        line.startswith('Left out: tin.png: its caption "tin.txt" is not in UTF-8, line 1: save it as UTF-8')
        for line in lines
    )


def test_a_folder_of_nothing_but_broken_files(client, folder):
    for path in folder.glob("*.png"):
        path.write_bytes(b"nothing")
    message = fails(client, listing(folder))
    assert (
        message.startswith("none of the product pictures can be used") and '"tin.png": it is not a picture' in message
    )


def test_pictures_of_any_size_make_lists_that_fit_into_memory(client, folder):
    Image.fromarray(np.pad(np.full((1800, 900, 4), 255, np.uint8), ((600, 600), (300, 300), (0, 0)))).save(
        folder / "a_large_one.png"
    )
    graph = {
        **listing(folder, prompts="x"),
        "picture": node("PreviewImage", images=["folder", 0]),
        "cut": node("MaskToImage", mask=["folder", 1]),
    }
    graph["mask"] = node("PreviewImage", images=["cut", 0])
    outputs = client.outputs(graph)
    assert pixels(client, outputs["picture"]).shape == (1280, 640, 3)  # the product itself is 768 high
    mask = pixels(client, outputs["mask"])[..., 0]
    assert mask[0, 0] == 255 and mask[640, 320] == 0


@pytest.mark.parametrize(
    "changes, told",
    [
        ({"folder": ""}, "has no folder: write into"),
        ({"folder": "not_there"}, "can't be read (No such file or directory): give the path of a folder"),
        (
            {"folder": "."},
            (
                "holds no product pictures (such as .png, .webp, .tif or .avif): give a folder of cut-outs with"
                " transparency"
            ),
        ),
        ({"prompts": " \n\n"}, "has no prompt: write one per line"),
        ({"gallery": ""}, "can't name a gallery"),
        ({"gallery": "../elsewhere"}, "can't name a gallery"),
        ({"gallery": "/elsewhere"}, "can't name a gallery"),
        ({"gallery": ".."}, "can't name a gallery"),
    ],
)
def test_wrong_input_is_told_before_anything_is_drawn(client, base, folder, changes, told):
    if changes.get("folder") == ".":
        changes = {"folder": f"{folder.name}/empty"}
        (folder / "empty").mkdir()
    before = {path.name for path in (base / "output").iterdir()}
    graph = listing(folder, **changes)
    try:
        events = list(client.run(graph))
        assert told in events[-1].data["exception_message"] and events[-1].data["node_type"] == "RFProductFolder"
        assert not [event for event in events if event.kind == "executing" and event.node not in ("folder", None)]
    except GraphRefused as refusal:
        assert (
            told in str(refusal)
            and str(refusal).startswith("RFProductFolder (node folder)")
            and len(str(refusal).splitlines()) == 1
        )
    assert {path.name for path in (base / "output").iterdir()} == before


def test_a_gallery_that_can_not_be_written(client, base, folder):
    (base / "output" / folder.name).write_text("a file where the folder should be, as good as a full disk")
    assert "can't be written" in fails(client, listing(folder))


def test_a_path_as_it_is_copied_on_windows(client, folder):
    assert len(client.outputs(listing(folder, folder=f' "{folder}"\n'))["placed"]["images"]) == 6
