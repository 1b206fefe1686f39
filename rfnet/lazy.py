"""Names that a package offers, each imported when it is first asked for: `import reliable_ads.rfnet` loads no torch."""

from collections.abc import Callable
from importlib import import_module


def lazily(package: str, **modules: str) -> tuple[list[str], Callable, Callable]:
    """A package's `__all__`, `__getattr__` and `__dir__` (PEP 562).

    package: its `__name__`; modules: {module of it: the names that it holds, separated by spaces}, a module of a
    sub-package with "__" for the dot.
    """
    where = {name: module.replace("__", ".") for module, names in modules.items() for name in names.split()}

    def getattribute(name: str):
        if name not in where:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{where[name]}"), name)

    def names() -> list[str]:
        return sorted(where)

    return names(), getattribute, names
