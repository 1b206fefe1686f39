"""What Generate will draw: product placed, ControlNet and reviewer found, everything checked before the first step."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from modules import images

from ..cyclic import profiles
from ..cyclic.remedies import REMEDIES, Policy
from ..rfnet.product import Canvas, place
from ..rfnet.sheets import to_planes
from . import controlnet, host, reviewers
from .changes import PromptChange, impossible
from .product import keep, product_of
from .reviewers import HostedReviewer
from .settings import ENABLED, NONE, PRODUCT, Refused, Settings

STORE = host.RFNET / "products"
UNKNOWN = profiles.Early("off: nothing was drawn")


@dataclass
class Scene:
    """The product on its canvas, as one draw needs it.

    canvas: of the size that is sampled first; final: of the size that comes out, which hires fix makes larger;
    backdrop: img2img's own picture (3, H, W) behind the product, where it isn't the product; latent: of `start`
    (1, C, h, w), once it was asked for.
    """

    canvas: Canvas
    final: Canvas
    backdrop: torch.Tensor | None = None
    latent: torch.Tensor | None = None

    @property
    def start(self) -> torch.Tensor:
        """What is encoded (3, H, W): the product over img2img's picture, else over grey."""
        return self.canvas.shown if self.backdrop is None else self.canvas.paste(self.backdrop[None])[0]

    def encoded(self) -> torch.Tensor:
        """The latent of `start`, made once: the host's own has noise in it that differs from one draw to the next."""
        if self.latent is None:
            self.latent = host.encode(self.start[None])
        return self.latent

    def moved(self, placement) -> Scene:
        """With its product placed as remedies ask; placement: a cyclic.remedies.Placement."""
        canvas = placement.of(self.canvas)
        if canvas is self.canvas:
            return self
        final = canvas if self.final is self.canvas else placement.of(self.final)
        same = torch.equal(canvas.rgb, self.canvas.rgb)
        return Scene(canvas, final, self.backdrop, self.latent if same else None)


@dataclass
class Plan:
    """What one press of Generate draws.

    template: the host's p, before anything was drawn; slot: of the ControlNet's unit among its arguments, None without
    one; control_net: its name in the host; policy: of each picture a new one.
    """

    settings: Settings
    reviewer: HostedReviewer
    threshold: float
    scene: Scene
    control_net: str | None
    slot: int | None
    change: PromptChange
    allowed: tuple
    left_out: dict
    template: Any = None
    early: profiles.Early = UNKNOWN  # found for the network, which the host loads after it has asked us
    notes: list = field(default_factory=list)

    def find_profile(self, p) -> None:
        """Chooses a profile of early rejection for the network that the host has loaded. Raises ProfileError."""
        if self.early is not UNKNOWN:
            return
        self.early = profiles.choose(
            self.settings.early_rejection,
            profiles.profiles_in(reviewers.profile_folders()),
            lambda: profiles.fingerprint(host.unet()),
            self.reviewer.reviewer,
            host.sampling_settings(p, self.threshold),
        )

    def policy(self) -> Policy:
        return Policy(self.allowed).begin_at(self.settings.changes)


def plan_of(settings: Settings, p) -> Plan:
    """Raises Refused and the libraries' errors, each a sentence that says what to do."""
    check_host(p)
    init_image = (getattr(p, "init_images", None) or [None])[0]
    backdrop = None if settings.use_init_image or init_image is None else init_image
    product = product_of(settings, STORE, init_image)
    scene = placed(product, settings, p)
    scene.backdrop = None if backdrop is None else behind(backdrop, p)
    reviewer = reviewers.load(settings.reviewer_name).advised(settings.opinions)
    threshold = reviewer.threshold_for(settings.accept, settings.threshold)
    script = controlnet.script_of(p.scripts)
    checkpoint = host.checkpoint_of(p)
    name = controlnet.choose(script, settings.control_net_name, checkpoint)
    slot = controlnet.free_slot(script, p.script_args) if name else None
    tuned = settings.tuned_control_net_name
    tuned = controlnet.choose(script, tuned, checkpoint) if tuned != NONE else None
    known = PromptChange(settings.words, tuned if name else None, has_control=bool(name), position=settings.position)
    changes = {change["remedy"] for change in settings.changes}
    left_out = impossible(known, p, {*settings.remedies, *changes})
    if wrong := changes & left_out.keys():
        raise Refused(f"begin_at asks for {min(wrong)}, which can't be done here: {left_out[min(wrong)]}.")
    profiles.check_name(settings.early_rejection, profiles.profiles_in(reviewers.profile_folders()))
    plan = Plan(
        settings=settings,
        reviewer=reviewer,
        threshold=threshold,
        scene=scene,
        control_net=name,
        slot=slot,
        change=known,
        allowed=tuple(remedy.name for remedy in REMEDIES if remedy.name in {*settings.remedies} - left_out.keys()),
        left_out=left_out,
    )
    p.extra_generation_params.update({ENABLED: True, PRODUCT: keep(product, STORE), **settings.infotext()})
    plan.template = copy.copy(p)
    plan.template.extra_generation_params = dict(p.extra_generation_params)
    plan.template.override_settings = dict(p.override_settings)
    return plan


def check_host(p) -> None:
    """Raises Refused where the rest of the page asks for what doesn't go together with a product's own pixels."""
    if getattr(p, "image_mask", None) is not None:
        raise Refused(
            "Reliable Ads paints around the product, and the inpaint mask says otherwise: use the tab img2img, or turn"
            " Reliable Ads off."
        )
    if getattr(p, "tiling", None):
        raise Refused("Tiling and Reliable Ads don't go together: turn one of them off.")
    if p.width % 8 or p.height % 8:
        raise Refused(f"the picture is {p.width}x{p.height}: width and height must be multiples of 8.")


def placed(product, settings: Settings, p) -> Scene:
    """The product on the canvas that is sampled, and on the one that comes out of hires fix."""

    def on(width: int, height: int) -> Canvas:
        return place(product, width, height, settings.image_scale, position=settings.position)

    canvas = final = on(p.width, p.height)
    if getattr(p, "enable_hr", False):
        width, height = hires_size(p)
        final = on(width, height)
    return Scene(canvas, final)


def hires_size(p) -> tuple[int, int]:
    """The size that hires fix makes. Raises Refused where it crops what it has drawn: the product would move."""
    if p.hr_resize_x and p.hr_resize_y:
        if p.hr_resize_x * p.height != p.hr_resize_y * p.width:
            raise Refused("Hires fix to another shape crops the picture: resize to the shape of the first pass.")
        size = p.hr_resize_x, p.hr_resize_y
    elif p.hr_resize_x or p.hr_resize_y:
        scale = (p.hr_resize_x or 0) / p.width or p.hr_resize_y / p.height
        size = int(p.width * scale), int(p.height * scale)
    else:
        size = int(p.width * p.hr_scale), int(p.height * p.hr_scale)
    if size[0] % 8 or size[1] % 8:
        raise Refused(f"Hires fix makes {size[0]}x{size[1]}: choose a scale that gives multiples of 8.")
    return size


def behind(picture, p) -> torch.Tensor:
    """img2img's picture (3, H, W) in [0, 1], as large as what is drawn; resized as its tab says, as far as that can be
    done to pixels.
    """
    fitted = images.resize_image(p.resize_mode % 3, images.flatten(picture, "#ffffff"), p.width, p.height)
    return to_planes(fitted)


def masks(canvas: Canvas, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(1 - mask, mask) for latents (N, C, h, w), as ComfyUI makes a noise mask of the inpaint mask: 1 = paint."""
    mask = F.interpolate(canvas.inpaint_mask[None, None], like.shape[-2:], mode="bilinear")[0]
    mask = mask.expand(like.shape[1], -1, -1).to(like.device, like.dtype)
    return 1 - mask, mask
