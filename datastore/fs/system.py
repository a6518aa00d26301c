"""The fsspec file system behind `ds://`, through which pandas, pyarrow, DuckDB and dask read and write versioned data.

Synchronous verbs call the providers directly, in the caller's thread; coroutines run the same verbs in threads. There
is one instance for all threads, it may be used after a fork, and it pickles without secrets.
"""

# ruff: noqa: ARG002, FBT001, FBT002 - the signatures are fsspec's

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NoReturn

from fsspec import core
from fsspec.asyn import get_loop
from fsspec.spec import AbstractFileSystem
from fsspec.utils import stringify_path

from datastore import namespace
from datastore.errors import AlreadyExists, InvalidURL, NotFound, UnsupportedOperation
from datastore.fs.coroutines import Coroutines
from datastore.fs.files import ReadFile, WriteFile, appending_writer, open_writer
from datastore.fs.paths import strip
from datastore.fs.pins import format_pins, options_of, parse_pins
from datastore.fs.sending import attributes_of
from datastore.fs.view import View
from datastore.provider import SupportsPresign
from datastore.urls import SCHEME
from datastore.values import CREATE, OVERWRITE

__all__ = ["DatastoreFileSystem"]

_OPTIONS = ("asynchronous", "batch_size", "handle", "once", "pins", "skip_instance_cache")
_CHAINED = ("fo", "target_options", "target_protocol")


class _Instances(type(AbstractFileSystem)):
    """Decides which constructor arguments count, and which instances fsspec keeps."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        if any(option in kwargs for option in _CHAINED):
            message = "a ds:// URL contains '::', which fsspec reads as chained file systems"
            raise InvalidURL(message, hint="rename the object, or open it by ds.repo(…)")
        # The others are for other file systems (pandas tries `anon`), and may be secrets: they are not kept.
        options = {name: value for name, value in kwargs.items() if name in _OPTIONS and value is not None}
        if isinstance(options.get("pins"), Mapping):
            options["pins"] = format_pins(parse_pins(options["pins"]))
        if options.get("pins") or options.get("once"):
            options["skip_instance_cache"] = True  # one for each commit that was ever read would pile up
        return super().__call__(**options)  # pyright: ignore[reportUnknownVariableType]


class DatastoreFileSystem(Coroutines, metaclass=_Instances):
    """The file system of `ds://`: mounts and repos at the root, objects below them, refs in the first segment.

    >>> import datastore as ds
    >>> repo = ds.create_repo("garments")
    >>> fs = DatastoreFileSystem()
    >>> fs.pipe_file("garments@main/images/red coat.txt", b"coat")
    >>> fs.find("garments@main"), fs.info("garments@main/images")["type"]
    (['garments@main/images/red coat.txt'], 'directory')

    Args:
        handle: Where the namespace of another process is; for pickles.
        pins: Commits that stand for refs: `"garments@main=<commit id>"`, or a mapping. Reads of that ref see that
            commit until something is written to the ref through this instance.
        asynchronous: Whether the coroutines are used directly, inside a running loop.
        batch_size: How many coroutines the bulk verbs of asynchronous use run at once.
        once: Whether it serves one call, such as `pd.read_parquet(url)`: what it has seen of an object is then taken
            for true for some seconds, unless something is written through this instance.
        ignored: fsspec's configuration may name what other file systems know.
    """

    protocol: ClassVar[str] = "ds"  # pyright: ignore[reportIncompatibleVariableOverride]
    root_marker: ClassVar[str] = ""

    def __init__(
        self,
        handle: str | None = None,
        pins: str | None = None,
        *,
        asynchronous: bool = False,
        batch_size: int | None = None,
        once: bool = False,
        **ignored: Any,
    ) -> None:
        # As if asynchronous: otherwise fsspec starts its event loop thread, also when nobody needs it.
        super().__init__(asynchronous=True, batch_size=batch_size, use_listings_cache=False)
        self.asynchronous = asynchronous
        self._view = View(handle, pins, once=once or bool(pins))

    # identity

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop of fsspec in this process, also in a forked child; None if asynchronous."""
        return None if self.asynchronous else get_loop()

    @property
    def fsid(self) -> str:
        """The same for two instances that see the same names."""
        return f"ds-{hashlib.sha256(self._view.handle.encode()).hexdigest()[:32]}"

    @property
    def pins(self) -> str:
        """The pins in use, as the constructor takes them."""
        return format_pins(self._view.pins)

    @property
    def _fs_token(self) -> str:  # pyright: ignore[reportIncompatibleMethodOverride]
        return hashlib.sha256(json.dumps(self.__dask_tokenize__()).encode()).hexdigest()

    def __dask_tokenize__(self) -> tuple[str, str, str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return type(self).__qualname__, self._view.handle, self.pins

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DatastoreFileSystem) and self.__dask_tokenize__() == other.__dask_tokenize__()

    def __hash__(self) -> int:
        return hash(self._view.handle)  # without the pins, which a write changes

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.pins}>" if self._view.pins else f"<{type(self).__name__}>"

    def __reduce__(self) -> tuple[Any, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        options = {
            "handle": self._view.handle,
            "pins": self.pins,
            "asynchronous": self.asynchronous,
            "once": self._view.once,
        }
        return _rebuild, (type(self), {name: value for name, value in options.items() if value})

    def to_dict(self, *, include_password: bool = True) -> dict[str, Any]:
        """Return what `from_dict` needs, as fsspec defines it; there is no password in it."""
        return {**super().to_dict(include_password=include_password), "handle": self._view.handle, "pins": self.pins}

    # paths

    @classmethod
    def _strip_protocol(cls, path: Any) -> Any:
        if isinstance(path, list):
            return list(map(cls._strip_protocol, path))  # pyright: ignore[reportUnknownArgumentType]
        return strip(path if isinstance(path, str) else stringify_path(path))

    def unstrip_protocol(self, name: str) -> str:
        """Return the URL of a path."""
        return SCHEME + strip(name)

    @classmethod
    def _parent(cls, path: str) -> str:
        return strip(path).rpartition("/")[0]

    @staticmethod
    def _get_kwargs_from_urls(path: Any) -> dict[str, Any]:
        # fsspec calls it once for each top-level call: here the moving ref is resolved.
        return options_of(namespace.current(), strip(stringify_path(path)))

    # files

    def open(
        self,
        path: Any,
        mode: str = "rb",
        block_size: int | None = None,
        cache_options: Mapping[str, Any] | None = None,
        compression: str | None = None,
        **kwargs: Any,
    ) -> Any:
        """Open an object as a file; see `io.open` for modes, and fsspec for the rest.

        A file that is open for writing publishes its object, whole, when it is closed, and nothing if its `with` block
        fails, if it is closed while an exception is on its way, or if it is only dropped. `content_type` and `metadata`
        go to the object.
        """
        plain = self._strip_protocol(path)
        if compression is not None and "b" in mode and "r" not in mode:
            # Our file closes the compressor; fsspec's compressor would not close our file.
            return self._open(plain, mode, compress=_codec(plain, compression), **kwargs)
        options = {"block_size": block_size, "cache_options": cache_options, "compression": compression, **kwargs}
        return super().open(plain, mode, **options)  # pyright: ignore[reportUnknownVariableType]

    def _open(  # pyright: ignore[reportIncompatibleMethodOverride]
        self,
        path: str,
        mode: str = "rb",
        block_size: int | None = None,
        autocommit: bool = True,
        cache_options: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> ReadFile | WriteFile:
        if not autocommit:
            raise _no_transaction()
        if mode == "rb":
            return self.open_object(path)
        if mode not in {"wb", "xb", "ab"}:
            raise UnsupportedOperation(
                f"mode {mode!r}: objects are written whole", hint="modes r, w, x and a, with b or t"
            )
        return self._open_for_writing(path, mode, **kwargs)

    def _open_for_writing(
        self, path: str, mode: str, *, compress: Callable[..., Any] | None = None, **kwargs: Any
    ) -> WriteFile:
        place = self._view.object(path, live=True)
        attributes, start = attributes_of(kwargs), 0
        if mode == "ab":
            writer, start = appending_writer(place.provider, place.key, attributes=attributes)
        else:
            if mode == "xb":
                self._require_free(path)
            put_mode = CREATE if mode == "xb" else OVERWRITE
            writer = open_writer(place.provider, place.key, mode=put_mode, attributes=attributes)
        return WriteFile(
            self,
            path,
            writer=writer,
            mode=mode,
            start=start,
            compress=compress,
            published=lambda: self._view.wrote(place),
        )

    def _require_free(self, path: str) -> None:
        place = self._view.object(path, live=True)
        try:
            place.provider.head(place.key)
        except NotFound:
            return
        raise AlreadyExists(f"{path!r} exists already", hint="mode 'wb' replaces it")

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget what is remembered of commits. Never needed: they do not change, and nothing else is remembered."""
        self._view.forget()
        super().invalidate_cache(path)

    # what a store of versioned objects does in another way

    @property
    def transaction(self) -> NoReturn:
        """Not here: fsspec's transactions are shared by all threads."""
        raise _no_transaction()

    def start_transaction(self) -> NoReturn:
        """Not here; see `transaction`."""
        raise _no_transaction()

    def sign(self, path: str, expiration: int = 100, **kwargs: Any) -> str:
        """Return a URL with which anybody may read an object until it expires, after so many seconds."""
        place = self._view.object(self._strip_protocol(path))
        if not isinstance(place.provider, SupportsPresign):
            message = f"no signed URL for {place.path!r}: its store does not hand out any"
            raise UnsupportedOperation(message, hint="fs.get downloads it")
        return place.provider.presign("GET", place.key, expires=expiration).url


def _no_transaction() -> UnsupportedOperation:
    message = "fsspec's transactions are shared by all threads and cover only some verbs"
    return UnsupportedOperation(message, hint="with ds.repo(name).transaction() as tx: all or nothing, for every verb")


def _codec(path: str, compression: str) -> Callable[..., Any] | None:
    name: Any = core.get_compression(path, compression)  # pyright: ignore[reportUnknownMemberType]
    return core.compr[name] if name else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]


def _rebuild(cls: type[DatastoreFileSystem], options: Mapping[str, Any]) -> DatastoreFileSystem:
    return cls(**options)
