"""s3fs."""

from typing import Any

import s3fs

from benchmarks.clients.reading import *  # noqa: F403 - the tasks
from benchmarks.places import Place, S3Place

LABEL = "s3fs"


def connect(place: Place) -> Any:
    """Make a file system as it is by default: it remembers listings, and may be wrong about what is new."""
    assert isinstance(place, S3Place)
    fs: Any = s3fs.S3FileSystem(key=place.access_key, secret=place.secret_key, endpoint_url=place.endpoint)
    fs.exists(f"{place.bucket}/none")
    return fs, place.bucket
