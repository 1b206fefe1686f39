"""A gallery as one HTML page: no server, no script, nothing from elsewhere; light or dark as the reader's system is."""

from html import escape
from urllib.parse import quote

from ..rfnet.labels import MEANING

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #fafaf8; --card: #fff; --ink: #1e1e1e; --faint: #666; --line: #ddd; --good: #2ea043; --bad: #cf222e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #18191b; --card: #222427; --ink: #ececec; --faint: #a3a3a3; --line: #3a3d42;
    --good: color-mix(in srgb, #2ea043, #fff 25%); --bad: color-mix(in srgb, #cf222e, #fff 25%);
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1400px; padding: 24px; background: var(--paper); color: var(--ink);
  font: 15px/1.45 system-ui, sans-serif; overflow-wrap: anywhere;
}
h1 { margin: 0 0 16px; font-size: 24px; }
h2 { margin: 0 0 4px; font-size: 17px; }
ul { margin: 0 0 24px; padding: 0 0 0 20px; }
p { margin: 0 0 4px; }
.totals { display: flex; flex-wrap: wrap; gap: 8px 32px; margin: 0 0 24px; }
.totals div { display: flex; flex-direction: column-reverse; }
.totals dt { color: var(--faint); font-size: 13px; }
.totals dd { margin: 0; font-size: 22px; font-variant-numeric: tabular-nums; }
.job {
  display: grid; grid-template-columns: 224px minmax(200px, 1fr) minmax(0, 2fr); gap: 20px;
  margin: 0 0 16px; padding: 16px; background: var(--card); border: 1px solid var(--line); border-radius: 8px;
}
.result img { display: block; width: 100%; border: 4px solid currentcolor; border-radius: 4px; }
.none {
  display: grid; place-items: center; min-height: 120px; border: 1px dashed var(--line); border-radius: 4px;
  color: var(--faint);
}
.more { font-size: 13px; }
.faint { color: var(--faint); font-size: 13px; }
.good { color: var(--good); } .bad { color: var(--bad); }
ol { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 12px; margin: 0; padding: 0; list-style: none; }
li.good, li.bad { width: 128px; font-size: 12px; line-height: 1.3; }
li img {
  display: block; width: 100%; min-height: 32px; margin: 0 0 4px; border: 4px solid currentcolor; border-radius: 4px;
}
li span { color: var(--ink); }
p a { color: inherit; }
@media (max-width: 900px) { .job { grid-template-columns: 1fr; } .result { max-width: 360px; } }
"""


def page_of(name: str, rows: list, to_do: int, broken: dict) -> str:
    """The page of a gallery of this name.

    rows: cyclic.gallery.Row of each job that is done; to_do: how many are not; broken: {file: reason}.
    """
    faults = "".join(f"<li><bdi>{escape(file)}</bdi>: {escape(reason)}</li>" for file, reason in broken.items())
    faults = f"<h2>Product files that can't be used</h2>\n<ul>{faults}</ul>\n" if faults else ""
    return document(name, _totals(rows, to_do, broken) + faults + "".join(map(job_card, rows)))


def document(title: str, body: str) -> str:
    """A whole page around the HTML of its body."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<meta name="viewport"'
        ' content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<h1>{escape(title)}</h1>\n"
        f"{body}</body>\n</html>\n"
    )


def _totals(rows: list, to_do: int, broken: dict) -> str:
    fit = [row for row in rows if _accepted(row)]
    pictures = sum(tried.accepted for row in rows for tried in row.tried)

    def each(total):
        return f"{total / pictures:.1f}" if pictures else "–"

    share = f" ({100 * len(fit) / len(rows):.0f} %)" if rows else ""
    figures = {
        "products": len({row.file for row in rows}),
        "advertisements done": len(rows),
        "of them accepted": f"{len(fit)}{share}",
        "still to do": to_do,
        "attempts per accepted picture": each(sum(len(row.tried) for row in rows)),
        "steps per accepted picture": each(sum(row.steps for row in rows)),
        "seconds per accepted picture": each(sum(row.seconds for row in rows)),
    }
    if doubtful := sum(bool(row.doubtful) for row in fit):
        figures["accepted, but not certified"] = doubtful
    if broken:
        figures["files that can't be used"] = len(broken)
    return totals(figures)


def totals(figures: dict) -> str:
    """{what: value} in a row of large numbers."""
    return (
        '<dl class="totals">'
        + "".join(f"<div><dt>{escape(what)}</dt><dd>{value}</dd></div>" for what, value in figures.items())
        + "</dl>\n"
    )


def _accepted(row) -> bool:
    return any(tried.accepted for tried in row.tried)


def job_card(row) -> str:
    """One gallery.Row: what came out, and every attempt."""
    prompt = f"<p>{escape(row.prompt)}</p>" if row.prompt else ""
    cost = " · ".join((_count(len(row.tried), "attempt"), _count(row.steps, "step"), f"{row.seconds:.1f} s"))
    seed = row.seed if row.returned is None else row.tried[row.returned].seed
    return (
        f'<article class="job" id="{escape(row.key)}">\n<div class="result">{_result(row)}</div>\n'
        f"<div><h2>{escape(row.caption or row.file)}</h2>{_outcome(row)}{prompt}<p"
        f' class="faint"><bdi>{escape(row.file)}</bdi> · seed {seed}</p><p class="faint">{cost}</p></div>\n'
        f"<ol>{''.join(_attempt(number, tried) for number, tried in enumerate(row.tried, 1))}</ol>\n</article>\n"
    )


def _outcome(row) -> str:
    """Whether it was accepted; of a batch, how many of its pictures; whether the risk is certified for them."""
    fit = {tried.picture for tried in row.tried if tried.accepted}
    pictures = {tried.picture for tried in row.tried}
    if not fit:
        return f'<p class="bad">✗ Not accepted in {_count(len(row.tried), "attempt")}</p>'
    count = f"{len(fit)} of {len(pictures)} pictures accepted" if len(pictures) > 1 else "Accepted"
    doubtful = f"<p>{row.doubtful.capitalize()}</p>" if row.doubtful else ""
    return f'<p class="good">✓ {count}</p>{doubtful}'


def _result(row) -> str:
    """The picture that was given back, as a link to it at its full size; the thumbnail stands for it, so that a long
    page opens quickly.
    """
    if not row.pictures or row.returned is None:
        return '<div class="none">no picture</div>'
    first, *others = row.pictures
    shown = (
        f'<a class="{"good" if row.tried[row.returned].accepted else "bad"}" href="{quote(first)}"><img'
        f' src="{quote(row.tried[row.returned].thumbnail)}" alt="{escape(row.caption or row.file)}" loading="lazy"></a>'
    )
    links = ", ".join(f'<a href="{quote(name)}">{number}</a>' for number, name in enumerate(others, 2))
    return shown + (f'<p class="more">further pictures: {links}</p>' if links else "")


def _attempt(number: int, tried) -> str:
    verdict = _verdict(tried)
    return (
        f'<li class="{"good" if tried.accepted else "bad"}"><img src="{quote(tried.thumbnail)}"'
        f' alt="{escape(f"attempt {number}: {verdict}")}" loading="lazy">'
        f"{'✓' if tried.accepted else '✗'} <span>{number} · {escape(verdict)}</span></li>"
    )


def _verdict(tried) -> str:
    """What the reviewer said, in plain words and a percentage."""
    if tried.error:
        return tried.error
    sure = "" if tried.sure is None else f" ({100 * tried.sure:.0f} %)"
    sure += f", says {tried.decided}" if tried.decided else ""
    if tried.label == "available" and not tried.accepted:
        verdict = f"Perhaps fit to publish, but not sure enough{sure}."
    else:
        verdict = MEANING.get(tried.label, tried.label).removesuffix(".") + f"{sure}."
    verdict = f"Stopped early. {verdict}" if tried.dropped else verdict
    verdict += " Unfamiliar picture: label a few." if tried.unfamiliar else ""
    return f"{verdict} Drawn with: {tried.remedies}." if tried.remedies else verdict


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
