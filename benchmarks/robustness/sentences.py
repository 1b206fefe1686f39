"""What a clear sentence is, written down: one or two sentences below 400 characters that name the file or the input and
say what to do."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 400
LONGEST_WORD = 120  # characters without a blank: more is somebody's payload
SAID_BY_PYTHON = (  # words of an interpreter or a library about itself, which help nobody
    "traceback",
    "unsupported operand",
    "object is not",
    "object has no",
    "nonetype",
    "[errno",
    "errno ",
    "unexpected keyword",
    "positional argument",
    "not supported between",
    "invalid literal",
    "codec can't",
    "<class ",
    "object at 0x",
    "could not convert",
    "list index out of range",
    "out of bounds for",
    "indices must be",
    "keyerror",
    "typeerror",
    "valueerror",
    "attributeerror",
    "recursionerror",
    "maximum recursion",
    "dtype(",
    "must be str, not",
    "cannot unpack",
    "not enough values",
    "too many values",
    "size mismatch for",
    "exceeds the limit (4300",
    "set_int_max_str_digits",
    "__init__",
    "decimal.",
    "object supporting the buffer",
    "has no len()",
    "not subscriptable",
    "not iterable",
    "tensor with",
    "expected scalar type",
    "input.size",
)
REMEDY = re.compile(
    r"\b(add|ask|between|call|certify|change|check|choose|close|connect|convert|copy|correct|delete|download|"
    r"expected|export|feed|free|give|install|keep|known|label|leave|lower|make|mend|move|must|name|need|needs|"
    r"open|pass|press|profile|put|raise|remove|replace|resize|restart|restore|run|save|scale|set|should|show|"
    r"take|train|try|unpack|update|use|want|write|at least|at most|required|unrecognized|invalid \w+ value|"
    r"can be|may be|from \S+ to)\b",
    re.IGNORECASE,
)


def unclear(message: str, names: tuple = (), remedy: bool = True) -> str | None:
    """Why a message is no clear sentence; None where it is one. names: one of them has to stand in it; remedy: whether
    it has to say what to do, which what is said of one line of a table needn't."""
    low = message.lower()
    if not message.strip():
        return "it is empty"
    if len(message) > LONGEST:
        return f"it has {len(message)} characters"
    if not message.isprintable():
        return "it holds line breaks or signs that can't be printed"
    if found := next((words for words in SAID_BY_PYTHON if words in low), None):
        return f'it says "{found}"'
    if len(longest := max(message.split(), key=len)) > LONGEST_WORD and "/" not in longest and "\\" not in longest:
        return f"it shows {len(longest)} characters of what it was given"
    if names and not any(name.lower() in low for name in names):
        return f"it names none of {', '.join(names)}"
    if remedy and not REMEDY.search(message):
        return "it doesn't say what to do"
    if len(re.findall(r"[.!?:;]\s+[A-Z]", message)) > 2:
        return "it is more than two sentences"
    return None


@dataclass(frozen=True)
class Said:
    """What the user was told about a bad input. beside: all else went on without that part, which was named and
    counted."""

    text: str
    beside: bool = False
