"""What `cp` copies: which side is local, and how far it is."""

import sys
from collections.abc import Generator
from contextlib import contextmanager
from glob import has_magic
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from datastore.errors import InvalidURL, NotFound, ValidationError

if TYPE_CHECKING:
    from fsspec.callbacks import Callback

    from datastore.urls import DatasetURL

__all__ = ["Progress", "copy", "progress", "side_of"]


def side_of(text: str) -> "DatasetURL | str":
    """Return what one side of a copy names: a URL, or else a local path.

    >>> side_of("s3://acme/a.csv"), side_of("data/a.csv"), side_of("file:///data/a.csv")
    ('ds://s3/acme/a.csv', 'data/a.csv', '/data/a.csv')
    """
    from datastore.urls import to_url

    if text.startswith("file://"):
        return text.removeprefix("file://")
    return to_url(text) if "://" in text else str(Path(text).expanduser()) + "/" * (text.endswith("/") and text != "/")


def copy(source: str, target: str, *, recursive: bool) -> int:
    """Copy, and return how many objects or files.

    Raises:
        NotFound: There is no such local file, or no folder to put the target into.
        ValidationError: The source is a prefix or folder, and `recursive` is not given.
    """
    from datastore.api import filesystem
    from datastore.urls import DatasetURL, strip_scheme

    here, there = side_of(source), side_of(target)
    if not isinstance(here, DatasetURL):
        _check_source(here)
    if not isinstance(there, DatasetURL):
        _check_target(there)
    fs = filesystem()
    if not isinstance(here, DatasetURL) and isinstance(there, DatasetURL) and Path(here).is_file():
        # By itself, because `put` would take brackets in its name for a pattern.
        into = there.endswith("/") or not there.key or fs.isdir(there)
        fs.put_file(here, there / Path(here).name if into else there)
        return 1
    with progress("copying") as done:
        if isinstance(here, DatasetURL) and not isinstance(there, DatasetURL):
            fs.get(strip_scheme(here), there, recursive=recursive, callback=done.callback)
        elif isinstance(there, DatasetURL) and not isinstance(here, DatasetURL):
            fs.put(here, there, recursive=recursive, callback=done.callback)
        else:
            ends = [side if isinstance(side, DatasetURL) else _local_url(side) for side in (here, there)]
            fs.copy(*map(strip_scheme, ends), recursive=recursive, callback=done.callback)
    if not done.copied and not recursive:
        raise ValidationError(f"{source!r} is no single object or file", hint="pass -r to copy all that is under it")
    return done.copied


def _local_url(path: str) -> "DatasetURL":
    from datastore.urls import DatasetURL, to_url

    return DatasetURL(to_url(Path(path)) + "/" * path.endswith("/"))


def _check_source(path: str) -> None:
    if not Path(path).exists() and not has_magic(path):
        raise NotFound(f"no local file or folder {path!r}", hint=_url_hint(path))
    if Path(path).is_dir() and has_magic(path):
        raise ValidationError(
            f"the folder {path!r} has a pattern as its name", hint="datastore import takes it as it is"
        )


def _check_target(path: str) -> None:
    # A URL without its scheme would otherwise become a tree of folders.
    if not Path(path).is_dir() and not Path(path).absolute().parent.is_dir():
        raise NotFound(f"no local folder {str(Path(path).parent)!r}", hint=f"make it first; {_url_hint(path)}")


def _url_hint(path: str) -> str:
    from datastore.urls import DatasetURL

    try:
        return f"if you mean a URL, write {DatasetURL(path)}"
    except InvalidURL:
        return "a URL begins with ds://"


class Progress:
    """Counts what is copied. fsspec tells of pairs, folders among them; only objects and files tell their bytes."""

    def __init__(self, callback: "Callback", sizes: list[int | None], branches: list[str]) -> None:
        self.callback = callback
        self._sizes = sizes
        self._branches = branches

    @property
    def copied(self) -> int:
        """How many objects or files."""
        return len(self._sizes) if self._branches else cast("int", self.callback.value)


@contextmanager
def progress(doing: str) -> Generator[Progress]:
    """Show how far something is, if stderr is a terminal; its callback is what has to be told."""
    from fsspec.callbacks import Callback

    sizes: list[int | None] = []
    branches: list[str] = []

    class Child(Callback):
        def set_size(self, size: int | None) -> None:
            sizes.append(size)

    class Parent(Callback):
        def branched(self, path_1: str, path_2: str, **kwargs: Any) -> Callback:  # noqa: ARG002 - fsspec's signature
            branches.append(path_1)
            return Child()

    if not sys.stderr.isatty():
        yield Progress(Parent(), sizes, branches)
        return
    import rich.progress
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    with rich.progress.Progress(
        doing,
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task(doing, total=None, visible=False)

        def follow(size: int | None, value: int, **_: Any) -> None:
            bar.update(task, total=size, completed=value, visible=(size or 0) > 1)

        yield Progress(Parent(hooks={"bar": follow}), sizes, branches)
