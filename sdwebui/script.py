"""The script in txt2img and img2img: the host's hooks, each a line or two that hands over."""

from __future__ import annotations

import functools
import threading

from modules import errors, scripts, shared

from . import adapter, controlnet, early, host, options, tab
from .accordion import build
from .loop import Draw
from .plan import plan_of
from .randomness import apart
from .results import finish
from .settings import Refused, Settings

TITLE = "Reliable Ads"
EXPECTED = (ValueError, OSError, RuntimeError)  # sentences of ours; anything else is a fault, and the log shows where


def guarded(hook):
    """The host swallows what its hooks raise, and draws on without us: so the draw ends, before it begins where that
    can still be, and else `postprocess` says why.
    """

    @functools.wraps(hook)
    def safe(self, p, *args, **kwargs):
        draw = getattr(p, "reliable_ads", None)
        if draw is None or draw.failed:
            return
        try:
            with apart():
                hook(self, draw, p, *args, **kwargs)
        except Exception as error:
            errors.report("Reliable Ads could not go on", exc_info=True)
            draw.failed = str(error)
            shared.state.skipped = True
            if hook.__name__ == "process_before_every_sampling":
                p.sampler.sample = p.sampler.sample_img2img = raising(error)

    return safe


def refuse(p, error: Exception) -> None:
    """Ends the run before its first step, with a sentence in the page, the log and the API's answer."""
    errors.report(str(error))  # Forge's API has none of it in the log
    p.init = raising(error)


def check_adapters(p) -> None:
    """Also where Reliable Ads is off. Raises Refused, AdapterError."""
    script = controlnet.script_of(p.scripts)
    if script is not None:
        controlnet.check_adapters(script, p.script_args)


def raising(error: Exception):
    """What stands in for a function of the host's that it calls unguarded: what that raises, it doesn't swallow."""

    def fail(*args, **kwargs):
        raise Refused(str(error))

    return fail


class ReliableAds(scripts.Script):
    """Draws until a picture of the product passes the reviewer."""

    sorting_priority = 20  # below ControlNet

    def title(self):
        return TITLE

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        components, self.infotext_fields = build(self, is_img2img)
        self.paste_field_names = [name for _, name in self.infotext_fields if isinstance(name, str)]
        return components

    def before_process(self, p, *args):
        if getattr(p, "reliable_ads", None):  # an attempt of our own
            return
        try:
            check_adapters(p)
            settings = Settings.from_args(args)
            if not settings.enabled:
                return
            plan = plan_of(settings, p)
            change = plan.change.at(plan.policy().values)
            draw = Draw(plan, plan.scene.moved(change.placement))
            draw.prepare(p)
            draw.use_control(p, change)
            shared.state.job_count = settings.attempts * p.n_iter
            shared.state.textinfo = f"attempt 1/{settings.attempts}"
        except EXPECTED as error:
            refuse(p, error)
        except Exception as error:
            errors.report("Reliable Ads could not begin", exc_info=True)
            refuse(p, Refused(f"Reliable Ads could not begin ({type(error).__name__}: {error}): the log says where."))

    @guarded
    def before_process_batch(self, draw, p, *args, **kwargs):
        draw.forget_unit(p)

    @guarded
    def process_before_every_sampling(self, draw, p, *args, **kwargs):
        draw.before_sampling(p, kwargs["x"], kwargs.get("noise", kwargs["x"]))

    @guarded
    def on_mask_blend(self, draw, p, mba, *args):
        draw.hold(mba)

    @guarded
    def post_sample(self, draw, p, ps, *args):
        draw.after_sampling(p, ps)

    @guarded
    def postprocess_image_after_composite(self, draw, p, pp, *args):
        pp.image = draw.paste(pp.image)

    def postprocess(self, p, processed, *args):
        draw = getattr(p, "reliable_ads", None)
        early.watch(None)
        if draw is None or draw.inner:
            return
        try:
            if draw.failed:
                raise Refused(draw.failed)
            finish(draw, p, processed)
        except Exception as error:
            errors.report("Reliable Ads could not finish", exc_info=not isinstance(error, EXPECTED))
            processed.images, processed.infotexts = [], []
            processed.comments += f"Reliable Ads gave no picture back: {error}\n"
            processed.extra_generation_params["RF error"] = str(error)
        finally:
            draw.leave(p)


def register() -> None:
    """Our callbacks. In a thread, since the host asks for each one's call stack, and looks through all modules for each
    of the frames that imports leave there: 0.1 to 0.2 s a callback.
    """

    def each() -> None:
        host.hand_on(Refused)
        adapter.register()
        early.register()
        options.register()
        tab.register()

    thread = threading.Thread(target=each)
    thread.start()
    thread.join()
