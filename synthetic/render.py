"""Scenes to pixels with Blender's path tracer: picture, product cut-out, inverse depth. Needs `bpy` and `OpenEXR`.

One frame is 128x128 at 5 samples with the built-in denoiser: about 0.5 s on one core.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import pictures
from .assets import Assets
from .blender import SAMPLES, Blender
from .develop import style, to_bytes, tone
from .geometry import Mesh, card
from .products import COLOURS, Material
from .props import make_prop, put_beside
from .scenes import LIGHTS, SURFACES, Scene, dominant_colour


@dataclass(frozen=True)
class Rendered:
    image: np.ndarray  # (128, 128, 3) uint8, the advertising picture
    product: np.ndarray  # (128, 128, 4) uint8, the product alone on the same canvas
    depth: np.ndarray  # (128, 128) uint8, inverse depth, 255 = nearest, 0 = the backdrop
    saliency: np.ndarray  # (128, 128) uint8, the product and what has grown on it
    telling: float  # share of the frame that shows the things whose size one knows


class Renderer:
    def __init__(self, assets: Assets, scratch: str | Path, samples: int = SAMPLES):
        self.assets = assets
        self.blender = Blender(scratch, samples)
        self.bpy = self.blender.bpy

    # ---- parts of a scene ------------------------------------------------------------------------------------------

    def _surface_texture(self, scene: Scene, rng, colour) -> np.ndarray:
        kind, colours, _ = SURFACES[scene.surface]
        if scene.made_by.surface_picture is not None:
            return scene.made_by.surface_picture(rng, colour)
        tint = rng.uniform(0.85, 1.15, 3) * rng.uniform(0.85, 1.15)
        a, *rest = [np.clip(np.array(c) * tint, 0, 0.95).astype(np.float32) for c in colours]
        if kind == "flat":
            return np.broadcast_to(a, (8, 8, 3)).copy()
        return {
            "wood": pictures.wood,
            "marble": pictures.marble,
            "speckle": pictures.speckle,
            "tiles": pictures.tiles,
            "checks": pictures.checks,
        }[kind](rng, a, rest[0])

    def _backdrop_picture(self, scene: Scene, rng, colour) -> np.ndarray:
        if scene.made_by.backdrop is not None:
            picture = scene.made_by.backdrop(rng, colour)
        elif scene.panorama:
            picture = pictures.panorama_view(self.assets.panorama(scene.panorama), scene.yaw, scene.horizon)
        else:
            kind, name = scene.wall
            picture = pictures.painted_room(rng, COLOURS[name], kind)
        return pictures.blur(picture, scene.made_by.blur * scene.backdrop_blur)

    def _camera(self, s, scene: Scene, product: Mesh):
        """Looks at the product from `elevation` so that its outline fills `image_scale` of the frame, in the middle."""
        target = np.array([0, 0, product.low[2] + product.size[2] / 2])
        forward = np.array([0, np.cos(scene.elevation), -np.sin(scene.elevation)])
        up = np.array([0, np.sin(scene.elevation), np.cos(scene.elevation)])
        place = target - forward * scene.distance
        seen = product.vertices - place
        depth = seen @ forward
        flat = np.stack([seen[:, 0] / depth, seen @ up / depth], 1)
        low, high = flat.min(0), flat.max(0)
        frame = (high - low).max() / scene.image_scale
        camera = self.bpy.data.cameras.new("camera")
        camera.sensor_width, camera.lens_unit = 36.0, "MILLIMETERS"
        camera.lens = 36.0 / frame
        camera.shift_x, camera.shift_y = (low + high) / 2 / frame
        thing = self.bpy.data.objects.new("camera", camera)
        thing.location, thing.rotation_euler = place, (np.pi / 2 - scene.elevation, 0, 0)
        s.collection.objects.link(thing)
        s.camera = thing
        middle = place + forward * 12 + np.array([1.0, 0, 0]) * (low + high)[0] / 2 * 12 + up * (low + high)[1] / 2 * 12
        return middle, frame * 12 * 1.04

    def _backdrop(self, scene: Scene, picture: np.ndarray, middle, width):
        mesh = card(width * 4 / 3, width)
        mesh = mesh.moved(z=-width / 2).turned(-scene.elevation, "x").moved(*middle)
        material = self.blender.material(Material((0, 0, 0)), picture, glow=True)
        flat = card(1, 1)
        thing = self.blender.add("backdrop", Mesh(mesh.vertices, mesh.faces), [material])
        layer = thing.data.uv_layers.new()
        layer.data.foreach_set("uv", (flat.vertices[:, [0, 2]] + [0.5, 0]).astype(np.float32).ravel())
        thing.visible_diffuse = thing.visible_glossy = thing.visible_shadow = False

    def _light(self, s, scene: Scene):
        colour, strength, world_strength, radius = LIGHTS[scene.light]
        world = self.bpy.data.worlds.new("world")
        s.world = world
        world.use_nodes = True
        # the automatic importance map of a panorama costs 2.7 s a frame; 64 rows find its lamps as well
        world.cycles.sampling_method, world.cycles.sample_map_resolution = "MANUAL", 64
        nodes, link = world.node_tree.nodes, world.node_tree.links.new
        background = nodes["Background"]
        background.inputs["Strength"].default_value = world_strength
        tint = 0.5 + 0.5 * np.array(colour)
        if scene.panorama:
            texture = nodes.new("ShaderNodeTexEnvironment")
            mapping = nodes.new("ShaderNodeMapping")
            place = nodes.new("ShaderNodeTexCoord")
            texture.image = self.blender.image(self.assets.panorama(scene.panorama)[::2, ::2] * tint)
            mapping.inputs["Rotation"].default_value = (0, 0, scene.yaw)
            link(place.outputs["Generated"], mapping.inputs["Vector"])
            link(mapping.outputs["Vector"], texture.inputs["Vector"])
            link(texture.outputs["Color"], background.inputs["Color"])
        else:
            background.inputs["Color"].default_value = (*(0.4 * tint), 1)
        lamp = self.bpy.data.lights.new("lamp", "AREA")
        lamp.shape, lamp.size, lamp.color, lamp.energy = "DISK", 2 * radius, colour, 260 * strength
        thing = self.bpy.data.objects.new("lamp", lamp)
        place = np.array([3.2 * scene.lamp_side, -2.2, 3.6])
        thing.location = place
        from mathutils import Vector

        thing.rotation_euler = Vector(-place + [0, 0, 0.4]).to_track_quat("-Z", "Y").to_euler()
        s.collection.objects.link(thing)

    # ---- the whole -------------------------------------------------------------------------------------------------

    def render(self, scene: Scene) -> Rendered:
        rng = np.random.default_rng(scene.seed + 1)
        s = self.blender.fresh()
        product, materials, colour = self._product(scene)
        lift, grown = 0.0, None
        if scene.part is not None:
            grown, lift = scene.part(product, rng)
        elif scene.made_by.lift is not None:
            lift = scene.made_by.lift(rng, product)
        placed = product.moved(z=lift)
        middle, width = self._camera(s, scene, placed)
        self._light(s, scene)
        others = self._surroundings(scene, rng, product, colour)
        if grown is not None:
            others.append(self._grown(scene, rng, grown, colour))
        self._backdrop(scene, self._backdrop_picture(scene, rng, colour), middle, width)
        self.blender.add("product", placed, materials, uv_step=-1 if scene.product.family == "cutout" else None)
        picture, cover, depth = self.blender.shoot()
        shown, coverage, telling = picture, cover("product"), float(cover("prop").mean())
        salient = np.clip(coverage + cover("grown"), 0, 1)
        if scene.made_by.pasted:
            for other in others:
                other.hide_render = True
            shown, cover, _ = self.blender.shoot()
            coverage = salient = cover("product")
        image, cutout, inverse = self._develop(scene, rng, picture, shown, coverage, depth)
        return Rendered(image, cutout, inverse, to_bytes(salient), telling)

    def _product(self, scene: Scene):
        """The product's mesh, its materials in Blender, and its main colour."""
        base = scene.product.materials[0]
        if scene.product.family != "cutout":
            materials = [self.blender.material(material) for material in scene.product.materials]
            return scene.product.mesh, materials, dominant_colour(scene.product, None)
        drawing = self.assets.cutout(base.picture)
        height, width = drawing.shape[:2]
        linear = drawing.astype(np.float32) / 255
        linear[..., :3] **= 2.2
        colour = dominant_colour(scene.product, drawing)
        return card(width, height).unit(), [self.blender.material(base, linear)], colour

    def _surroundings(self, scene: Scene, rng, product: Mesh, colour) -> list:
        """The surface, the props on it, and whatever else the scene's cause sets there."""
        cause, others = scene.made_by, []
        if cause.surface:
            front = rng.uniform(*cause.edge) if cause.edge else -9.0
            material = Material((0, 0, 0), rng.uniform(0.25, 0.8))
            texture = self.blender.material(material, self._surface_texture(scene, rng, colour))
            others.append(self.blender.add("surface", _slab(front, scene.surface_back), [texture], uv_step=1.6))
            for prop in scene.props:
                mesh, looks = make_prop(prop.kind, prop.seed)
                mesh = put_beside(mesh.scaled(prop.height).turned(prop.turn), product, prop.side, prop.gap)
                mesh = mesh.moved(y=max(front, 0) + 0.1 if front > 0 else 0)
                others.append(self.blender.add("prop", mesh, [self.blender.material(look) for look in looks]))
        if cause.objects is not None:
            for mesh, look in cause.objects(rng, colour, product.size[0] / 2):
                others.append(self.blender.add("clutter", mesh, [self.blender.material(look)]))
        return others

    def _grown(self, scene: Scene, rng, part: Mesh, colour):
        """A part in the product's colour: the product's own, or one that has grown on it."""
        shade = tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(0.8, 1.2), 0.01, 0.95))
        base = scene.product.materials[0]
        material = self.blender.material(Material(shade, base.roughness, base.metallic))
        return self.blender.add("product" if scene.own_part else "grown", part, [material])

    def _develop(self, scene: Scene, rng, picture, own, coverage, depth) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Exposure, tone curve and style.

        The style colours the background only: the product's pixels are the shop's own.
        """
        level = 0.55 if scene.light == "dim light" else 0.95
        exposure = level * 0.3 / max(float(np.median(picture.mean(-1))) * 0.5 + float(picture.mean()) * 0.5, 1e-3)
        background, product = tone(picture * exposure), tone(own * exposure)
        background = style(background, scene.style)
        alpha = coverage[..., None]
        image = alpha * product + (1 - alpha) * background
        inverse = 1 / np.clip(depth, 0.1, 1e4)
        far = 1 / 13.0
        depth = np.clip((inverse - far) / (inverse.max() - far), 0, 1)
        return to_bytes(image), to_bytes(np.concatenate([product, alpha], -1)), to_bytes(depth)


def _slab(front: float, back: float) -> Mesh:
    """A surface at z = 0 that begins `front` behind the product's middle; one that begins behind it reaches further."""
    back = front + 0.6 + back if front > 0 else back
    corners = [(x, y, z) for z in (-0.14, 0) for x, y in ((-9, front), (9, front), (9, back), (-9, back))]
    return Mesh(np.array(corners), [(0, 1, 5, 4), (4, 5, 6, 7), (2, 3, 7, 6)])
