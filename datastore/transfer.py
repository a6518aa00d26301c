"""Moves the bytes of one object: between two providers, or to a local file.

Whatever can be done without the bytes passing through here is done so; the rest is streamed in pieces of 1 MiB, and
what does not have the size and digest that it has to have is never published.
"""

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

from datastore.errors import IntegrityError
from datastore.names import content_type_of
from datastore.provider import Provider, Reader, SupportsCopy, SupportsLink
from datastore.streams import CHUNK, HashingSink
from datastore.values import OVERWRITE, Attributes, ObjectInfo, PutMode

__all__ = ["Progress", "carried_attributes", "copy_object", "download_object", "read_chunks"]


class Progress(Protocol):
    """Who wants to know how far it is, in bytes; fsspec's callbacks fit."""

    def set_size(self, size: int, /) -> object:
        """Learn how much there will be."""
        ...

    def relative_update(self, inc: int, /) -> object:
        """Learn how much more was done."""
        ...


def copy_object(
    source: Provider,
    source_key: str,
    target: Provider,
    target_key: str,
    *,
    mode: PutMode = OVERWRITE,
    callback: Progress | None = None,
) -> ObjectInfo:
    """Copy one object with its attributes by the cheapest way that both sides know, and return the copy.

    The way is the provider's own copy where source and target are the same one, else a link where the target's store
    holds the bytes already (another branch or repo of one store), else a verified stream.

    Args:
        source: Where the object is.
        source_key: Its key there.
        target: Where it shall be.
        target_key: Its key there.
        mode: As in `Provider.put`.
        callback: Is told the size and each step, in bytes.

    Raises:
        NotFound: No such object.
        IntegrityError: The bytes that came are not those of the object; nothing was published.
    """
    copied = _copied_in_place(source, source_key, target, target_key, mode)
    if copied is None:
        with source.read(source_key) as reader:
            return _streamed(reader, target, target_key, mode=mode, callback=callback)
    if callback is not None:
        callback.set_size(copied.size)
        callback.relative_update(copied.size)
    return copied


def download_object(provider: Provider, key: str, path: Path, *, callback: Progress | None = None) -> ObjectInfo:
    """Write one object into a local file that appears whole or not at all; missing folders are made.

    Args:
        provider: Where the object is.
        key: Its key there.
        path: The file; what is there is replaced. A device or pipe is written to as it is.
        callback: Is told the size and each step, in bytes.
    """
    with provider.read(key) as reader:
        target = path.resolve() if path.is_symlink() else path  # a link stays: the file that it names is replaced
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not target.is_file():
            with target.open("wb") as special:
                _fill(special, reader, callback)
            return reader.info
        # Not the target's own name with a suffix: that may be longer than the disk allows.
        unfinished = target.with_name(f".{secrets.token_hex(8)}.part")
        try:
            with unfinished.open("xb") as file:
                _fill(file, reader, callback)
            unfinished.replace(target)
        except BaseException:
            unfinished.unlink(missing_ok=True)
            raise
        return reader.info


def read_chunks(reader: Reader, *, callback: Progress | None = None) -> Iterator[bytes]:
    """Yield the whole object that a reader stands at the beginning of; fail after the last piece if it was not that."""
    info = reader.info
    if callback is not None:
        callback.set_size(info.size)
    size = 0
    while chunk := reader.read(CHUNK):
        size += len(chunk)
        yield chunk
        if callback is not None:
            callback.relative_update(len(chunk))
    if size != info.size:
        raise IntegrityError(
            f"object {info.key!r} gave {size} bytes of {info.size}", hint="try again; nothing was written"
        )


def carried_attributes(source: ObjectInfo, target: Provider) -> Attributes | None:
    """Return the attributes that a copy has; a content type that followed from the old extension follows the new one.

    >>> from datastore.providers.memory import MemoryProvider
    >>> provider = MemoryProvider()
    >>> carried_attributes(provider.put("a.csv", b""), provider)
    Attributes(content_type=None, metadata={})
    """
    if not target.capabilities.attributes:
        return None
    followed = source.content_type == content_type_of(source.key)
    return Attributes(content_type=None if followed else source.content_type, metadata=source.metadata)


def _copied_in_place(
    source: Provider, source_key: str, target: Provider, target_key: str, mode: PutMode
) -> ObjectInfo | None:
    if source == target and isinstance(target, SupportsCopy):
        return target.copy(source_key, target_key, mode=mode)
    if isinstance(target, SupportsLink):
        return target.link(source.head(source_key), target_key, mode=mode)
    return None


def _streamed(
    reader: Reader, target: Provider, target_key: str, *, mode: PutMode, callback: Progress | None
) -> ObjectInfo:
    info, sink = reader.info, HashingSink()

    def checked() -> Iterator[bytes]:
        for chunk in read_chunks(reader, callback=callback):
            sink.update(chunk)
            yield chunk
        # Raised while the target still waits for more, so that it publishes nothing.
        if info.digest is not None and sink.digest != info.digest:
            raise IntegrityError(
                f"object {info.key!r} has digest {sink.digest}, not {info.digest}", hint="run `datastore check`"
            )

    attributes = carried_attributes(info, target)
    copied = target.put(target_key, checked(), mode=mode, attributes=attributes)
    if copied.size != sink.size or copied.digest not in {None, sink.digest}:
        raise IntegrityError(f"the copy {target_key!r} is not what was written", hint="copy it again")
    return copied


def _fill(file: BinaryIO, reader: Reader, callback: Progress | None) -> None:
    file.writelines(read_chunks(reader, callback=callback))
