"""Hashes of objects that are on this machine, several at a time."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Final

from datastore.provider import Bytes
from datastore.transfers.deciding import Check
from datastore.transfers.sides import Side
from datastore.values import ObjectInfo

__all__ = ["Doubt", "settled"]

Doubt = tuple[ObjectInfo, ObjectInfo, Check]
"""An object of the source, one of the dest, and the hash that tells whether they have the same bytes."""

_PIECE: Final = 32
_PIECE_BYTES: Final = 8 << 20
_MOST: Final = 8
_SHA256: Final = "sha256:"


def settled(source: Side, dest: Side, doubts: Sequence[Doubt]) -> list[bool]:
    """Tell of each doubt whether the two have the same bytes."""

    def settle(piece: Sequence[Doubt]) -> list[bool]:
        return [_is_same(source, dest, doubt) for doubt in piece]

    if len(doubts) <= 1:
        return settle(doubts)
    threads = ThreadPoolExecutor(min(os.cpu_count() or 2, _MOST), thread_name_prefix="datastore-hash")
    try:
        return list(chain.from_iterable(threads.map(settle, _pieces(doubts))))
    finally:
        threads.shutdown(cancel_futures=True)


def _pieces(doubts: Iterable[Doubt]) -> Iterator[list[Doubt]]:
    """Cut doubts into tasks: a task of its own for each costs more than reading a small file."""
    piece: list[Doubt] = []
    size = 0
    for doubt in doubts:
        piece.append(doubt)
        size += doubt[0].size
        if len(piece) >= _PIECE or size >= _PIECE_BYTES:
            yield piece
            piece, size = [], 0
    if piece:
        yield piece


def _is_same(source: Side, dest: Side, doubt: Doubt) -> bool:
    here, there, check = doubt
    if check.of == "both":
        return _digest(source.chunks(here)) == _digest(dest.chunks(there))
    side, info = (source, here) if check.of == "source" else (dest, there)
    if check.wanted.startswith(_SHA256):
        return _digest(side.chunks(info)) == check.wanted
    if "-" not in check.wanted:
        return _md5(side.chunks(info)).hex() == check.wanted
    return any(_etag_of_parts(side.chunks(info), length) == check.wanted for length in check.parts)


def _digest(chunks: Iterable[Bytes]) -> str:
    found = hashlib.sha256()
    for chunk in chunks:
        found.update(chunk)
    return f"{_SHA256}{found.hexdigest()}"


def _md5(chunks: Iterable[Bytes]) -> bytes:
    found = hashlib.md5(usedforsecurity=False)
    for chunk in chunks:
        found.update(chunk)
    return found.digest()


def _etag_of_parts(chunks: Iterable[Bytes], length: int) -> str:
    """Return the etag that S3 gives an object that came in parts of this length.

    >>> _etag_of_parts([b"abc"], 8)
    'af5da9f45af7a300e3aded972f8ff687-1'
    """
    digests = [_md5(part) for part in _parts(chunks, length)]
    return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"


def _parts(chunks: Iterable[Bytes], length: int) -> Iterator[Iterator[Bytes]]:
    """Cut bytes into parts; each has to be read before the next one is asked for."""
    source = iter(chunks)
    rest: Bytes = next(source, b"")

    def part() -> Iterator[Bytes]:
        nonlocal rest
        room = length
        while rest and room:
            piece = rest[:room]
            room -= len(piece)
            rest = rest[len(piece) :] or next(source, b"")
            yield piece

    yield part()
    while rest:
        yield part()
