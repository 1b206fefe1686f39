"""A gallery survives kills between any two writes, damaged rows, lost pictures and a full disk."""

import contextlib
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from reliable_ads.cyclic.gallery import Gallery, file_name

from .gallery_examples import check_page, drawn, files


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
