"""Loads engines, which are not among our dependencies."""

from importlib import import_module
from typing import Any

from datastore.errors import UnsupportedOperation

__all__ = ["engine_module"]


def engine_module(name: str) -> Any:
    """Return the package of an engine.

    Raises:
        UnsupportedOperation: It is not installed.
    """
    try:
        return import_module(name)
    except ImportError as error:
        raise UnsupportedOperation(
            f"{name} is not installed: {error}", hint="pip install 'datastore-sdk[engines]'"
        ) from error
