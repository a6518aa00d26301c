"""The cache of huggingface_hub, made by hand, without its service: of a commit it looks whether the folder is there."""

import hashlib
from pathlib import Path
from typing import Any

from benchmarks.measuring import Measured, first_and_next
from benchmarks.places import CachedPlace, Place

LABEL = "huggingface_hub, offline; looks at no file of a folder"
_COMMIT = "0123456789abcdef0123456789abcdef01234567"


def connect(place: Place) -> Any:
    """Import it, with the modules that it loads late."""
    assert isinstance(place, CachedPlace)
    from huggingface_hub import hf_hub_download, snapshot_download

    return place, hf_hub_download, snapshot_download


def prepare(connection: Any, folder: Path) -> None:
    """Lay out blobs, a ref, and links to the blobs, as a download does."""
    place = connection[0]
    root = Path(place.home) / "hf" / "datasets--bench--data"
    snapshot = root / "snapshots" / _COMMIT
    for needed in (root / "blobs", root / "refs", snapshot):
        needed.mkdir(parents=True)
    (root / "refs" / "main").write_text(_COMMIT)
    for file in (Path(place.source) / "files").iterdir():
        data = file.read_bytes()
        blob = root / "blobs" / hashlib.sha256(data).hexdigest()
        blob.write_bytes(data)
        (snapshot / file.name).symlink_to(f"../../blobs/{blob.name}")


def _options(place: CachedPlace) -> dict[str, Any]:
    return {
        "repo_type": "dataset",
        "revision": _COMMIT,
        "cache_dir": f"{place.home}/hf",
        "local_files_only": True,
    }


def warm_one(connection: Any, folder: Path) -> Measured:
    place, one, _ = connection
    options = _options(place)
    return first_and_next(lambda _: one("bench/data", "00500", **options), 1000)


def warm_others(connection: Any, folder: Path) -> Measured:
    place, one, _ = connection
    options = _options(place)
    return first_and_next(lambda at: one("bench/data", f"{at:05}", **options), 1000)


def warm_many(connection: Any, folder: Path) -> Measured:
    place, _, many = connection
    options = _options(place)
    return first_and_next(lambda _: many("bench/data", **options), 20)
