"""Names for what a reviewer sees of a sample, so that what was computed of it can be kept."""

from ..files import quoted
from .archives import ArchiveError
from .errors import BrokenSample
from .samples import Samples
from .spans import hash_text


def seen_key(samples: Samples, row: int) -> int:
    """64 bits that name what a reviewer sees of a sample, whatever the sample is called: the content of its pictures,
    its caption and who made its maps. Raises BrokenSample.
    """
    contents = {}
    for role, files in sorted(samples.files.items()):
        if row in files:
            try:
                contents[role] = files.content_key(row)
            except (ArchiveError, OSError) as error:
                raise BrokenSample(f"the {role} {quoted(files.name(row))} can't be read ({error}).") from error
    caption = samples.texts["caption"][row] if "caption" in samples.texts else ""
    return hash_text(repr((contents, caption, samples.map_name)))
