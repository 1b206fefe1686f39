"""Scenes to pixels with Blender's path tracer: picture, product cut-out, inverse depth. Needs `bpy` and `OpenEXR`.

One frame is 128x128 at 5 samples with the built-in denoiser: about 0.5 s on one core.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import pictures
from .assets import Assets
from .geometry import Mesh, card
from .products import COLOURS, Material
from .props import clutter, grow, make_prop, put_beside
from .scenes import CAUSES, LIGHTS, SURFACES, Scene, dominant_colour

SIZE = 128
SAMPLES = 5


@dataclass(frozen=True)
class Rendered:
    image: np.ndarray  # (128, 128, 3) uint8, the advertising picture
    product: np.ndarray  # (128, 128, 4) uint8, the product alone on the same canvas
    depth: np.ndarray  # (128, 128) uint8, inverse depth, 255 = nearest, 0 = the backdrop
    saliency: np.ndarray  # (128, 128) uint8, the product and what has grown on it
    telling: float  # share of the frame that shows the things whose size one knows


class Renderer:
    def __init__(self, assets: Assets, scratch: str | Path, samples: int = SAMPLES):
        import bpy

        self.bpy, self.assets, self.samples = bpy, assets, samples
        self.file = Path(scratch) / "frame.exr"
        self.file.parent.mkdir(parents=True, exist_ok=True)

    # ---- Blender objects -------------------------------------------------------------------------------------------

    def _fresh(self):
        bpy = self.bpy
        bpy.ops.wm.read_factory_settings(use_empty=True)
        s = bpy.context.scene
        s.render.engine = "CYCLES"
        s.render.resolution_x = s.render.resolution_y = SIZE
        s.render.threads_mode, s.render.threads = "FIXED", 1
        s.cycles.device, s.cycles.samples, s.cycles.seed = "CPU", self.samples, 1
        s.cycles.use_adaptive_sampling = False
        s.cycles.max_bounces, s.cycles.diffuse_bounces, s.cycles.glossy_bounces, s.cycles.transparent_max_bounces = (
            3,
            2,
            2,
            4,
        )
        s.cycles.caustics_reflective = s.cycles.caustics_refractive = False
        s.cycles.sample_clamp_indirect = 3.0
        s.cycles.use_denoising, s.cycles.denoiser = True, "OPENIMAGEDENOISE"
        s.cycles.denoising_input_passes, s.cycles.denoising_prefilter, s.cycles.denoising_quality = (
            "RGB_ALBEDO",
            "NONE",
            "FAST",
        )
        layer = s.view_layers[0]
        layer.use_pass_z = layer.use_pass_cryptomatte_object = True
        layer.pass_cryptomatte_depth = 4
        s.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
        s.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
        s.render.image_settings.color_depth = "32"
        s.render.filepath = str(self.file)
        return s

    def _image(self, picture: np.ndarray):
        """Linear (H, W, 3|4) float → a Blender image; its rows run upwards."""
        height, width = picture.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., : picture.shape[2]] = picture
        image = self.bpy.data.images.new("picture", width, height, alpha=True, float_buffer=True)
        image.colorspace_settings.name = "Linear Rec.709"
        image.alpha_mode = "CHANNEL_PACKED"
        image.pixels.foreach_set(rgba[::-1].ravel())
        return image

    def _material(self, look: Material, texture: np.ndarray | None = None, glow: bool = False):
        material = self.bpy.data.materials.new("material")
        material.use_nodes = True
        nodes, link = material.node_tree.nodes, material.node_tree.links.new
        nodes.clear()
        out = nodes.new("ShaderNodeOutputMaterial")
        picture = None
        if texture is not None:
            picture = nodes.new("ShaderNodeTexImage")
            picture.image = self._image(texture)
        if glow:
            shader = nodes.new("ShaderNodeEmission")
            link(picture.outputs["Color"], shader.inputs["Color"])
        else:
            shader = nodes.new("ShaderNodeBsdfPrincipled")
            shader.inputs["Roughness"].default_value = look.roughness
            shader.inputs["Metallic"].default_value = look.metallic
            if picture:
                link(picture.outputs["Color"], shader.inputs["Base Color"])
            else:
                shader.inputs["Base Color"].default_value = (*look.colour, 1)
            if look.picture:  # a drawn cut-out brings its own shading: half of it shines by itself
                link(picture.outputs["Color"], shader.inputs["Emission Color"])
                shader.inputs["Emission Strength"].default_value = 0.35
                link(picture.outputs["Alpha"], shader.inputs["Alpha"])
        link(shader.outputs[0], out.inputs["Surface"])
        return material

    def _object(self, name: str, mesh: Mesh, materials: list, uv_step: float | None = None):
        data = self.bpy.data.meshes.new(name)
        data.from_pydata(mesh.vertices.tolist(), [], mesh.faces)
        for material in materials:
            data.materials.append(material)
        data.polygons.foreach_set("material_index", np.minimum(mesh.materials, len(materials) - 1).astype(np.int32))
        if uv_step is not None:
            layer = data.uv_layers.new()
            corner = np.empty(len(data.loops), np.int32)
            data.loops.foreach_get("vertex_index", corner)
            flat = mesh.vertices[corner]
            layer.data.foreach_set(
                "uv",
                (flat[:, :2] / uv_step if uv_step > 0 else (flat[:, [0, 2]] - mesh.low[[0, 2]]) / mesh.size[[0, 2]])
                .astype(np.float32)
                .ravel(),
            )
        if len(mesh.faces) > 40 or name == "product":
            data.shade_auto_smooth() if hasattr(data, "shade_auto_smooth") else data.set_sharp_from_angle(angle=0.6)
        thing = self.bpy.data.objects.new(name, data)
        self.bpy.context.scene.collection.objects.link(thing)
        return thing

    # ---- parts of a scene ------------------------------------------------------------------------------------------

    def _surface_texture(self, scene: Scene, rng, colour) -> np.ndarray:
        kind, colours, _ = SURFACES[scene.surface]
        if scene.cause == "own_colours":
            return pictures.speckle(rng, colour, np.array(colour) * rng.uniform(0.6, 0.9), 12)
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
        if scene.cause == "own_colours":
            picture = pictures.painted_room(rng, np.array(colour) * rng.uniform(0.8, 1.15), "plain")
        elif scene.cause == "clutter":
            picture = pictures.clutter_wall(
                rng, [colour, *[COLOURS[n] for n in rng.choice(list(COLOURS), 4, replace=False)]]
            )
        elif scene.panorama:
            picture = pictures.panorama_view(self.assets.panorama(scene.panorama), scene.yaw, scene.horizon)
        else:
            kind, name = scene.wall
            picture = pictures.painted_room(rng, COLOURS[name], kind)
        return pictures.blur(picture, 0.5 * scene.backdrop_blur if scene.cause == "clutter" else scene.backdrop_blur)

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
        material = self._material(Material((0, 0, 0)), picture, glow=True)
        flat = card(1, 1)
        thing = self._object("backdrop", Mesh(mesh.vertices, mesh.faces), [material])
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
            texture, mapping, place = (
                nodes.new("ShaderNodeTexEnvironment"),
                nodes.new("ShaderNodeMapping"),
                nodes.new("ShaderNodeTexCoord"),
            )
            texture.image = self._image(self.assets.panorama(scene.panorama)[::2, ::2] * tint)
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
        s = self._fresh()
        drawing = self.assets.cutout(scene.product.materials[0].picture) if scene.product.family == "cutout" else None
        colour = dominant_colour(scene.product, drawing)
        if drawing is None:
            product, materials = scene.product.mesh, [self._material(m) for m in scene.product.materials]
        else:
            height, width = drawing.shape[:2]
            product = card(width, height).unit()
            linear = drawing.astype(np.float32) / 255
            linear[..., :3] **= 2.2
            materials = [self._material(scene.product.materials[0], linear)]
        lift, grown = 0.0, None
        own = scene.twist.startswith("own_")
        part = scene.twist.removeprefix("own_") if own else scene.cause
        if part in CAUSES["shape_hallucination"]:
            grown, lift = grow(part, product, rng)
        elif scene.cause == "float":
            lift = rng.uniform(0.1, 0.3)
        elif scene.cause == "sink":
            lift = -rng.uniform(0.18, 0.4) * product.size[2]
        placed = product.moved(z=lift)
        middle, width = self._camera(s, scene, placed)
        self._light(s, scene)
        others = []
        if scene.cause != "no_surface":
            front = rng.uniform(0.05, 0.25) if scene.cause == "over_edge" else -9.0
            slab = Mesh(
                np.array(
                    [
                        (x, y, z)
                        for z in (-0.14, 0)
                        for x, y in (
                            (-9, front),
                            (9, front),
                            (9, front + 0.6 + scene.surface_back if front > 0 else scene.surface_back),
                            (-9, front + 0.6 + scene.surface_back if front > 0 else scene.surface_back),
                        )
                    ]
                ),
                [(0, 1, 5, 4), (4, 5, 6, 7), (2, 3, 7, 6)],
            )
            others.append(
                self._object(
                    "surface",
                    slab,
                    [
                        self._material(
                            Material((0, 0, 0), rng.uniform(0.25, 0.8)), self._surface_texture(scene, rng, colour)
                        )
                    ],
                    uv_step=1.6,
                )
            )
            for prop in scene.props:
                mesh, looks = make_prop(prop.kind, prop.seed)
                mesh = put_beside(mesh.scaled(prop.height).turned(prop.turn), product, prop.side, prop.gap)
                others.append(
                    self._object(
                        "prop",
                        mesh.moved(y=max(front, 0) + 0.1 if front > 0 else 0),
                        [self._material(m) for m in looks],
                    )
                )
        if scene.cause == "clutter":
            for mesh, look in clutter(
                rng,
                [colour, colour, *[COLOURS[n] for n in rng.choice(list(COLOURS), 3, replace=False)]],
                product.size[0] / 2,
            ):
                others.append(self._object("clutter", mesh, [self._material(look)]))
        if grown is not None:
            shade = tuple(float(c) for c in np.clip(np.array(colour) * rng.uniform(0.8, 1.2), 0.01, 0.95))
            base = scene.product.materials[0]
            others.append(
                self._object(
                    "product" if own else "grown",
                    grown,
                    [self._material(Material(shade, base.roughness, base.metallic))],
                )
            )
        self._backdrop(scene, self._backdrop_picture(scene, rng, colour), middle, width)
        self._object("product", placed, materials, uv_step=-1 if drawing is not None else None)
        picture, cover, depth = self._shoot()
        shown, coverage, telling = picture, cover("product"), float(cover("prop").mean())
        salient = np.clip(coverage + cover("grown"), 0, 1)
        if scene.cause == "sink":  # the shop's cut-out is pasted whole, whatever the surface would hide
            for other in others:
                other.hide_render = True
            shown, cover, _ = self._shoot()
            coverage = salient = cover("product")
        image, product, inverse = self._develop(scene, rng, picture, shown, coverage, depth)
        return Rendered(image, product, inverse, to_bytes(salient), telling)

    def _shoot(self):
        """Renders → linear picture (H, W, 3), a function that gives the coverage (H, W) of the objects of one name,
        camera distance (H, W).
        """
        import OpenEXR

        self.bpy.ops.render.render(write_still=True)
        with OpenEXR.File(str(self.file), separate_channels=True) as frame:
            channel = {
                name.split(".", 1)[1].lower(): np.array(c.pixels, np.float32)
                for part in frame.parts
                for name, c in part.channels.items()
            }
            manifest = next(
                json.loads(value) for key, value in frame.parts[0].header.items() if key.endswith("/manifest")
            )

        def coverage(name: str) -> np.ndarray:
            total = np.zeros((SIZE, SIZE), np.float32)
            for mark in (
                struct.unpack("<f", struct.pack("<I", int(code, 16)))[0]
                for thing, code in manifest.items()
                if thing.split(".")[0] == name
            ):
                for level in ("cryptoobject00", "cryptoobject01"):
                    for identity, share in (("r", "g"), ("b", "a")):
                        total += np.where(channel[f"{level}.{identity}"] == mark, channel[f"{level}.{share}"], 0)
            return np.clip(total, 0, 1)

        picture = np.stack([channel[f"combined.{c}"] for c in "rgb"], -1)
        return picture, coverage, next(v for k, v in channel.items() if k.startswith("depth"))

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


def to_bytes(values: np.ndarray) -> np.ndarray:
    return np.clip(values * 255 + 0.5, 0, 255).astype(np.uint8)


def tone(linear: np.ndarray) -> np.ndarray:
    """Filmic curve (Narkowicz's fit to ACES) and display gamma."""
    x = np.clip(linear, 0, None)
    return np.clip(x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14), 0, 1) ** (1 / 2.2)


def style(picture: np.ndarray, name: str) -> np.ndarray:
    grey = picture.mean(-1, keepdims=True)
    if name.startswith("black"):
        return np.broadcast_to(grey, picture.shape)
    if name.startswith("pastel"):
        return 0.3 + 0.7 * (grey + 0.75 * (picture - grey))
    if name.startswith("moody"):
        return np.clip(grey + 0.8 * (picture - grey), 0, 1) ** 1.6
    if name.startswith("vivid"):
        return np.clip(grey + 1.5 * (picture - grey), 0, 1)
    return picture
