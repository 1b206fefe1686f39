"""The gallery: keys, what a stopped run goes on with, what damage and a full disk cost, and a page that shows it all
and says nothing that it shouldn't.
"""

import contextlib
import json
import os
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reliable_ads.cyclic.gallery import THUMBNAIL, Gallery, file_name, jobs
from reliable_ads.cyclic.loop import NoneAccepted, RecurrentRun, run
from reliable_ads.rfnet.cut_outs import read_folder
from reliable_ads.rfnet.files import plain
from reliable_ads.rfnet.labels import MEANING
from reliable_ads.rfnet.pictures import PictureError, cut_outs

from .rfnet_examples import bottle_rgba

PROMPTS = ["{caption} on a table", "{caption} on a beach"]


def products(folder: Path, count=2) -> list:
    """Product pictures that differ in one pixel, [(path, caption)]."""
    folder.mkdir(exist_ok=True)
    for number in range(count):
        rgba = bottle_rgba()
        rgba[30, 20, 0] = number
        Image.fromarray(rgba, "RGBA").save(folder / f"red_mug-{number}.png")
    return cut_outs(folder)


def drawn(job, scores=(0.1, 0.8), label="size_mismatch", size=(300, 200), on_exhausted="best", **limits):
    """(pictures, report) of a real run of the loop, whose attempts get these probabilities of being available."""

    def generate(index, seed, check):
        check(1, 1, lambda: None)
        return torch.full((3, *size[::-1]), index / 10), None

    def review(image):
        p = scores[round(float(image[0, 0, 0]) * 10)]
        return {
            "label": "available" if p >= 0.5 else label,
            "probabilities": {"available": p, label: 1 - p},
            "accepted": p >= 0.5,
        }

    result = run(generate, review, job.seed, len(scores), on_exhausted, **limits)
    return [Image.new("RGB", size, (20 * attempt.index, 90, 90)) for attempt in result.attempts], result.report()


@pytest.fixture
def listed(tmp_path):
    return jobs(products(tmp_path / "products"), PROMPTS, seed=5)[0]


@pytest.fixture
def gallery(tmp_path, listed):
    gallery = Gallery(tmp_path / "gallery")
    gallery.begin(listed, {})
    return gallery


def files(folder: Path) -> dict:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# the list


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
    assert plain(file_name(job)) and re.fullmatch("[0-9a-f]{16}", job.key) and 0 <= job.seed < 2**64
    assert (tmp_path / f"{file_name(job)}.png").resolve().parent == tmp_path.resolve()
    (job.caption + job.prompt).encode("utf-8")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "a\\b", "C:x", ".hidden", "x.", " x", "a\nb", "a\0b", "x" * 300, "\ud800"]
)
def test_names_that_are_not_plain(name):
    assert not plain(name)


# keeping


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


# damage


def kept_writes(gallery, job) -> list:
    """What keep() leaves behind when the process is killed before its 1st, 2nd, ... write, by name."""
    return [
        f"{file_name(job)}.png",
        f"attempts/{job.key}-1.jpeg",
        f"attempts/{job.key}-2.jpeg",
        f"entries/{job.key}.json",
        "index.html",
    ]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("writes", range(6))
def test_killed_between_any_two_writes(gallery, listed, monkeypatch, writes):
    gallery.keep(listed[0], *drawn(listed[0]))
    before, replace, left = files(gallery.folder), os.replace, [writes]

    def dying(source, target):
        if not left[0]:
            raise Killed
        left[0] -= 1
        replace(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", dying)
        with contextlib.suppress(Killed):
            gallery.keep(listed[1], *drawn(listed[1]))

    there = files(gallery.folder)
    assert {name: there[name] for name in before if name != "index.html"} == {
        name: before[name] for name in before if name != "index.html"
    }
    assert set(there) - set(before) == set(kept_writes(gallery, listed[1])[:writes]) - {"index.html"}
    again = Gallery(gallery.folder)
    assert again.done(listed[0]) and again.done(listed[1]) == (writes >= 4)
    again.begin(listed, {})
    if not again.done(listed[1]):
        again.keep(listed[1], *drawn(listed[1]))
    whole = files(gallery.folder)
    assert (
        set(whole) == set(before) | set(kept_writes(gallery, listed[1]))
        and whole[f"{file_name(listed[0])}.png"] == before[f"{file_name(listed[0])}.png"]
    )


def test_what_a_killed_write_left_is_cleared_away(gallery, listed):
    old, young = gallery.folder / "attempts" / "x.jpeg.77.partial", gallery.folder / "y.png.78.partial"
    old.parent.mkdir()
    old.write_bytes(b"half")
    os.utime(old, (0, 0))
    young.write_bytes(b"another process is writing it")
    gallery.begin(listed, {})
    assert not old.exists() and young.exists()


@pytest.mark.parametrize(
    "damage",
    [b"", b"{", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b'{"key": 3}'],
    ids=["empty", "torn", "no text", "list", "null", "deep", "other"],
)
def test_a_damaged_row_costs_its_job_only(gallery, listed, damage):
    for job in listed[:2]:
        gallery.keep(job, *drawn(job))
    (gallery.folder / "entries" / f"{listed[0].key}.json").write_bytes(damage)
    (gallery.folder / "list.json").write_bytes(damage)
    again = Gallery(gallery.folder)
    assert not again.done(listed[0]) and again.done(listed[1]) and again.page().is_file()
    again.begin(listed, {})
    again.keep(listed[0], *drawn(listed[0]))
    assert Gallery(gallery.folder).rows == again.rows and len(again.rows) == 2


def test_a_row_of_another_job_is_no_row(gallery, listed):
    gallery.keep(listed[0], *drawn(listed[0]))
    row = gallery.folder / "entries" / f"{listed[0].key}.json"
    row.rename(row.with_name(f"{listed[1].key}.json"))
    assert Gallery(gallery.folder).rows == {}


def test_a_picture_that_is_gone_or_cut_short_is_drawn_again(gallery, listed):
    for job in listed[:3]:
        gallery.keep(job, *drawn(job))
    (gallery.folder / f"{file_name(listed[0])}.png").unlink()
    half = gallery.folder / f"{file_name(listed[1])}.png"
    half.write_bytes(half.read_bytes()[:-100])
    again = Gallery(gallery.folder)
    assert [again.done(job) for job in listed] == [False, False, True, False] and len(again.to_do) == 3


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda some: st.lists(some, max_size=3) | st.dictionaries(st.text(max_size=5), some, max_size=3),
    ),
    st.data(),
)
@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_anywhere_in_a_row_is_survived(gallery, listed, value, data):
    path = gallery.folder / "entries" / f"{listed[0].key}.json"
    if not gallery.rows:
        gallery.keep(listed[0], *drawn(listed[0]))
        path.rename(path.with_suffix(".good"))
    row = json.loads(path.with_suffix(".good").read_text())
    where = data.draw(
        st.sampled_from(
            [row, row["report"], row["report"]["attempts"][0], row["report"]["attempts"][0]["probabilities"]]
        )
    )
    where[data.draw(st.sampled_from(sorted(where)))] = value
    path.write_text(json.dumps(row))
    again = Gallery(gallery.folder)
    assert set(again.rows) <= {listed[0].key}
    check_page(again.page())


def test_a_picture_that_somebody_retouched_stays(gallery, listed):
    gallery.keep(listed[0], *drawn(listed[0]))
    path = gallery.folder / f"{file_name(listed[0])}.png"
    Image.new("RGB", (999, 20)).save(path)
    assert Gallery(gallery.folder).done(listed[0]) and not Gallery(gallery.folder).done(listed[1])


def test_a_row_can_not_lead_out_of_its_folder(gallery, listed):
    gallery.keep(listed[0], *drawn(listed[0]))
    path = gallery.folder / "entries" / f"{listed[0].key}.json"
    for name, value in (("pictures", ["../../secret.png"]), ("thumbnails", ["/etc/passwd", "x.jpeg"])):
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
        assert Gallery(gallery.folder).rows == {}


# a full disk


def test_a_full_disk_ends_it_with_a_sentence_and_the_list_goes_on(gallery, listed, monkeypatch):
    gallery.keep(listed[0], *drawn(listed[0]))
    before, fsync = files(gallery.folder), os.fsync
    for room in range(4):  # files that still fit
        left = [room]

        def full(number, left=left):
            if not left[0]:
                raise OSError(28, "No space left on device")
            left[0] -= 1
            fsync(number)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", full)
            with pytest.raises(
                OSError,
                match=(
                    r"red_mug-0.png can't be kept .*No space left on device.*: free some disk space and run the list"
                    " again"
                ),
            ):
                gallery.keep(listed[1], *drawn(listed[1]))
        there = files(gallery.folder)
        assert before.items() <= there.items() and not [name for name in there if name.endswith(".partial")]
        assert not gallery.done(listed[1]) and not Gallery(gallery.folder).done(listed[1])
    gallery.keep(listed[1], *drawn(listed[1]))
    assert Gallery(gallery.folder).done(listed[1])


def test_a_disk_too_full_for_the_page_alone_costs_nothing(gallery, listed, monkeypatch, caplog):
    replace = os.replace

    def refuse(source, target):
        if str(target).endswith("index.html"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)
    gallery.keep(listed[0], *drawn(listed[0]))
    assert Gallery(gallery.folder).done(listed[0]) and "the next run writes it" in caplog.text


def test_a_gallery_that_can_not_be_written_is_refused_at_the_start(tmp_path, listed):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(OSError, match=r"can't be written .*: free some disk space, or choose another gallery"):
        Gallery(tmp_path / "taken").begin(listed, {})


# the page


class Links(HTMLParser):
    """Everything that a page points to, and its tags."""

    def __init__(self, text):
        super().__init__()
        self.links, self.tags, self.words = [], set(), []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        self.links += [value for name, value in attributes if name in ("href", "src")]
        assert not [name for name, _ in attributes if name.startswith("on")]

    def handle_data(self, data):
        self.words.append(data)


def check_page(path: Path) -> Links:
    """Parses; points only at files below its own folder; runs and loads nothing."""
    text = path.read_text(encoding="utf-8")
    page = Links(text)
    assert (
        not page.tags & {"script", "link", "iframe", "object", "embed", "form", "base"}
        and "url(" not in text
        and "@import" not in text
    )
    for link in page.links:
        assert (
            re.fullmatch(r"[\w%.~/-]+", link)
            and path.parent.resolve() in (path.parent / unquote(link)).resolve().parents
        )
    return page


def test_the_page_shows_it_all(gallery, listed):
    gallery.keep(listed[0], *drawn(listed[0]))
    gallery.keep(listed[1], *drawn(listed[1], (0.1, 0.2, 0.3), "space_mismatch"))
    gallery.begin(listed, {"broken <b>.png": "it is damaged & cut short."})
    page = check_page(gallery.page())
    words = " ".join(page.words)
    for link in page.links:
        assert (gallery.folder / unquote(link)).is_file()
    for expected in (
        "✓ Accepted",
        "✗ Not accepted in 3 attempts",
        "red mug 0 on a beach",
        f"seed {listed[0].seed + 1}",
        "2 attempts · 2 steps · 0.",
        "broken <b>.png",
        ": it is damaged & cut short.",
        MEANING["space_mismatch"][:-1] + " (70 %).",
        MEANING["available"][:-1] + " (80 %).",
    ):
        assert expected in words, expected
    totals = dict(
        zip(
            re.findall("<dt>(.*?)</dt>", gallery.page().read_text()),
            re.findall("<dd>(.*?)</dd>", gallery.page().read_text()),
        )
    )
    assert (
        totals["still to do"] == "2"
        and totals["attempts per accepted picture"] == "5.0"
        and totals["steps per accepted picture"] == "5.0"
        and totals["of them accepted"] == "1 (50 %)"
    )


def test_an_empty_album_has_a_page(gallery):
    check_page(gallery.page())


def test_lines_are_in_the_order_of_the_list(gallery, listed):
    for job in reversed(listed):
        gallery.keep(job, *drawn(job))
    assert re.findall('id="([0-9a-f]{16})"', gallery.page().read_text()) == [job.key for job in listed]
    gallery.begin(listed[2:], {})
    assert re.findall('id="([0-9a-f]{16})"', gallery.page().read_text())[:2] == [job.key for job in listed[2:]]


NASTY = "<script>alert(1)</script> \"' onload=x & %2e%2e/ \x00 javascript:"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_words_are_shown_as_words(tmp_path, file, caption, prompt):
    path = next(tmp_path.glob("*.png"), None) or products(tmp_path, 1)[0][0]
    for name, text, line in ((file or "x", caption, prompt), (NASTY, NASTY, NASTY)):
        job = jobs([(path, text)], [line])[0][0]
        job = type(job)(job.key, path, name, job.caption, job.prompt, job.seed)
        gallery = Gallery(tmp_path / "gallery")
        gallery.begin([job], {name: text})
        gallery.keep(job, *drawn(job, (0.1,), size=(32, 32)))
        page = check_page(gallery.page())
        assert page.tags <= {
            "html",
            "head",
            "meta",
            "title",
            "style",
            "body",
            "h1",
            "h2",
            "dl",
            "dt",
            "dd",
            "div",
            "ul",
            "li",
            "ol",
            "p",
            "article",
            "a",
            "img",
            "span",
            "bdi",
        }
        assert (gallery.folder / f"{file_name(job)}.png").is_file()
