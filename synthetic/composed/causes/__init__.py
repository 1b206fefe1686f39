"""How composites come by their defects: one file per label, one entry per cause.

Causes marked `held` occur in the test split only. A new cause goes last in its file, so that scenes of other labels
stay as they are.
"""

from ...causes import Causes
from . import hiding, parts, size, space
from .cause import WRONG_BY, ComposedCause

AVAILABLE = ComposedCause("", "available")
CAUSES: Causes[ComposedCause] = Causes([AVAILABLE, *space.CAUSES, *size.CAUSES, *hiding.CAUSES, *parts.CAUSES])

__all__ = ["AVAILABLE", "CAUSES", "WRONG_BY", "ComposedCause"]
