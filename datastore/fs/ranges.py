"""Reads many byte ranges of objects with few reads.

Ranges that lie near each other are read as one block; all blocks of one object are of one version of it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing

from msgspec import Struct

from datastore.bridging import serves_requests
from datastore.bulk.reading import read_objects
from datastore.errors import DatastoreError
from datastore.fs.files import read_exactly
from datastore.fs.merging import covering, merged
from datastore.fs.still import StillView
from datastore.fs.view import Place, View
from datastore.provider import Reader, SupportsRequests
from datastore.threads import fan_out
from datastore.values import ByteRange, ObjectInfo

__all__ = ["Block", "Ranges", "plan", "plan_ranges", "read_range", "read_whole"]

_GAP = 1 << 16
_LARGEST = 32 << 20


class Block(Struct, frozen=True):
    """One read that serves several wanted ranges, given by their places in the caller's list."""

    path: str
    range: ByteRange
    wanted: tuple[int, ...]


def plan_ranges(
    paths: Sequence[str],
    starts: Sequence[int | None],
    stops: Sequence[int | None],
    *,
    max_gap: int | None = None,
) -> list[Block]:
    """Merge ranges that lie near each other into blocks; those that count from the end of the object stay alone.

    Args:
        paths: One for each range.
        starts: First bytes; None is 0.
        stops: Ends, exclusive; None is the end of the object.
        max_gap: Bytes between two ranges that may be read in vain to save a read.

    >>> [block.range.stop for block in plan_ranges(["a", "a", "a"], [0, 20, 90], [10, 30, 100], max_gap=16)]
    [30, 100]
    """
    plain: dict[str, list[tuple[int, int]]] = {}
    places: dict[str, list[int]] = {}
    alone: list[Block] = []
    for at, (path, start, stop) in enumerate(zip(paths, starts, stops, strict=True)):
        if stop is not None and 0 <= (start or 0) <= stop:
            plain.setdefault(path, []).append((start or 0, stop))
            places.setdefault(path, []).append(at)
        else:
            alone.append(Block(path, ByteRange(start or 0, stop), (at,)))
    gap = _GAP if max_gap is None else max_gap
    return alone + [
        Block(
            path,
            ByteRange(*covering([spans[number] for number in block])),
            tuple(places[path][number] for number in block),
        )
        for path, spans in sorted(plain.items())
        for block in merged(spans, gap=gap, largest=_LARGEST)
    ]


def plan(
    view: View,
    paths: Sequence[str],
    starts: Sequence[int | None],
    stops: Sequence[int | None],
    *,
    max_gap: int | None = None,
) -> "Ranges":
    """Return how to read these ranges; what is read in several blocks is asked for its version, all at once.

    Args:
        view: Where the paths are.
        paths: As in `plan_ranges`.
        starts: As in `plan_ranges`.
        stops: As in `plan_ranges`.
        max_gap: As in `plan_ranges`.
    """
    blocks = plan_ranges(paths, starts, stops, max_gap=max_gap)
    still = StillView(view)
    places: dict[str, Place | DatastoreError] = {}
    versions: dict[str, ObjectInfo] = {}
    for path in {block.path: block for block in blocks}:
        try:
            places[path] = still.object(path)
        except DatastoreError as error:
            places[path] = error
    several = {path for path, count in Counter(block.path for block in blocks).items() if count > 1}
    still.look(place for path in several if isinstance(place := places[path], Place))
    for path, place in places.items():
        if isinstance(place, DatastoreError):
            continue
        try:
            version = still.head(place) if path in several else still.known(place)
        except DatastoreError as error:
            places[path] = error
        else:
            if version is not None and (path in several or serves_requests(place.provider)):
                versions[path] = version
    return Ranges(blocks, starts=starts, stops=stops, places=places, versions=versions)


def read_range(place: Place, wanted: ByteRange | None, *, if_match: str | None = None) -> bytes:
    """Return a range of an object, or all of it."""
    return read_whole(place.provider.read(place.key, range=wanted, if_match=if_match), wanted)


def read_whole(reader: Reader, wanted: ByteRange | None) -> bytes:
    """Return all bytes of a reader that was opened for this range, and close it."""
    with reader:
        start, stop = (wanted or ByteRange()).bounds(reader.info.size)
        return read_exactly(reader, stop - start)


class Ranges:
    """The wanted ranges with their plan.

    Args:
        blocks: What to read.
        starts: First byte of each wanted range.
        stops: End of each.
        places: Where each path leads, or the error that it met.
        versions: What is known of objects: of each that is read more than once, and of others by chance.
    """

    def __init__(
        self,
        blocks: Sequence[Block],
        *,
        starts: Sequence[int | None],
        stops: Sequence[int | None],
        places: Mapping[str, Place | DatastoreError],
        versions: Mapping[str, ObjectInfo],
    ) -> None:
        self.blocks = blocks
        self._starts = starts
        self._stops = stops
        self._places = places
        self._versions = versions

    def read_all(self, *, local: bool) -> list[bytes | Exception]:
        """Return each block, or the error that came instead; in parallel, unless they are on this machine."""
        found = self.read_bulk()
        rest = self.rest(found)
        found.update(zip(rest, fan_out(self.read, (self.blocks[number] for number in rest), local=local), strict=True))
        return [found[number] for number in range(len(self.blocks))]

    def read_bulk(self) -> dict[int, bytes | Exception]:
        """Return the blocks that can be read in one bulk, or their errors, by number."""
        found: dict[int, bytes | Exception] = {}
        for provider, members in self._in_bulk():
            wanted = [(info, self.blocks[number].range) for number, info in members]
            with closing(read_objects(provider, wanted)) as results:
                found.update((members[at][0], result) for at, result in results)
        return found

    def rest(self, found: Mapping[int, object]) -> list[int]:
        """Return the numbers of the other blocks."""
        return [number for number in range(len(self.blocks)) if number not in found]

    def _in_bulk(self) -> list[tuple[SupportsRequests, list[tuple[int, ObjectInfo]]]]:
        groups: dict[tuple[str, str | None], tuple[SupportsRequests, list[tuple[int, ObjectInfo]]]] = {}
        for number, block in enumerate(self.blocks):
            place, info = self._places[block.path], self._versions.get(block.path)
            if isinstance(place, Place) and info is not None and serves_requests(place.provider):
                groups.setdefault(place.same[:2], (place.provider, []))[1].append((number, info))
        return list(groups.values())

    def read(self, block: Block) -> bytes | DatastoreError | OSError:
        """Return a block, or the error that came instead."""
        place, version = self._places[block.path], self._versions.get(block.path)
        if isinstance(place, DatastoreError):
            return place
        try:
            return read_range(place, block.range, if_match=version and version.etag)
        except (DatastoreError, OSError) as error:
            return error

    def cut(self, blocks: Sequence[bytes | Exception], *, on_error: str) -> list[bytes | Exception]:
        """Return the wanted ranges in the caller's order, from the blocks in theirs."""
        found: dict[int, bytes | Exception] = {}
        for block, data in zip(self.blocks, blocks, strict=True):
            if isinstance(data, Exception) and on_error != "return":
                raise data
            for at in block.wanted:
                found[at] = (
                    data if isinstance(data, Exception) or len(block.wanted) == 1 else self._piece(block, data, at)
                )
        return [found[at] for at in range(len(found))]

    def _piece(self, block: Block, data: bytes, at: int) -> bytes:
        # Blocks of several ranges hold none that counts from the end.
        start, stop = self._starts[at] or 0, self._stops[at]
        return data[start - block.range.start : None if stop is None else stop - block.range.start]
