"""Bringing many local files onto a branch: all of them or none.

Their bytes go to a hidden branch first, many at a time. Only when all are there, their entries are put onto the target,
which moves no bytes.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from datastore.calls import Call, FileSlice
from datastore.providers.lakefs import staged, writing
from datastore.providers.lakefs.answers import ObjectStats
from datastore.providers.lakefs.attributes import checked, stored
from datastore.providers.lakefs.byhand import work_branch
from datastore.providers.lakefs.entries import place_of
from datastore.providers.lakefs.placing import place
from datastore.providers.lakefs.sending import in_memory, upload_call
from datastore.providers.lakefs.targets import Target
from datastore.values import OVERWRITE, ObjectInfo

__all__ = ["import_files"]

_SMALL: Final = 1 << 20
"""Bytes up to which files are read into memory, 64 of them at a time."""


def import_files(target: Target, files: Sequence[tuple[Path, str]]) -> Sequence[ObjectInfo]:
    """Put each local file under its key; two requests for each.

    Only a failure while the entries are put, when the server goes away, can leave some of them on the branch.

    Args:
        target: The branch, which is there.
        files: Each with its key.

    Raises:
        OSError: A file cannot be read. Nothing was put.
    """
    for _, key in files:
        checked(key, None)
    sizes = [path.stat().st_size for path, _ in files]
    with work_branch(target.remote, target.branch) as work:
        scratch = Target(target.client, target.repo, work)
        small = [pair for pair, size in zip(files, sizes, strict=True) if size <= _SMALL]
        infos = {info.key: info for info in target.remote.each(_upload_calls(scratch, small))}
        for (path, key), size in zip(files, sizes, strict=True):
            if size > _SMALL:
                infos[key] = writing.put(scratch, key, path, mode=OVERWRITE, attributes=checked(key, None))
        place(target.remote, target.branch, {key: _entry(info) for key, info in infos.items()})
    for info in list(infos.values())[-1:]:
        staged.note(target.client, target.repo, target.branch, info.key, info.modified_us)
    return [infos[key] for _, key in files]


def _upload_calls(scratch: Target, files: Sequence[tuple[Path, str]]) -> Iterator[Call[ObjectInfo]]:
    for path, key in files:
        with path.open("rb", buffering=0) as file:
            body = in_memory(FileSlice.whole(file.fileno(), str(path)))
        yield upload_call(scratch, key, body, mode=OVERWRITE, attributes=checked(key, None))


def _entry(info: ObjectInfo) -> ObjectStats:
    found = place_of(info)
    return ObjectStats(
        path=info.key,
        physical_address=found.address if found else "",
        checksum=info.etag,
        mtime=0,
        size_bytes=info.size,
        content_type=info.content_type,
        metadata=stored(info.metadata),
    )
