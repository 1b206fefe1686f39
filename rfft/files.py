"""Opening the safetensors files that users name, with one sentence for whatever is wrong with them."""

from contextlib import contextmanager
from pathlib import Path


@contextmanager
def opened(path, error: type, missing: str):
    """The open file, as safetensors gives it. Raises `error`: with the sentence `missing` where no file is, and where it is no whole .safetensors file."""
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise error(missing)
    if path.suffix != ".safetensors":
        raise error(f'"{path.name}" is no .safetensors file: other formats can run code when they are opened; convert it first.')
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError) as cause:
        raise error(f'"{path.name}" is cut short or is no safetensors file ({cause}): copy or download it again.') from cause
