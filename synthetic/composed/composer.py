"""Composites: photograph-like scenes with true labels, put together in numpy and OpenCV from cut-outs and receding
places.

The traced scenes (`synthetic.render`) carry true light and depth; these carry variety: cut-outs with labels, chrome,
glass, fine and bad edges, formats from portrait to landscape, backgrounds from sharp to bokeh. The same (split, number)
gives the same composite.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..develop import style, to_bytes
from ..scenes import PANORAMAS
from . import backdrops, walls
from .backdrops import SURFACES, Stage
from .cutouts import HELD_FAMILIES, Cutout, crop, draw_cutout
from .defects import pattern_tile
from .relief import TILE, Finishes, over
from .scene_objects import Canvas, Supply, crowd, put
from .scene_plans import FORMATS, Plan, Setting, choose, make_plan, make_setting
from .shadows import on_surface

ATTEMPTS = 8


@dataclass(frozen=True)
class Composite:
    """One scene: pictures as in a shard (image RGB, product RGBA, depth and saliency 8 bit, all uint8 (H, W, ...)) and
    its plan and product.
    """

    image: np.ndarray
    product: np.ndarray
    depth: np.ndarray
    saliency: np.ndarray  # the product and what has grown on it, as far as they are visible
    plan: Plan
    cutout: Cutout
    # (name, its height / the product's largest side as drawn, 0 for parts of a wall) of what has a known size and shows
    objects: tuple

    def row(self) -> dict:
        """What `rfnet.data.shards.write_shard` takes: texts, and pictures as Pillow images."""
        from PIL import Image

        setting = self.plan.setting
        return {
            "id": setting.composite_id,
            "image": Image.fromarray(self.image),
            "product": Image.fromarray(self.product),
            "depth": Image.fromarray(self.depth),
            "saliency": Image.fromarray(self.saliency),
            "caption": self.cutout.caption,
            "prompt": self.plan.prompt,
            "label": setting.label,
            "cause": self.plan.cause,
            "product_id": self.cutout.product_id,
            "room_id": self.plan.room_id,
            "metres": round(self.cutout.metres, 3),
            "shown_metres": round(self.plan.believed, 3),
            "family": self.cutout.family,
            "held_family": self.cutout.family in HELD_FAMILIES,
            "held_cause": self.plan.made_by.held,
        }


class Composer:
    """Makes composites from the free assets.

    assets: `synthetic.assets.Assets` or anything with its `panorama` and `cutout`; formats: {width / height: share}.
    """

    def __init__(self, assets, finishes: Finishes, size: int = 256, formats: dict[float, float] = FORMATS):
        self.assets, self.finishes, self.size, self.formats = assets, finishes, size, formats
        self.supply = Supply(assets, finishes)

    def compose(self, split: str, number: int) -> Composite:
        setting = make_setting(split, number, self.size, self.formats)
        product = self._product(setting, split)
        for attempt in range(ATTEMPTS):
            plan = make_plan(setting, product, split, attempt)
            rng = np.random.default_rng([setting.seed, attempt])
            placed = self._placed(plan, product, rng)
            canvas, shown = self._place(plan, product, rng)
            canvas.soften()
            objects = self._objects(plan, product, canvas, placed, rng) + tuple((name, 0.0) for name in shown)
            if objects or plan.made_by.sizes is None:  # nobody sees a wrong size without a thing to compare with
                break
        image, visible, salient = self._finish(plan, product, canvas, placed, rng)
        depth = canvas.inverse / canvas.inverse.max()
        return Composite(*map(to_bytes, (image, visible, depth, salient)), plan, product, objects)

    # ---- product ---------------------------------------------------------------------------------------------------

    def _product(self, setting: Setting, split: str) -> Cutout:
        held = setting.held_product if split == "test" else None
        return draw_cutout(
            split,
            setting.product_number,
            self.assets,
            self.finishes,
            int(self.size * 1.1),
            setting.lamp.side,
            held=True if held else None,
        )

    def _placed(self, plan: Plan, product: Cutout, rng) -> np.ndarray:
        left, _top, w, h = plan.box
        rgba = product.rgba
        if plan.made_by.turn is not None:
            rgba = crop(plan.made_by.turn(rgba, rng))
            scale = min(w / rgba.shape[1], h / rgba.shape[0])
            left, w, h = left + (w - rgba.shape[1] * scale) / 2, rgba.shape[1] * scale, rgba.shape[0] * scale
        return put(rgba, plan.view.height, plan.view.width, left, plan.box[1] + plan.box[3], h, w)

    # ---- place -----------------------------------------------------------------------------------------------------

    def _place(self, plan: Plan, product: Cutout, rng) -> tuple[Canvas, set]:
        view, lamp, cause = plan.view, plan.setting.lamp, plan.made_by
        frame = view.width / view.scale(plan.away)
        metres = float(np.clip(SURFACES[plan.surface][4] * rng.uniform(0.8, 1.3), 0.35 * frame, 3 * frame))
        colours = cause.colours(product, rng) if cause.colours else None
        tile = backdrops.surface_tile(plan.surface, rng, self.finishes, lamp, colours)
        special = self._pattern(plan, product, rng)
        if special is not None:
            tile, metres = special, frame * rng.uniform(0.5, 0.9)
        stage = self._stage(plan, product, rng, tile, metres, special, colours)
        if cause.haze is not None:
            stage.picture = cause.haze(stage.picture, product, rng)
        stage.picture = np.clip(
            stage.picture * np.asarray(lamp.tint, np.float32) * backdrops.pool(view, rng, lamp, rng.uniform(0, 0.5)),
            0,
            1,
        )
        aperture = plan.setting.aperture * self.size / 256 * (0.25 if cause.detailed else 1)
        return Canvas(stage, plan.away, aperture), stage.shown

    def _pattern(self, plan: Plan, product: Cutout, rng):
        """A strong pattern for everything around: hiding where that is the defect, plainly other than the product in a
        tenth of the rest.
        """
        cause = plan.made_by
        if cause.pattern is not None:
            return cause.pattern(product, rng)
        by_chance = rng.random() < 0.1 and cause.colours is None and cause.haze is None
        return pattern_tile(product, rng, busy=False) if by_chance else None

    def _stage(self, plan: Plan, product: Cutout, rng, tile, metres: float, pattern, colours) -> Stage:
        view, lamp = plan.view, plan.setting.lamp
        if plan.stage == "outdoors":
            stage = backdrops.outdoors(view, self.assets, plan.panorama, rng, tile, metres)
            return self._papered(stage, pattern if plan.made_by.pattern else None, colours, plan, rng)
        if plan.stage == "sweep":
            colour = colours[0] if colours is not None else backdrops.named(plan.wall[1], rng)
            stage = backdrops.sweep(view, rng, colour, lamp, 1 / plan.away)
            return self._papered(stage, pattern, None, plan, rng)
        if plan.stage == "room":
            back = plan.away if plan.made_by.at_wall else plan.away + rng.uniform(0.2, 1.4) * max(plan.believed, 0.5)
            stage = self._room(plan, rng, back, view.eye, tile, metres, colours)
            return self._papered(stage, pattern if plan.made_by.pattern else None, None, plan, rng)
        return self._table(plan, product, rng, tile, metres, pattern, colours)

    def _room(self, plan: Plan, rng, back: float, drop: float, tile, metres, colours) -> Stage:
        view, lamp = plan.view, plan.setting.lamp
        kind, name = plan.wall
        colour = colours[0] if colours is not None else backdrops.named(name, rng)
        outside = None
        if kind in ("window", "frames"):
            split = plan.setting.composite_id.split("-")[0]
            outside = backdrops.panorama(view, self.assets, choose(rng, PANORAMAS[split]), rng.uniform(0, 6.28), 0.8)
        picture, floor, shown = walls.wall(view, rng, self.finishes, lamp, kind, colour, back, drop, outside)
        rows, _ = view.grid
        inverse = np.full(rows.shape, 1 / back, np.float32)
        if drop != view.eye:  # a room behind a table: its floor is far below, and hardly ever in sight
            return Stage(picture, inverse, np.zeros_like(rows), floor, shown)
        near, ground_inverse, _ = backdrops.ground(view, tile, rng, metres)
        below = np.clip(rows - floor, 0, 1)
        gloom = 1 - 0.35 * np.exp(-np.abs(rows - floor) / (0.05 * view.height))  # corners are darker
        picture = over(picture, near, below) * gloom[..., None]
        return Stage(picture, np.where(below > 0.5, ground_inverse, inverse), below, floor, shown)

    def _table(self, plan: Plan, product: Cutout, rng, tile, metres, pattern, colours) -> Stage:
        view, lamp = plan.view, plan.setting.lamp
        back = plan.away + plan.believed * rng.uniform(0.5, 3.0)
        if plan.panorama:
            behind = Stage(
                backdrops.panorama(view, self.assets, plan.panorama, rng.uniform(0, 6.28), rng.uniform(0.7, 1.5)),
                np.zeros((view.height, view.width), np.float32),
                np.zeros((view.height, view.width), np.float32),
            )
        else:
            behind = self._room(
                plan, rng, back + rng.uniform(0.1, 2.0), view.eye + backdrops.TABLE_HIGH, tile, metres, colours
            )
        if pattern is not None or colours is not None:
            behind = self._papered(behind, pattern, colours, plan, rng)
        front, sides = self._edges(plan, rng)
        return backdrops.table(view, behind, tile, metres, rng, back, front, sides, lamp)

    def _edges(self, plan: Plan, rng) -> tuple[float, tuple[float, float]]:
        """Where the table ends: before and beside the product as often as not in sight, under it where that is the
        defect.
        """
        left, _top, w, h = plan.box
        width, height = plan.view.width, plan.view.height
        far = (-9.0 * width, 10.0 * width)
        foot = plan.ground
        if plan.made_by.table_end is not None:
            front, (first, last) = plan.made_by.table_end(plan, rng)
            return front, (far[0] if first is None else first, far[1] if last is None else last)
        front = min(foot + rng.uniform(0.05, 0.2) * h, 0.97 * height) if rng.random() < 0.45 else 2.0 * height
        if front < foot + 3:
            front = 2.0 * height
        if rng.random() < 0.25 and plan.made_by.sizes is None:
            gap = rng.uniform(0.06, 0.2) * width
            return front, ((far[0], left + w + gap) if rng.random() < 0.5 else (left - gap, far[1]))
        return front, far

    def _papered(self, stage: Stage, pattern, colours, plan: Plan, rng) -> Stage:
        """The place behind, papered with a pattern or painted in given colours."""
        import cv2

        view = plan.view
        rows, columns = view.grid
        if pattern is not None:
            size = rng.uniform(0.5, 0.9) * view.width
            paper = cv2.remap(
                pattern,
                ((columns * TILE / size) % (TILE - 1)).astype(np.float32),
                ((rows * TILE / size) % (TILE - 1)).astype(np.float32),
                cv2.INTER_LINEAR,
            )
            share = np.full(rows.shape, 0.92, np.float32)
            if plan.stage == "sweep":  # a printed paper sweep
                stage.picture = over(stage.picture, paper, share * stage.surface)
        elif colours is not None:
            grey = stage.picture.mean(-1, keepdims=True)
            paper = np.clip(np.asarray(colours[1], np.float32) * (0.85 + 0.3 * (grey - grey.mean())), 0, 1)
            share = np.full(rows.shape, 0.9, np.float32)
        else:
            return stage
        stage.picture = over(stage.picture, paper, share * (1 - stage.surface))
        return stage

    # ---- scene objects ---------------------------------------------------------------------------------------------

    def _objects(self, plan: Plan, product: Cutout, canvas: Canvas, placed: np.ndarray, rng) -> tuple:
        """Everything else that stands there, far things first. Returns what shows and how large it is drawn."""
        wanted = []
        count = int(rng.choice([0, 1, 2, 3], p=[0.25, 0.35, 0.25, 0.15]))
        wanted += self.supply.beside(plan, canvas, placed, max(count, 1) if plan.made_by.sizes else count, rng)
        if plan.made_by.crowd is not None:
            things, many, sizes = plan.made_by.crowd(product, self.supply, plan.setting.lamp.side, rng)
            wanted += crowd(plan, canvas, things, many, sizes, rng)
        elif plan.stage != "sweep" and rng.random() < 0.15:
            wanted += self.supply.far(plan, canvas, rng)
        shown = []
        for away, left, foot, high, made, name in sorted(wanted, key=lambda w: -w[0]):
            wide = high * made.rgba.shape[1] / made.rgba.shape[0]
            layer = put(made.rgba, plan.view.height, plan.view.width, left, foot, high, wide)
            if layer[..., 3].max() < 0.5:
                continue
            canvas.darken(on_surface(layer, foot, 0.0, canvas.surface, plan.setting.lamp))
            canvas.lay(layer, 1 / away)
            hidden = (layer[..., 3] * placed[..., 3]).sum() / max(layer[..., 3].sum(), 1)
            if name and hidden < 0.5:
                shown.append((name, high / max(plan.box[2:])))
        return tuple(shown)

    # ---- shadows, defects, the last touches -----------------------------------------------------------------------

    def _finish(
        self, plan: Plan, product: Cutout, canvas: Canvas, placed: np.ndarray, rng
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Shadow, grown parts, the look of the background, the product's own pixels, and things in the foreground:
        (image, the product's visible part, what stands out).
        """
        cause, inverse = plan.made_by, 1 / plan.away
        grown = None
        if cause.part is not None:
            grown = cause.part(placed, plan.ground, rng, plan.setting.lamp.side)
        if cause.hide is not None:
            placed = cause.hide(placed, plan.ground, rng)
        whole = placed if grown is None else np.dstack([grown[..., :3], np.maximum(placed[..., 3], grown[..., 3])])
        carried = grown is not None and cause.above is not None  # the part reaches down to the surface
        lift = 0.0 if carried else max(0.0, plan.ground - plan.box[1] - plan.box[3])
        dark = cause.shadow(plan, whole, lift, canvas.surface, rng)
        if dark is not None:
            canvas.darken(dark)
        if grown is not None:
            canvas.lay(grown, inverse * 0.995)
        look = "photo" if cause.coloured and plan.setting.style.startswith("black") else plan.setting.style
        background = style(canvas.picture, look)
        image = over(background, placed[..., :3], placed[..., 3])
        canvas.inverse = np.where(placed[..., 3] > 0.5, np.float32(inverse), canvas.inverse)
        visible, salient = placed, np.maximum(whole[..., 3], placed[..., 3])
        if rng.random() < 0.08:
            image, visible, hidden = self._foreground(plan, canvas, image, placed, rng)
            salient = salient * (1 - hidden)
        return np.clip(image, 0, 1), visible, salient

    def _foreground(self, plan: Plan, canvas: Canvas, image, placed, rng):
        """A blurred thing close to the camera in a lower corner, hiding a little of whatever is there."""
        import cv2

        view = plan.view
        made = self.supply.any(rng, plan.setting.lamp.side)
        tall = rng.uniform(0.25, 0.45) * view.height
        wide = tall * made.rgba.shape[1] / made.rgba.shape[0]
        left = -0.4 * wide if rng.random() < 0.5 else view.width - 0.6 * wide
        layer = put(made.rgba, view.height, view.width, left, view.height * 1.08, tall, wide)
        flat = cv2.GaussianBlur(
            np.dstack([layer[..., :3] * layer[..., 3:], layer[..., 3]]), (0, 0), max(1.0, 0.012 * view.height)
        )
        if (flat[..., 3] * placed[..., 3]).sum() > 0.12 * placed[..., 3].sum():
            return image, placed, 0.0
        canvas.inverse = np.where(flat[..., 3] > 0.5, canvas.inverse.max() * 1.3, canvas.inverse)
        visible = np.dstack([placed[..., :3], placed[..., 3] * (1 - flat[..., 3])])
        return image * (1 - flat[..., 3:]) + flat[..., :3], visible, flat[..., 3]
