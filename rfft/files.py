"""Opening the safetensors files that users name, with one sentence for whatever is wrong with them."""

import hashlib
from collections.abc import Iterable
from contextlib import contextmanager
from pathlib import Path

from ..rfnet.files import open_file, quoted
from ..rfnet.tensors import open_tensors

# Keys of scaled fp8, and of what bitsandbytes and others round weights to
SCALES = (
    "scaled_fp8",
    ".scale_weight",
    ".weight_scale",
    ".weight_scale_2",
    ".scale_input",
    ".comfy_quant",
    ".absmax",
    ".quant_map",
    ".qweight",
    ".qscales",
)
BLOCKS = 256  # read of a file, at most about as many
BLOCK = 1 << 14  # bytes


@contextmanager
def open_safetensors(path, error: type, missing: str, most: int | None = None):
    """The open file, as safetensors gives it.

    Raises `error`: with the sentence `missing` where there is no file, and where it is no whole .safetensors file or
    larger than `most` bytes.
    """
    path = Path(path)
    if path.suffix == ".gguf" and path.exists():
        raise error(
            f"{quoted(path.name)} is a GGUF file, whose weights are rounded to few bits: take the .safetensors file in"
            " fp16 or bf16."
        )
    if path.suffix != ".safetensors" and path.exists():
        raise error(
            f"{quoted(path.name)} is no .safetensors file: other formats can run code when they are opened; convert it"
            " first."
        )
    with open_tensors(path, error, missing, most) as file:
        yield file


def check_precision(keys: Iterable[str], file: str, error: type) -> None:
    """Raises `error` where a file's keys show weights that are rounded to few bits, each layer with a scale of its
    own.
    """
    if scaled := sorted(key for key in keys if key.endswith(SCALES)):
        raise error(
            f"{quoted(file)} holds weights of 8 bits or fewer with scales of their own ({scaled[0][:100]}): take the"
            " file in fp16 or bf16."
        )


def fingerprint(path) -> str:
    """16 hex digits that tell a file, or a folder of models, from others. What isn't there has none of its own.

    Read are the size and some blocks all over a file, since two fine-tunes of one checkpoint differ everywhere.
    """
    path = Path(path)
    digest = hashlib.sha256()
    for file in _files(path):
        size = file.stat().st_size
        digest.update(f"{file.relative_to(path) if file != path else ''} {size}".encode())
        with open_file(file) as opened:
            for place in range(0, size, max(BLOCK, size // BLOCKS)):
                opened.seek(place)
                digest.update(opened.read(BLOCK))
    return digest.hexdigest()[:16]


def _files(path: Path) -> list:
    if path.is_dir():
        return sorted(inside for inside in path.rglob("*.safetensors") if inside.is_file())
    return [path] if path.is_file() else []
