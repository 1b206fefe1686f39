"""The gallery's page shows everything, and words of any kind as words."""

import re
from urllib.parse import unquote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reliable_ads.cyclic.gallery import Gallery, file_name, jobs
from reliable_ads.rfnet.labels import MEANING

from .gallery_examples import check_page, drawn, products


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


def test_a_picture_that_a_risk_is_not_certified_for_says_so(gallery, listed):
    for job, holds in zip(listed, (True, False, None)):
        pictures, report = drawn(job)
        report["certificate"] = {"threshold": 0.5, "certified_for_this_painter": holds}
        gallery.keep(job, pictures, report)
    pictures, report = drawn(listed[3])
    gallery.keep(listed[3], pictures, {**report, "certificate": {"threshold": 0.5}})  # of before it named a painter
    page = gallery.page().read_text()
    assert page.count("<p>Not certified for this painter</p>") == 2
    assert page.count("<p>Painter unknown, so not certified</p>") == 1
    assert "<dt>accepted, but not certified</dt><dd>3</dd>" in page
    assert not Gallery(gallery.folder).rows[listed[0].key].doubtful


def test_an_accepted_picture_is_fit_to_publish_whatever_is_likeliest(gallery, listed):
    """A threshold below one half accepts pictures whose likeliest label is a defect."""
    pictures, report = drawn(listed[0], (0.8,))
    report["attempts"][0] |= {"label": "size_mismatch", "probabilities": {"available": 0.44, "size_mismatch": 0.56}}
    gallery.keep(listed[0], pictures, report)
    words = " ".join(check_page(gallery.page()).words)
    assert MEANING["available"][:-1] + " (44 %)." in words and MEANING["size_mismatch"][:-1] not in words


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
