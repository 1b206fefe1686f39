"""What a model of the user's is called where answers or weights are kept for it."""

import hashlib
from pathlib import Path


def name_of(path: Path) -> str:
    """The name of a file, or of a folder that transformers wrote, and 8 hex digits that tell it from another of that
    name: those of its config, and of the names and sizes of its weights.
    """
    weights = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    digest = hashlib.sha256((path / "config.json").read_bytes() if path.is_dir() else b"")
    for file in weights:
        digest.update(f"{file.name} {file.stat().st_size}".encode())
    return f"{path.stem if path.is_file() else path.name} {digest.hexdigest()[:8]}"
