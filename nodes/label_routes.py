"""What the buttons of RF Label ask the server: which picture is next, its pixels, and to keep a label or take one back.

Anyone can send anything to a port, and any page in the user's browser can try to. So requests from other sites
(origins.py), names and keys of another form, and bodies that are no small JSON or come slowly are refused with a
sentence, in the answer and in the log, before anything is touched.
"""

import asyncio
import json
import logging
from functools import wraps

from aiohttp import web
from server import PromptServer

from ..rfnet.agreement import agreements
from ..rfnet.data.journal import EACH, ENOUGH, KEY, Contents, is_name
from ..rfnet.data.labelling import LabelFolder
from ..rfnet.labels import LABELS
from . import origins
from .label import dataset_folder
from .learning import study_of

ROOT = "/reliable_ads/labels/{dataset}"
LARGEST_BODY = 4096  # bytes
PATIENCE = 10  # seconds for a body to come
GUARDED = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Refused(Exception):
    """A request that isn't answered. status: HTTP's number; the text says why."""

    def __init__(self, status: int, sentence: str):
        super().__init__(sentence)
        self.status = status


def register_routes() -> None:
    """Adds the routes to ComfyUI's server, where there is one; it serves each below /api as well."""
    if getattr(PromptServer, "instance", None) is None:
        return
    routes = PromptServer.instance.routes
    for method, path, handler in (
        ("GET", ROOT, state),
        ("GET", ROOT + "/{kind}/{key}.png", picture),
        ("POST", ROOT + "/label", label),
        ("POST", ROOT + "/undo", undo),
    ):
        routes.route(method, path)(refusing(handler))
        routes.route("*", path)(refusing(other_method))
    if not PromptServer.instance.app.middlewares.frozen:
        PromptServer.instance.app.middlewares.insert(0, strangers_first)


@web.middleware
async def strangers_first(request: web.Request, handler) -> web.StreamResponse:
    """Before ComfyUI's own check, which answers an Origin that is no address with "500 Internal Server Error".

    Only for the routes of this file.
    """
    ours = request.path.startswith(("/reliable_ads/", "/api/reliable_ads/"))
    return await (refusing(handler) if ours else handler)(request)


def refusing(handler):
    """The handler behind the checks that all requests have to pass; what it refuses or can't do becomes a sentence."""

    @wraps(handler)
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            if reason := origins.why_not(request.headers, request.scheme):
                raise Refused(403, reason)
            return await handler(request)
        except Refused as refusal:
            logging.warning(
                "Reliable Ads: %s %r refused (%d): %s", request.method, request.path, refusal.status, refusal
            )
            return web.json_response({"error": str(refusal)}, status=refusal.status, headers=GUARDED)
        except OSError as error:
            logging.error("Reliable Ads: the labels can't be read or written: %s", error)
            return web.json_response(
                {
                    "error": (
                        f"The disk refuses ({error.strerror or error}): free some space, then press again. Earlier"
                        " labels are safe."
                    )
                },
                status=507,
                headers=GUARDED,
            )

    return answer


async def state(request: web.Request) -> web.Response:
    """?after=KEY: another picture than this one, which is skipped; ?at=KEY: this one, if it still waits; ?verdict=1:
    with what the reviewer said; ?by=NAME: who labels; ?learner=FILE: which reviewer learns, and orders the pictures.
    """
    place = {name: request.query.get(name, "") for name in ("after", "at")}
    if any(key and not KEY.fullmatch(key) for key in place.values()):
        raise Refused(400, "after and at must be keys of pictures, 16 hex digits.")
    contents = await asyncio.to_thread(folder_of(request).read)
    by = labeller_of(request.query)
    study = await studied(request, contents, place["after"])
    return answer_with(contents, next_of(contents, study, by, **place), study, by, request)


async def picture(request: web.Request) -> web.StreamResponse:
    kind = request.match_info["kind"]
    key = request.match_info["key"]
    content = await asyncio.to_thread(folder_of(request).content, key, kind)
    if content is None:
        raise Refused(404, f"there is no picture {key[:40]!r} in this dataset.")
    return web.Response(
        body=content, content_type="image/png", headers={**GUARDED, "Cache-Control": "private, max-age=86400"}
    )


async def label(request: web.Request) -> web.Response:
    """{"key", "label", "blind", "by"}; the answer shows the next picture. Asked with ?learner, verdict as in state."""
    body = await body_of(request)
    name = body.get("label")
    blind = body.get("blind", True)
    if name not in LABELS:
        raise Refused(400, f"label must be one of {', '.join(LABELS)}.")
    if not isinstance(blind, bool):
        raise Refused(400, "blind must be true or false.")
    by = labeller_of(body)
    contents = await stored(request, body, name, blind, by)
    study = await studied(request, contents)
    return answer_with(contents, next_of(contents, study, by, after=body["key"]), study, by, request)


async def undo(request: web.Request) -> web.Response:
    """{"key", "by"}; the answer shows this picture again."""
    body = await body_of(request)
    by = labeller_of(body)
    contents = await stored(request, body, None, True, by)
    return answer_with(contents, contents.items[body["key"]], await studied(request, contents), by, request)


async def studied(request: web.Request, contents: Contents, passed: str = ""):
    """What the reviewer knows that ?learner names; None without. It has the rest learned in the background."""
    learner = request.query.get("learner", "")
    try:
        return await asyncio.to_thread(study_of, folder_of(request), learner, contents, passed)
    except ValueError as error:
        raise Refused(400, str(error)) from None


def next_of(contents: Contents, study, by: str, after: str = "", at: str = ""):
    """The picture to show."""
    if study is None:
        return contents.next(after, at, by)
    from ..rfnet.training.background import sequence

    return contents.next(after, at, by, sequence(study, contents))


def labeller_of(values) -> str:
    """The labeller's name in a query or a body, "" without. Raises Refused."""
    by = values.get("by", "")
    if by != "" and not is_name(by):
        raise Refused(400, "by must be the labeller's name, up to 40 characters of one line.")
    return by


async def other_method(request: web.Request) -> web.Response:
    raise Refused(405, "labels are read with GET and written with POST to /label and /undo only.")


async def stored(request: web.Request, body: dict, *what) -> Contents:
    key = body.get("key")
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise Refused(400, "key must name a picture, 16 hex digits.")
    try:
        return await asyncio.to_thread(folder_of(request).label, key, *what)
    except KeyError:
        raise Refused(404, f"there is no picture {key} in this dataset.") from None


async def body_of(request: web.Request) -> dict:
    """The JSON object that was sent. Raises Refused."""
    if request.content_type != "application/json":
        raise Refused(415, "send application/json.")
    try:
        body = await asyncio.wait_for(small_body(request), PATIENCE)
    except asyncio.TimeoutError:
        raise Refused(408, f"the body did not come within {PATIENCE} seconds.") from None
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise Refused(400, "the body is no JSON object.")
    return value


async def small_body(request: web.Request) -> bytes:
    body = bytearray()
    too_large = Refused(413, f"the body is larger than {LARGEST_BODY} bytes.")
    if (request.content_length or 0) > LARGEST_BODY:
        raise too_large
    async for part in request.content.iter_any():
        body += part
        if len(body) > LARGEST_BODY:
            raise too_large
    return bytes(body)


def folder_of(request: web.Request) -> LabelFolder:
    try:
        return LabelFolder(dataset_folder(request.match_info["dataset"]))
    except ValueError as error:
        raise Refused(400, str(error)) from None


def answer_with(contents: Contents, item, study, by: str, request: web.Request) -> web.Response:
    """What the buttons show; the verdict only where it is asked for, so that labels stay blind."""
    shown = None if item is None else {name: getattr(item, name) for name in ("key", "product", "caption", "prompt")}
    if shown and request.query.get("verdict") == "1":
        shown["verdict"] = item.verdict
    about = {
        "labelled": len(contents.labels),
        "waiting": len(contents.waiting),
        "counts": contents.counts,
        "last": contents.last_of(by),
        "enough": ENOUGH,
        "each": EACH,
        "item": shown,
        "learning": study and study.summary(),
        "labellers": [
            {"names": one.names, "n": one.n, "same": one.same, "kappa": one.kappa} for one in agreements(contents.said)
        ],
    }
    return web.json_response(about, headers={**GUARDED, "Cache-Control": "no-store"})
