"""`ds://` URLs as paths of universal_pathlib, which finds this module by its entry point."""

from typing import Any, Self

from fsspec import get_filesystem_class  # pyright: ignore[reportUnknownVariableType]
from upath._flavour import WrappedFileSystemFlavour  # pyright: ignore[reportPrivateUsage] - the only way to a drive
from upath.implementations.cloud import CloudPath

from datastore.fs.system import DatastoreFileSystem
from datastore.urls import SCHEME

__all__ = ["DatastorePath"]


def _flavour() -> None:
    """Tell universal_pathlib how our names are read; it keeps one flavour for each scheme that is loaded."""
    get_filesystem_class(DatastoreFileSystem.protocol)
    flavour = WrappedFileSystemFlavour.from_protocol(DatastoreFileSystem.protocol)
    flavour.netloc_is_anchor = True
    # A URL of one call is pinned to its commit. A path is kept, made without asking the store, and equal to its likes.
    flavour.get_kwargs_from_url = _no_options


def _no_options(url: object) -> dict[str, Any]:  # noqa: ARG001 - the signature is theirs
    return {}


_flavour()


class DatastorePath(CloudPath):
    """A path whose drive is the mount or repo with its ref. It shows what is there now; `pins=…` pins it.

    >>> import datastore as ds
    >>> from upath import UPath
    >>> repo = ds.create_repo("garments")
    >>> path = UPath("ds://garments@main") / "images" / "1.png"
    >>> path.write_bytes(b"coat"), path.drive, path.name
    (4, 'garments@main', '1.png')
    >>> [str(one) for one in path.parent.iterdir()]
    ['ds://garments@main/images/1.png']
    """

    __slots__ = ()

    def rename(self, target: Any, **options: Any) -> Self:
        """Move to another path, also of another mount, and return it; a relative one is beside this one."""
        return super().rename(self._beside(target), **options)

    def replace(self, target: Any) -> Self:
        """As `rename`: what is there is replaced."""
        return self.rename(target)

    def _beside(self, target: Any) -> Any:
        relative = isinstance(target, str) and not target.startswith((SCHEME, self.anchor))
        return self.parent / target if relative else target
