"""`ds.arrow`: objects as a dataset of pyarrow, which the other engines take, too."""

from typing import Any, Final

import pyarrow.dataset as pads
from pyarrow import PythonFile
from pyarrow.fs import FileInfo, FileType, FSSpecHandler, LocalFileSystem, PyFileSystem

from datastore.handoff.choosing import Way, choose
from datastore.handoff.finding import Found
from datastore.handoff.formats import FormatName
from datastore.handoff.opening import Versions
from datastore.handoff.placing import offer_of, place
from datastore.namespace import Namespace

__all__ = ["arrow_dataset"]

_FORMATS: Final[dict[FormatName, Any]] = {"jsonl": "json", "arrow": "ipc"}


def arrow_dataset(namespace: Namespace, found: Found, *, way: Way | None = None) -> pads.Dataset:
    """Return objects as a dataset; bytes are read when it is scanned, and only those that are needed.

    Args:
        namespace: Where names mean something.
        found: The objects.
        way: How they are read; what is best for Arrow if not given.
    """
    if (way or choose(offer_of(namespace, found), "arrow")) == "files":
        placed = place(namespace, found)
        filesystem, folder = LocalFileSystem(), placed.folder
        pairs = zip(placed.files, found.objects, strict=True)
    else:
        filesystem, folder = PyFileSystem(_handler(found)), f"{found.base}/{found.folder}"
        pairs = zip(found.paths, found.objects, strict=True)
    make: Any = pads.dataset  # its types do not know that it takes infos, with which it asks nothing
    return make(
        [FileInfo(path, FileType.File, size=info.size) for path, info in pairs],
        filesystem=filesystem,
        format=_format(found.format),
        partitioning="hive" if found.hive else None,
        partition_base_dir=folder if found.hive else None,
    )


def _format(name: FormatName) -> Any:
    if name == "tsv":
        from pyarrow.csv import ParseOptions

        return pads.CsvFileFormat(parse_options=ParseOptions(delimiter="\t"))
    return _FORMATS.get(name, name)


def _handler(found: Found) -> FSSpecHandler:
    return _Objects(found)  # pyright: ignore[reportAbstractUsage] - their types hide what FSSpecHandler brings


class _Objects(FSSpecHandler):
    """Objects as files for Arrow."""

    def __init__(self, found: Found) -> None:
        self._versions = Versions(found)
        super().__init__(self._versions.fs)

    def open_input_file(self, path: str) -> PythonFile:
        return PythonFile(self._versions.open(path), mode="r")

    open_input_stream = open_input_file
