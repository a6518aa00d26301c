"""Moves the bytes of one object: between two providers, or to a local file.

Whatever can be done without the bytes passing through here is done so; the rest is streamed in pieces of 1 MiB, or
comes over the network in parallel ranges. What does not have the size and digest that it has to have is never
published.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from datastore.bridging import SupportsCopyFrom, serves_requests
from datastore.calls import Call, FileSlice, Sink
from datastore.errors import IntegrityError
from datastore.names import content_type_of
from datastore.partfile import PartFile, check_content, landing_of
from datastore.provider import Provider, Reader, SupportsCopy, SupportsLink, SupportsRequests
from datastore.streams import CHUNK, FileReader, HashingSink
from datastore.values import OVERWRITE, Attributes, ByteRange, ObjectInfo, PutMode

__all__ = ["Progress", "carried_attributes", "copy_object", "download_object", "read_chunks", "save", "stream_object"]


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
    known: ObjectInfo | None = None,
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
        known: What is known of the object already, which spares asking for it.

    Raises:
        NotFound: No such object.
        IntegrityError: The bytes that came are not those of the object; nothing was published.
    """
    copied = _copied_in_place(source, source_key, target, target_key, mode=mode, known=known)
    if copied is None:
        return stream_object(source, source_key, target, target_key, mode=mode, callback=callback)
    if callback is not None:
        callback.set_size(copied.size)
        callback.relative_update(copied.size)
    return copied


def stream_object(
    source: Provider,
    source_key: str,
    target: Provider,
    target_key: str,
    *,
    mode: PutMode = OVERWRITE,
    callback: Progress | None = None,
) -> ObjectInfo:
    """Copy one object by reading and writing its bytes, in pieces; arguments and errors as in `copy_object`."""
    with source.read(source_key) as reader:
        return _streamed(reader, target, target_key, mode=mode, callback=callback)


def download_object(provider: Provider, key: str, path: Path, *, callback: Progress | None = None) -> ObjectInfo:
    """Write one object into a local file that appears whole or not at all; missing folders are made.

    Args:
        provider: Where the object is.
        key: Its key there.
        path: The file; what is there is replaced. A device or pipe is written to as it is.
        callback: Is told the size and each step, in bytes.
    """
    with provider.read(key) as reader:
        target = landing_of(path)
        if target is None:
            with path.open("wb") as special:
                special.writelines(read_chunks(reader, callback=callback))
            return reader.info
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        save(provider, reader, target, callback=callback)
        return reader.info


def save(provider: Provider, reader: Reader, target: str, *, callback: Progress | None = None) -> None:
    """Write the whole object that a reader stands at the beginning of into a file, in a folder that exists.

    Args:
        provider: Where the object is.
        reader: Reads it.
        target: The file; what is there is replaced.
        callback: As in `download_object`.
    """
    part = PartFile(target)
    try:
        if serves_requests(provider):
            _fetch(part, provider, reader, callback)
        else:
            _pour(part, reader, callback)
        part.publish()
    finally:
        part.discard()


def _pour(part: PartFile, reader: Reader, callback: Progress | None) -> None:
    done = 0
    if isinstance(reader, FileReader) and reader.info.size > CHUNK:
        if callback is not None:
            callback.set_size(reader.info.size)
        while count := reader.send(part.fd):
            done += count
            if callback is not None:
                callback.relative_update(count)
    for chunk in read_chunks(reader, done=done, callback=callback):
        part.write(chunk)


def read_chunks(reader: Reader, *, done: int = 0, callback: Progress | None = None) -> Iterator[bytes]:
    """Yield what is left of an object after `done` bytes; fail after the last piece if that is not the whole."""
    info = reader.info
    if callback is not None:
        callback.set_size(info.size)
    size = done
    # One byte beyond the end is asked for: a reader makes room for what it is asked for.
    while chunk := reader.read(min(CHUNK, max(info.size - size, 0) + 1)):
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
    source: Provider, source_key: str, target: Provider, target_key: str, *, mode: PutMode, known: ObjectInfo | None
) -> ObjectInfo | None:
    if source == target and isinstance(target, SupportsCopy):
        return target.copy(source_key, target_key, mode=mode)
    if isinstance(target, SupportsCopyFrom):
        return target.copy_from(source, source_key, target_key, mode=mode)
    if isinstance(target, SupportsLink):
        return target.link(known or source.head(source_key), target_key, mode=mode)
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


def _fetch(part: PartFile, provider: SupportsRequests, reader: Reader, callback: Progress | None) -> None:
    """Write what came along with the info, then the rest in parallel ranges of the same version."""
    from datastore.http.filling import fill  # only who reaches a network needs libcurl

    info = reader.info
    first = reader.read(min(info.size, CHUNK)) or b""
    part.write(first)
    if callback is not None:
        callback.set_size(info.size)
        callback.relative_update(len(first))

    def get(wanted: ByteRange, sink: Sink) -> Call[bytes]:
        return provider.get_call(info, range=wanted, sink=sink)

    begin = len(first)
    rest = FileSlice(part.fd, begin, info.size - begin)
    fill(get, rest, start=begin, stop=info.size, told=None if callback is None else callback.relative_update)
    check_content(part.fd, info)
