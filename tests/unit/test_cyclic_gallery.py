"""The gallery: keys, what a stopped run goes on with, what damage and a full disk cost, and a page that shows it all
and says nothing that it shouldn't.
"""

import json
import re

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reliable_ads.cyclic.gallery import THUMBNAIL, Gallery, file_name, jobs
from reliable_ads.cyclic.loop import NoneAccepted, RecurrentRun, run
from reliable_ads.rfnet.cut_outs import read_folder
from reliable_ads.rfnet.files import is_safe_name
from reliable_ads.rfnet.pictures import PictureError, cut_outs

from .gallery_examples import PROMPTS, drawn, files, products
from .rfnet_examples import bottle_rgba


def test_captions_lie_beside_the_pictures(tmp_path):
    products(tmp_path)
    (tmp_path / "red_mug-1.txt").write_text("\ufeffein  blauer\nBecher ", encoding="utf-8")
    (tmp_path / "notes.md").write_text("no picture")
    (tmp_path / "._red_mug-1.png").write_bytes(b"what macOS leaves")
    assert cut_outs(tmp_path) == [
        (tmp_path / "red_mug-0.png", "red mug 0"),
        (tmp_path / "red_mug-1.png", "ein blauer Becher"),
    ]


def test_a_caption_in_another_encoding_leaves_its_picture_out_and_says_so(tmp_path):
    products(tmp_path, 2)
    (tmp_path / "red_mug-0.txt").write_bytes("ein Körbchen".encode("latin-1"))
    found = read_folder(tmp_path)
    assert [path.name for path, _ in found.items] == ["red_mug-1.png"]
    assert "red_mug-0.txt" in found.broken["red_mug-0.png"] and "save it as UTF-8" in found.broken["red_mug-0.png"]


def test_no_folder_and_no_products(tmp_path):
    with pytest.raises(PictureError, match=r"can't be read .*: give the path of a folder"):
        cut_outs(tmp_path / "nowhere")
    with pytest.raises(PictureError, match="holds no product pictures"):
        cut_outs(tmp_path)


def test_every_product_with_every_prompt(listed):
    assert [(job.file, job.prompt) for job in listed] == [
        (f"red_mug-{number}.png", f"red mug {number} on a {place}")
        for number in range(2)
        for place in ("table", "beach")
    ]
    assert len({job.key for job in listed}) == len({job.seed for job in listed}) == 4


def test_keys_and_seeds_depend_on_nothing_else_in_the_list(tmp_path, listed):
    moved = tmp_path / "elsewhere"
    (tmp_path / "products").rename(moved)
    Image.fromarray(bottle_rgba(50), "RGBA").save(moved / "a_new_one.png")
    again = {job.key: job for job in jobs(cut_outs(moved), [*reversed(PROMPTS), "another"], seed=5)[0]}
    assert len(again) == 9 and all(again[job.key].seed == job.seed for job in listed)
    other = jobs(cut_outs(moved), PROMPTS, seed=6)[0]
    assert {job.key for job in listed} <= {job.key for job in other} and not {job.seed for job in listed} & {
        job.seed for job in other
    }


def test_the_same_twice_is_one_job(tmp_path):
    path, caption = products(tmp_path, 1)[0]
    assert len(jobs([(path, caption)] * 2, ["a", "a", "{caption}", caption])[0]) == 2


def test_a_file_that_is_gone_is_named(tmp_path):
    found, unreadable = jobs([*products(tmp_path, 1), (tmp_path / "gone.png", "gone")], ["a"])
    assert len(found) == 1 and list(unreadable) == ["gone.png"] and "check the file" in unreadable["gone.png"]


@given(st.text(max_size=60), st.text(max_size=60), st.text(max_size=60), st.integers(0, 2**64 - 1))
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_make_plain_names(tmp_path, file, caption, prompt, seed):
    path = next(tmp_path.glob("*.png"), None) or products(tmp_path, 1)[0][0]
    job = jobs([(path, caption)], [prompt + "\ud800"], seed)[0][0]
    job = type(job)(job.key, path, file or "x", job.caption, job.prompt, job.seed)
    assert is_safe_name(file_name(job)) and re.fullmatch("[0-9a-f]{16}", job.key) and 0 <= job.seed < 2**64
    assert (tmp_path / f"{file_name(job)}.png").resolve().parent == tmp_path.resolve()
    (job.caption + job.prompt).encode("utf-8")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "C:x", ".hidden", "x.", " x", "a\nb", "a\0b", "x" * 300, "\ud800"]
)
def test_names_that_are_not_plain(name):
    assert not is_safe_name(name)


def test_a_run_is_kept(gallery, listed):
    job = listed[0]
    pictures, report = drawn(job)
    gallery.keep(job, pictures, {**report, "settings": {"steps": 20}})

    assert (
        gallery.done(job) and [gallery.done(other) for other in listed[1:]] == [False] * 3 and len(gallery.to_do) == 3
    )
    kept = files(gallery.folder)
    assert set(kept) == {
        f"red_mug-0-{job.key}.png",
        f"attempts/{job.key}-1.jpeg",
        f"attempts/{job.key}-2.jpeg",
        f"entries/{job.key}.json",
        "index.html",
        "list.json",
    }
    with (
        Image.open(gallery.folder / f"red_mug-0-{job.key}.png") as picture,
        Image.open(gallery.folder / f"attempts/{job.key}-1.jpeg") as small,
    ):
        assert picture.tobytes() == pictures[1].tobytes() and max(small.size) == THUMBNAIL
    row = json.loads(kept[f"entries/{job.key}.json"])
    assert (
        row["report"]["settings"] == {"steps": 20}
        and row["prompt"] == "red mug 0 on a table"
        and row["report"]["attempts"][1]["seed"] == job.seed + 1
    )


def test_the_page_says_which_opinion_decided_and_which_picture_is_unlike_all_others(gallery, listed):
    pictures, report = drawn(listed[0])
    report["attempts"][0] |= {"decided_by": "contact", "unfamiliar": True}
    gallery.keep(listed[0], pictures, report)
    page = (gallery.folder / "index.html").read_text(encoding="utf-8")
    assert page.count(", says contact.") == 2 and page.count("Unfamiliar picture: label a few.") == 2  # shown and alt


def test_several_accepted_pictures_and_none(gallery, listed):
    gallery.keep(listed[0], *drawn(listed[0], (0.6, 0.1, 0.9), usable=2))
    gallery.keep(listed[1], *drawn(listed[1], (0.1, 0.4, 0.2)))
    gallery.keep(listed[2], *drawn(listed[2], (0.1, 0.4), on_exhausted="stop"))
    with pytest.raises(NoneAccepted) as failure:
        drawn(listed[3], (0.1,), on_exhausted="error")
    gallery.keep(listed[3], [Image.new("RGB", (8, 8))], failure.value.run.report())
    names = {name for name in files(gallery.folder) if name.endswith(".png")}
    assert names == {f"{file_name(listed[0])}.png", f"{file_name(listed[0])}-2.png", f"{file_name(listed[1])}.png"}
    again = Gallery(gallery.folder)
    assert all(again.done(job) for job in listed) and again.rows == gallery.rows and again.to_do == []


def test_a_batch_is_kept_with_one_result_of_each_picture(gallery, listed):
    def generate(index, seed, check):
        return torch.zeros(3, 8, 8), None

    def review(p):
        label = "available" if p > 0.5 else "size_mismatch"
        return lambda image: {"label": label, "probabilities": {label: 0.9}, "accepted": p > 0.5}

    whole = RecurrentRun.joined([run(generate, review(p), 7, 2) for p in (0.1, 0.9)])
    gallery.keep(listed[0], [Image.new("RGB", (8, 8), (80 * number, 9, 9)) for number in range(3)], whole.report())
    names = [f"{file_name(listed[0])}.png", f"{file_name(listed[0])}-2.png"]
    assert [Image.open(gallery.folder / name).getpixel((0, 0))[0] for name in names] == [0, 160]
    assert gallery.rows[listed[0].key].returned == 0 and Gallery(gallery.folder).rows == gallery.rows
    page = (gallery.folder / "index.html").read_text()
    assert "✓ 1 of 2 pictures accepted" in page and 'class="bad" href' in page  # the first picture is the rejected one


def test_pictures_and_attempts_must_agree(gallery, listed):
    pictures, report = drawn(listed[0])
    with pytest.raises(ValueError, match="1 pictures for 2 attempts"):
        gallery.keep(listed[0], pictures[:1], report)


def test_a_stopped_run_goes_on_where_it_was(gallery, listed):
    """Every job is drawn once over three runs that stop, and nothing that was kept is touched."""
    drawn_ones = []
    for stop_after in (1, 2, 9):
        again = Gallery(gallery.folder)
        again.begin(listed, {})
        before = {
            name: content for name, content in files(gallery.folder).items() if name not in ("index.html", "list.json")
        }
        for job in [job for job in listed if not again.done(job)][:stop_after]:
            drawn_ones.append(job.key)
            again.keep(job, *drawn(job))
        assert before.items() <= files(gallery.folder).items()
    assert drawn_ones == [job.key for job in listed]
