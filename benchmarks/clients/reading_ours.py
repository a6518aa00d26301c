"""datastore."""

from typing import Any

import datastore as ds
from benchmarks.clients.reading import *  # noqa: F403 - the tasks
from benchmarks.places import LakeFSPlace, Place, S3Place

LABEL = "datastore"


def connect(place: Place) -> Any:
    """Mount the bucket, or the commit of the repo."""
    if isinstance(place, S3Place):
        where = {"provider": "s3", "bucket": place.bucket, "region": place.region}
    else:
        assert isinstance(place, LakeFSPlace)
        where = {"provider": "lakefs", "repo": place.repo}
    keys = {"access_key_id": place.access_key, "secret_access_key": place.secret_key}
    ds.mount("bench", endpoint=place.endpoint, **where, **keys)
    fs = ds.filesystem()
    base = "bench" if isinstance(place, S3Place) else f"bench@{place.ref}"
    fs.exists(f"{base}/none")
    return fs, base
