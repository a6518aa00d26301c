"""What a bulk verb of the file system will touch, decided before anything is touched."""

import os
from collections.abc import Mapping, Sequence
from glob import has_magic
from typing import Protocol

from fsspec.implementations import local
from fsspec.utils import check_contained, other_paths

from datastore.errors import DatastoreError, Unavailable, ValidationError
from datastore.values import DeleteFailure

__all__ = ["Paths", "Tree", "as_paths", "deletion_error", "local_paths", "pair", "settle"]

Paths = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]


class Tree(Protocol):
    """What pairing asks of a file system."""

    def expand_path(
        self,
        path: str | list[str],
        recursive: bool = ...,  # noqa: FBT001 - the signature is fsspec's
        maxdepth: int | None = ...,
    ) -> list[str]:
        """Return the paths that a path, pattern or folder stands for."""
        ...

    def isdir(self, path: str) -> bool:
        """Tell whether the path is a directory."""
        ...


def as_paths(paths: Paths) -> str | list[str]:
    """Return one path or several as plain text."""
    return os.fspath(paths) if isinstance(paths, str | os.PathLike) else [os.fspath(path) for path in paths]


def local_paths(paths: Paths) -> str | list[str]:
    """Return local paths with `/`, absolute; a slash at the end stays."""
    plain = as_paths(paths)
    return _posix(plain) if isinstance(plain, str) else [_posix(path) for path in plain]


def _into(path: str) -> bool:
    return bool(local.trailing_sep(path))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _posix(path: str) -> str:
    return str(local.make_path_posix(path))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def pair(
    source_tree: Tree,
    source: str | list[str],
    target_tree: Tree,
    target: str | list[str],
    *,
    recursive: bool,
    maxdepth: int | None,
    contained: bool = False,
) -> list[tuple[str, str]]:
    """Return (source, target) paths by fsspec's rules for copies, which its abstract test suite states.

    Args:
        source_tree: The file system of the sources.
        source: A path, a pattern, or several.
        target_tree: The file system of the targets.
        target: A path; with a slash at the end, or if it is a directory, sources go into it. Or one for each source.
        recursive: Whether directories stand for all that is under them.
        maxdepth: How deep.
        contained: Whether to make sure that no name with `..` leads out of the target.
    """
    if isinstance(source, list) and isinstance(target, list):
        if len(source) != len(target):
            raise ValidationError(
                f"{len(source)} sources cannot go to {len(target)} targets", hint="give one target for each"
            )
        return list(zip(source, target, strict=True))
    one = isinstance(source, str)
    sources = source_tree.expand_path(source, recursive=recursive, maxdepth=maxdepth)
    if one and (not recursive or maxdepth is not None):
        sources = [path for path in sources if not (_into(path) or source_tree.isdir(path))]
    if not sources:
        return []
    exists = False
    if isinstance(source, str):
        pattern = has_magic(source) and sources != [source.removesuffix("/")]
        into = isinstance(target, str) and (_into(target) or target_tree.isdir(target))
        exists = len(sources) == 1 if pattern else into and not _into(source)
    targets = other_paths(sources, target, exists=exists, flatten=not one)
    if contained and isinstance(target, str):
        check_contained(target, targets)
    return list(zip(sources, targets, strict=True))


def settle(results: Mapping[str, bytes | Exception], on_error: str) -> dict[str, bytes | Exception]:
    """Return the results of `cat` as `on_error` wants them: `raise` the first error, `omit` or `return` them all."""
    errors = {path: result for path, result in results.items() if isinstance(result, Exception)}
    if on_error == "raise":
        for error in errors.values():
            raise error
    return {path: result for path, result in results.items() if on_error == "return" or path not in errors}


def deletion_error(base: str, failures: Sequence[DeleteFailure]) -> Exception:
    """Return the error that stands for keys that could not be deleted: that of the first, which it names."""
    first = failures[0]
    more = f" and {len(failures) - 1} more" if len(failures) > 1 else ""
    message = f"could not delete {base}/{first.key}{more}: {first.error}"
    if not isinstance(first.error, DatastoreError):
        return Unavailable(message)
    first.error.message = message
    first.error.args = (message,)
    return first.error
