"""What a release holds: the files of this folder without what .gitignore and .comfyignore name.

`python -m reliable_ads.devtools.published` lists them.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from pathspec import GitIgnoreSpec

from .comfy import ROOT


def published(root: Path = ROOT) -> Iterator[str]:
    """The release's files, as paths below root with "/".

    Patterns are read as git and the registry's own tool read them.
    """
    patterns = [
        line
        for name in (".gitignore", ".comfyignore")
        for line in (root / name).read_text(encoding="utf-8").splitlines()
    ]
    left_out = GitIgnoreSpec.from_lines(patterns)
    for folder, folders, files in os.walk(root):
        below = Path(folder).relative_to(root)
        folders[:] = sorted(name for name in folders if not left_out.match_file(f"{(below / name).as_posix()}/"))
        yield from (
            path for path in ((below / name).as_posix() for name in sorted(files)) if not left_out.match_file(path)
        )


def copy_published(target: Path, root: Path = ROOT) -> None:
    """Puts the release into the folder `target`, as ComfyUI-Manager would."""
    for path in published(root):
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / path, target / path)


def main() -> None:
    total = 0
    for path in published():
        total += (size := (ROOT / path).stat().st_size)
        print(f"{size / 1024:10.1f} KiB  {path}")
    print(f"{total / 2**20:.1f} MiB in all", file=sys.stderr)


if __name__ == "__main__":
    main()
