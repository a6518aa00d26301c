"""How far a bulk of transfers is, for callbacks of fsspec's kind."""

from collections.abc import Sequence
from typing import Any

__all__ = ["Branches"]


class Branches:
    """Tells fsspec's callbacks how far each of many files is, in the caller's thread.

    Args:
        callback: Is told of files; its branches of bytes. None wants to know nothing.
        names: Source and target of each file.
        sizes: Bytes of each file, where they are known before.
    """

    def __init__(self, callback: Any, names: Sequence[tuple[str, str]], sizes: Sequence[int] = ()) -> None:
        self._callback = callback
        self._names = names
        self._sizes = sizes
        self._silent = callback is None or _is_silent(callback)
        self._open: dict[int, Any] = {}

    def told(self, number: int, size: int) -> None:
        """Learn that a file has some bytes more."""
        if not self._silent:
            self._branch(number).relative_update(size)

    def over(self, number: int) -> None:
        """Learn that a file is complete."""
        if not self._silent:
            self._branch(number).close()
            del self._open[number]
            self._callback.relative_update(1)

    def _branch(self, number: int) -> Any:
        branch = self._open.get(number)
        if branch is None:
            branch = self._open[number] = self._callback.branched(*self._names[number])
            if self._sizes:
                branch.set_size(self._sizes[number])
        return branch


def _is_silent(callback: Any) -> bool:
    from fsspec.callbacks import NoOpCallback  # whoever gives one has loaded it

    return type(callback) is NoOpCallback
