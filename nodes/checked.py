"""What each node class is wrapped in: inputs are checked while queueing and before it runs; errors are sentences.

@checked(checks={"dataset": dataset_folder}, advanced=("seconds",), aliases=("quality check",))
class RFLabel(io.ComfyNode): ...
"""

from collections.abc import Callable
from functools import wraps

from .inputs import WIDGETS, check_link, shown, value_of

LONGEST = 400  # characters of a sentence
PACK = __name__.rpartition(".nodes.")[0]


class Sentence(ValueError):
    """What the user is told.

    ComfyUI shows an error as "module.Class: text", where a custom node's module is a long path; not so a built-in
    class.
    """


Sentence.__module__ = "builtins"
Sentence.__qualname__ = "Reliable Ads"


def checked(
    checks: dict[str, Callable] | None = None, advanced: tuple = (), aliases: tuple = (), in_between: bool = False
) -> Callable:
    """A decorator of node classes.

    checks: {input: a function of its value that raises a sentence}, for what a list or a range doesn't say. A list of
    files is then not compared with, since the function's sentence says more.
    advanced: inputs that few change. aliases: words by which the node is searched for, too. in_between: an output node
    that no graph ends with; it shows its result again when it comes from the cache, but need not run for itself. These
    three are used by the ComfyUIs that know them.
    """

    def decorate(node: type) -> type:
        define = node.define_schema.__func__
        execute = node.execute.__func__

        @wraps(define)
        def define_schema(cls):
            schema = define(cls)
            for each in schema.inputs:
                if each.id in advanced:
                    each.extra_dict = {**(each.extra_dict or {}), "advanced": True}
            if hasattr(schema, "search_aliases"):
                schema.search_aliases = list(aliases)
            if in_between and hasattr(schema, "has_intermediate_output"):
                schema.has_intermediate_output = True
                schema.is_output_node = False
            return schema

        def validate_inputs(cls, input_types=None, **values):
            with_sentences(lambda: check(cls, checks or {}, input_types or {}, values))
            return True

        @wraps(execute)
        def run(cls, **values):
            return with_sentences(lambda: execute(cls, **converted(cls, checks or {}, values)))

        node.define_schema, node.validate_inputs, node.execute = map(classmethod, (define_schema, validate_inputs, run))
        return node

    return decorate


def check(cls, checks: dict, linked: dict, values: dict) -> None:
    """While queueing: linked is {input: the type of the output}, values are what is written.

    ComfyUI leaves its own checks, which differ between its versions, to a validate_inputs that takes all inputs and
    input_types. The sentence is raised: one that is returned would be repeated for every input, and newer pages leave
    it out of what they show first.
    """
    for name, kind, about, required in inputs_of(cls):
        if name in linked:
            check_link(name, kind, about, linked[name])
        elif name in values and (required or values[name] is not None):
            checked_value(name, kind, about, values[name], checks.get(name))


def converted(cls, checks: dict, values: dict) -> dict:
    """Before running: the values, also those that came through links, as the node takes them. Raises a sentence."""
    result = dict(values)
    for name, kind, about, required in inputs_of(cls):
        if name in values and (required or values[name] is not None):
            result[name] = checked_value(name, kind, about, values[name], checks.get(name), linked=True)
        elif values.get(name, 0) is None and kind in WIDGETS:
            del result[name]  # an optional one that is left empty keeps its default
    return result


def checked_value(name: str, kind, about: dict, value, check: Callable | None, linked: bool = False):
    """value_of, and what the node itself says of it."""
    if check and isinstance(value, str):  # a list of files may have grown, and its check says where a file belongs
        kind = "STRING"
    result = value_of(name, kind, about, value, linked)
    if check:
        check(result)
    return result


def inputs_of(cls):
    """(name, type, options, whether it is required) of each input, as ComfyUI's page gets them."""
    for group in ("required", "optional"):
        for name, (kind, *about) in cls.INPUT_TYPES().get(group, {}).items():
            yield name, kind, about[0] if about else {}, group == "required"


def with_sentences(work: Callable):
    """What `work` gives.

    What this pack raises becomes a Sentence; a cancel, a full memory and all else stay as they are.
    """
    try:
        return work()
    except Exception as error:
        if type(error).__module__.startswith(PACK + "."):
            raise Sentence(shown(str(error), LONGEST)) from error
        raise
