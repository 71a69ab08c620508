"""Which RPCs a node serves today: those that a servicer in nodeagent/rpc/ has a method for."""

import inspect
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pkgutil import walk_packages

from nodeagent import rpc

PARAMETERS = ["self", "request", "call"]  # How a servicer's methods look.


@cache
def served() -> frozenset[str]:
    """Their names in snake_case."""
    return frozenset(_methods())


def _methods() -> Iterator[str]:
    for found in walk_packages(rpc.__path__, f"{rpc.__name__}."):
        module = import_module(found.name)
        for _, servicer in inspect.getmembers(module, inspect.isclass):
            if servicer.__module__ == module.__name__ and not getattr(servicer, "_is_protocol", 0):
                yield from _served_by(servicer)


def _served_by(servicer: type) -> Iterator[str]:
    for name, method in inspect.getmembers(servicer, inspect.isfunction):
        if list(inspect.signature(method).parameters) == PARAMETERS and name[0] != "_":
            yield name
