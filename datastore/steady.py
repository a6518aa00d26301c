"""Files that must not change while they are read, so that no object is put together of two states of one."""

import os
import stat

from msgspec import Struct

from datastore.errors import IntegrityError

__all__ = ["Steady"]


class Steady(Struct, frozen=True):
    """An open file as it was at one moment.

    Attributes:
        fd: Its descriptor, which stays the caller's.
        name: Its name, for the error.
        seen: Size and time of change then; None for what has no such state, such as a pipe.
    """

    fd: int
    name: str
    seen: tuple[int, int] | None

    @classmethod
    def of(cls, fd: int, name: str | os.PathLike[str]) -> "Steady":
        """Return the file as it is now."""
        return cls(fd, os.fspath(name), _state(fd))

    def check(self) -> None:
        """Raise `IntegrityError` if somebody has written to the file since, as far as the disk's clock tells."""
        if _state(self.fd) != self.seen:
            raise IntegrityError(
                f"{self.name!r} was changed while it was read",
                hint="put it again when nobody writes to it; what was there before is still there",
            )


def _state(fd: int) -> tuple[int, int] | None:
    found = os.fstat(fd)
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None
