"""A folder of files: each file is a row and a unit."""

from collections.abc import Sequence
from typing import Any

from datastore.streaming.source import Source
from datastore.streaming.units import Part, Unit
from datastore.values import ByteRange

__all__ = ["Files"]


class Files:
    """Rows of one file each: its `key`, and the bytes as `data`."""

    tabular = False

    def units(self, source: Source) -> list[Unit]:
        """Return one for each file; reads nothing."""
        return [Unit(file, 0, info.size, 1, info.size) for file, info in enumerate(source.objects)]

    def read(self, source: Source, parts: Sequence[Part]) -> list[list[dict[str, Any]]]:
        """Return the row of each part."""
        infos = [source.objects[part.unit.file] for part in parts]
        data = source.read([(info, ByteRange(0, info.size)) for info in infos])
        return [[{"key": info.key, "data": one}] for info, one in zip(infos, data, strict=True)]
