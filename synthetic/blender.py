"""Blender as a camera: meshes, materials and pictures go in, light comes out. Needs `bpy` and `OpenEXR`."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np

from .geometry import Mesh
from .products import Material

SIZE = 128
SAMPLES = 5


class Blender:
    def __init__(self, scratch: str | Path, samples: int = SAMPLES):
        import bpy

        self.bpy, self.samples = bpy, samples
        self.file = Path(scratch) / "frame.exr"
        self.file.parent.mkdir(parents=True, exist_ok=True)

    def fresh(self):
        """An empty scene with the camera's settings."""
        bpy = self.bpy
        bpy.ops.wm.read_factory_settings(use_empty=True)
        s = bpy.context.scene
        s.render.engine = "CYCLES"
        s.render.resolution_x = s.render.resolution_y = SIZE
        s.render.threads_mode, s.render.threads = "FIXED", 1
        s.cycles.device, s.cycles.samples, s.cycles.seed = "CPU", self.samples, 1
        s.cycles.use_adaptive_sampling = False
        s.cycles.max_bounces, s.cycles.transparent_max_bounces = 3, 4
        s.cycles.diffuse_bounces = s.cycles.glossy_bounces = 2
        s.cycles.caustics_reflective = s.cycles.caustics_refractive = False
        s.cycles.sample_clamp_indirect = 3.0
        s.cycles.use_denoising = True
        s.cycles.denoiser = "OPENIMAGEDENOISE"
        s.cycles.denoising_input_passes = "RGB_ALBEDO"
        s.cycles.denoising_prefilter = "NONE"
        s.cycles.denoising_quality = "FAST"
        layer = s.view_layers[0]
        layer.use_pass_z = layer.use_pass_cryptomatte_object = True
        layer.pass_cryptomatte_depth = 4
        s.render.image_settings.media_type = "MULTI_LAYER_IMAGE"
        s.render.image_settings.file_format = "OPEN_EXR_MULTILAYER"
        s.render.image_settings.color_depth = "32"
        s.render.filepath = str(self.file)
        return s

    def image(self, picture: np.ndarray):
        """Linear (H, W, 3|4) float → a Blender image; its rows run upwards."""
        height, width = picture.shape[:2]
        rgba = np.ones((height, width, 4), np.float32)
        rgba[..., : picture.shape[2]] = picture
        image = self.bpy.data.images.new("picture", width, height, alpha=True, float_buffer=True)
        image.colorspace_settings.name = "Linear Rec.709"
        image.alpha_mode = "CHANNEL_PACKED"
        image.pixels.foreach_set(rgba[::-1].ravel())
        return image

    def material(self, look: Material, texture: np.ndarray | None = None, glow: bool = False):
        material = self.bpy.data.materials.new("material")
        material.use_nodes = True
        nodes, link = material.node_tree.nodes, material.node_tree.links.new
        nodes.clear()
        out = nodes.new("ShaderNodeOutputMaterial")
        picture = None
        if texture is not None:
            picture = nodes.new("ShaderNodeTexImage")
            picture.image = self.image(texture)
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

    def add(self, name: str, mesh: Mesh, materials: list, uv_step: float | None = None):
        """A mesh with materials. uv_step: size of a repeating texture on the ground; below 0: one upright picture."""
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

    def shoot(self):
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
