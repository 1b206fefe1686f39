"""Rendered splits on disk: zip files of a hundred scenes, written atomically, so that a stopped run goes on where it was.

DATA/SPLIT/SPLIT-00012.zip holds `index.jsonl` and the pictures it names (see `rfnet.data` for the reader).
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

from .scenes import make_scene

PER_SHARD = 100


def shard_path(data: Path, split: str, number: int) -> Path:
    return data / split / f"{split}-{number:05d}.zip"


def encode(array, **options) -> bytes:
    from PIL import Image
    buffer = io.BytesIO()
    Image.fromarray(array).save(buffer, **options)
    return buffer.getvalue()


def write_shard(path: Path, split: str, numbers: range, renderer) -> None:
    partial = path.with_suffix(f".{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    with zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        for number in numbers:
            scene = make_scene(split, number)
            frame = renderer.render(scene)
            names = {"image": f"{scene.scene_id}.image.webp", "product": f"{scene.scene_id}.product.webp", "depth": f"{scene.scene_id}.depth.png"}
            archive.writestr(names["image"], encode(frame.image, format="WEBP", quality=92))
            archive.writestr(names["product"], encode(frame.product, format="WEBP", quality=92))
            archive.writestr(names["depth"], encode(frame.depth >> 2 << 2, format="PNG", optimize=True))
            lines.append(json.dumps({"id": scene.scene_id, **names, "caption": scene.product.caption, "prompt": scene.prompt, "label": scene.label,
                                     "cause": scene.cause, "product_id": scene.product.product_id, "room_id": scene.room_id, "metres": round(scene.product.metres, 3)}))
        archive.writestr("index.jsonl", "\n".join(lines) + "\n")
    os.replace(partial, path)


def render_split(data: Path, split: str, count: int, assets: Path, workers: int, progress) -> None:
    """Renders every shard of a split that is not there yet, in `workers` processes of one thread each."""
    wanted = [n for n in range((count + PER_SHARD - 1) // PER_SHARD) if not shard_path(data, split, n).exists()]
    base = __package__.rsplit(".", 1)[0]
    root = Path(sys.modules[base].__path__[0]).parent
    running: list[tuple[subprocess.Popen, int]] = []
    try:
        while wanted or running:
            while wanted and len(running) < workers:
                number = wanted.pop(0)
                first = number * PER_SHARD
                command = [sys.executable, "-m", f"{__package__}.shards", str(data), split, str(number), str(first), str(min(first + PER_SHARD, count)), str(assets)]
                running.append((subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": str(root)}), number))
            process, number = running.pop(0)
            if process.wait() != 0:
                raise RuntimeError(f"rendering shard {number} of {split} failed (exit code {process.returncode}); the finished shards are kept, run the command again")
            progress(number)
    finally:
        for process, _ in running:
            process.terminate()


if __name__ == "__main__":      # one shard in a process of its own: Blender's memory goes back when it ends
    from .assets import Assets
    from .render import Renderer
    data, split, number, first, last, assets = sys.argv[1:]
    scratch = Path(data) / f"scratch-{number}"
    write_shard(shard_path(Path(data), split, int(number)), split, range(int(first), int(last)), Renderer(Assets(assets, scratch), scratch))
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()
