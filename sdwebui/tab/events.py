"""What all buttons of the tab share: who may press them, and how a refusal is said."""

from __future__ import annotations

import functools
import inspect
from urllib.parse import urlsplit

import gradio as gr
from modules import errors

EXPECTED = (ValueError, OSError, RuntimeError)  # sentences of ours; anything else is a fault, and the log shows where
SAME_SITE = ("same-origin", "none")
FOREIGN = "this was asked by another site than the web UI's own page, and nothing was done."


def on(listener, work, inputs: list, outputs: list, refusal, **options):
    """`listener(work, ...)`, as button.click, with the checks of all events.

    work: takes the inputs' values, gives the outputs' or, as a generator, gives them again and again.
    refusal(sentence): the outputs' values that say why nothing came of it. Returns the event, for `cancels`.
    """
    return listener(checked(work, refusal), inputs, outputs, **options)


def checked(work, refusal):
    """work, asked by the page alone, its errors as sentences. Gradio 3's websocket is open to every site's pages."""

    def steps(request: gr.Request, values: tuple):
        try:
            if not from_own_page(request):
                raise PermissionError(FOREIGN)
            answer = work(*values)
            if inspect.isgenerator(answer):
                yield from answer
            else:
                yield answer
        except EXPECTED as error:
            yield refusal(sentence(error))
        except Exception as error:
            errors.report("Reliable Ads: the tab could not do this", exc_info=True)
            yield refusal(f"This failed ({type(error).__name__}: {error}): the console says where.")

    if inspect.isgeneratorfunction(work):

        def event(request: gr.Request, *values):
            yield from steps(request, values)
    else:

        def event(request: gr.Request, *values):
            return next(steps(request, values))

    functools.update_wrapper(event, work, ("__module__", "__name__", "__qualname__", "__doc__"), ())
    event.__annotations__ = {"request": gr.Request}
    del event.__wrapped__
    return event


def sentence(error: Exception) -> str:
    text = str(error).strip() or type(error).__name__
    return text[0].upper() + text[1:]


def from_own_page(request: gr.Request | None) -> bool:
    """Whether a request comes from the web UI's page, as far as the browser says; programs say nothing."""
    headers = dict(request.headers.items()) if request else {}
    site, origin, named = (headers.get(name) for name in ("sec-fetch-site", "origin", "host"))
    if site:
        return site in SAME_SITE
    return not origin or urlsplit(origin).netloc == named
