"""The pages of a catalogue's results: a summary, and galleries of a hundred products each, written once and left."""

from __future__ import annotations

from html import escape

from ..cyclic.gallery_page import document, job_card, totals
from .records import shown

ON_A_PAGE = 100


def gallery_pages(part: int, records: list[dict], title: str) -> dict[str, bytes]:
    """{file: page} of one part's records."""
    rows = [row for row in map(shown, records) if row]
    starts = range(0, len(rows), ON_A_PAGE)
    pages = {}
    for number, start in enumerate(starts, 1):
        back = page_name(part, number - 1) if number > 1 else ""
        on = page_name(part, number + 1) if number < len(starts) else ""
        links = [
            f'<a href="{escape(target)}">{text}</a>'
            for target, text in (("../index.html", "summary"), (back, "before"), (on, "next"))
            if target
        ]
        heading = f"{title}, part {part}" + (f", page {number} of {len(starts)}" if len(starts) > 1 else "")
        body = f"<p>{' · '.join(links)}</p>\n" + "".join(map(job_card, rows[start : start + ON_A_PAGE]))
        pages[f"pages/{page_name(part, number)}"] = document(heading, body).encode()
    return pages


def page_name(part: int, number: int) -> str:
    return f"{part:06d}-{number}.html"


def index_page(title: str, summary: dict, sentences: list[str], parts: list[int], left: int) -> bytes:
    """The first page. parts: numbers of those that have pages; left: jobs to do."""
    share, cost = summary["usable_share"], summary["per_accepted_picture"]

    def number(value, form: str = ".1f") -> str:
        return "–" if value is None else format(value, form)

    figures = {
        "jobs done": f"{summary['jobs']:,}",
        "usable": f"{summary['usable']:,}",
        "usable share": "–"
        if share["value"] is None
        else f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%})",
        "still to do": f"{left:,}",
        "attempts per usable picture": number(cost["attempts"], ".2f"),
        "steps per usable picture": number(cost["steps"]),
        "worker-seconds per usable picture": number(cost["seconds"]),
        "worker-hours": number(summary["worker_hours"], ".2f"),
    }
    if cost.get("price") is not None:
        figures["price of a usable picture"] = number(cost["price"], ".4g")
    faults = "".join(f"<li><bdi>{escape(text)}</bdi></li>" for text in sentences)
    faults = f"<h2>Without a result</h2>\n<ul>{faults}</ul>\n" if faults else ""
    links = " ".join(f'<a href="pages/{page_name(part, 1)}">{part}</a>' for part in parts)
    galleries = f"<h2>Pictures, by part</h2>\n<p>{links}</p>\n" if parts else ""
    return document(title, totals(figures) + faults + galleries).encode()
