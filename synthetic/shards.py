"""Rendered splits on disk: zip files of a hundred scenes, written atomically, so that a stopped run goes on where it
was.

DATA/SPLIT/SPLIT-00012.zip holds `index.jsonl` and the pictures it names (see `rfnet.data.shards`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

from ..rfnet.data.shards import write_shard
from .scenes import make_scene, with_other_props

PER_SHARD = 100
MIN_TELLING = 0.012  # of the frame, about 14 x 14 pixels


def shard_path(data: Path, split: str, number: int) -> Path:
    return data / split / f"{split}-{number:05d}.zip"


def render_row(split: str, number: int, renderer) -> dict:
    """One scene as `rfnet.data.shards.write_shard` takes it.

    A wrong size must be seen to be judged: where the product hides what would tell, other things are tried.
    """
    from PIL import Image

    scene = make_scene(split, number)
    frame = renderer.render(scene)
    for attempt in range(1, 6):
        if scene.label != "size_mismatch" or frame.telling >= MIN_TELLING:
            break
        scene = with_other_props(scene, attempt)
        frame = renderer.render(scene)
    return {
        "id": scene.scene_id,
        "image": Image.fromarray(frame.image),
        "product": Image.fromarray(frame.product),
        "depth": Image.fromarray(frame.depth),
        "saliency": Image.fromarray(frame.saliency),
        "caption": scene.product.caption,
        "prompt": scene.prompt,
        "label": scene.label,
        "cause": scene.cause or scene.twist,
        "product_id": scene.product.product_id,
        "room_id": scene.room_id,
        "metres": round(scene.product.metres, 3),
    }


def render_shard(path: Path, split: str, numbers: range, renderer) -> None:
    """Renders some scenes of a split into one shard."""
    rows = [render_row(split, number, renderer) for number in numbers]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_shard(path, rows)


def length(path: Path) -> int:
    """How many pictures a shard's index names; 0 where there is none or it can't be read."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read("index.jsonl").count(b"\n")
    except (OSError, KeyError, zipfile.BadZipFile):
        return 0


def render_split(data: Path, split: str, count: int, assets: Path, workers: int, progress, start: int = 0) -> None:
    """Renders every shard of a split's scenes start to count - 1 that is not there yet, or has another length, in
    `workers` processes of one thread each; start: a multiple of PER_SHARD.
    """
    wanted = [
        n
        for n in range(start // PER_SHARD, (count + PER_SHARD - 1) // PER_SHARD)
        if length(shard_path(data, split, n)) != min(PER_SHARD, count - n * PER_SHARD)
    ]
    running: list[tuple[subprocess.Popen, int]] = []
    try:
        while wanted or running:
            while wanted and len(running) < workers:
                number = wanted.pop(0)
                running.append((_start(data, split, number, count, assets), number))
            process, number = running.pop(0)
            if process.wait() != 0:
                raise RuntimeError(
                    f"rendering shard {number} of {split} failed (exit code {process.returncode}); the finished shards"
                    " are kept, run the command again."
                )
            progress(number)
    finally:
        for process, _ in running:
            process.terminate()


def _start(data: Path, split: str, number: int, count: int, assets: Path) -> subprocess.Popen:
    """A process that renders one shard and ends: Blender's memory goes back then."""
    root = Path(sys.modules[__package__.rsplit(".", 1)[0]].__path__[0]).parent
    path = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    first = number * PER_SHARD
    numbers = [str(first), str(min(first + PER_SHARD, count))]
    command = [sys.executable, "-m", f"{__package__}.shards", str(data), split, str(number), *numbers, str(assets)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    from .assets import Assets
    from .render import Renderer

    data, split, number, first, last, assets = sys.argv[1:]
    scratch = Path(data) / f"scratch-{number}"
    render_shard(
        shard_path(Path(data), split, int(number)),
        split,
        range(int(first), int(last)),
        Renderer(Assets(assets, scratch), scratch),
    )
    for file in scratch.iterdir():
        file.unlink()
    scratch.rmdir()
