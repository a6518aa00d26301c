"""The error of content that nobody needed any more when somebody was about to name it again."""

from collections.abc import Callable
from typing import TypeVar

from datastore.errors import NotFound

__all__ = ["ContentCollected", "twice"]

T = TypeVar("T")


class ContentCollected(NotFound):
    """Nothing was changed. A second look finds what is there now, or says that nothing is."""


def twice(act: Callable[[], T]) -> T:
    """Do something again if what it was about to name went meanwhile."""
    try:
        return act()
    except ContentCollected:
        return act()
