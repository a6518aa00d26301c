"""Where a benchmark runs: a server on this machine, with what it needs to know to reach it."""

from msgspec import Struct

__all__ = ["LakeFSPlace", "S3Place"]


class S3Place(Struct, frozen=True, kw_only=True, tag="s3"):
    """A bucket: `big` (1 GiB), `small/00000` … (2,000 × 10 KB), `names/…` (20,000 empty ones), `table.parquet`."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"


class LakeFSPlace(Struct, frozen=True, kw_only=True, tag="lakefs"):
    """A branch `main` with the same keys, and a branch `scratch` to write to."""

    endpoint: str
    access_key: str
    secret_key: str
    repo: str
    lakectl: str


Place = S3Place | LakeFSPlace
