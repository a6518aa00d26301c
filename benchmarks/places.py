"""Where a benchmark runs: a server on this machine, with what it needs to know to reach it, or folders."""

from msgspec import Struct

__all__ = [
    "CachedPlace",
    "CopiedPlace",
    "FilesPlace",
    "GrownPlace",
    "LakeFSPlace",
    "LocalPlace",
    "Place",
    "S3Place",
    "StreamPlace",
    "TablesPlace",
]


class S3Place(Struct, frozen=True, kw_only=True, tag="s3"):
    """A bucket: `big` (1 GiB), `small/00000` … (2,000 × 10 KB), `names/…` (20,000 empty ones), `table.parquet`."""

    endpoint: str
    access_key: str
    secret_key: str
    bucket: str
    region: str = "us-east-1"


class LakeFSPlace(Struct, frozen=True, kw_only=True, tag="lakefs"):
    """A branch `main` (or what `ref` names) with the same keys, and a branch `scratch` to write to."""

    endpoint: str
    access_key: str
    secret_key: str
    repo: str
    lakectl: str
    ref: str = "main"


class CopiedPlace(Struct, frozen=True, kw_only=True, tag="copied"):
    """A branch with `small/00000` … (so many × 10 KB), and a home for what one client keeps from task to task."""

    endpoint: str
    access_key: str
    secret_key: str
    repo: str
    lakectl: str
    branch: str
    home: str
    files: int


class FilesPlace(Struct, frozen=True, kw_only=True, tag="files"):
    """A folder for one client alone, with `work/data/00000` … (10,000 × 10 KB) and, when it has made one, its repo."""

    home: str


class GrownPlace(Struct, frozen=True, kw_only=True, tag="grown"):
    """An embedded store with a repo `grown`, whose branch `main` has so many entries, 1,000 under each prefix."""

    store: str
    count: int


class TablesPlace(Struct, frozen=True, kw_only=True, tag="tables"):
    """A store with a repo `tables`: `t.parquet` (2 M × 10) on `main`, changed a little on `few`, more on `many`."""

    store: str


class LocalPlace(Struct, frozen=True, kw_only=True, tag="local"):
    """A folder with `big` (1 GiB), `small/00000` …, `table.parquet`; a store with the same in its repo `local`."""

    store: str
    source: str


class CachedPlace(Struct, frozen=True, kw_only=True, tag="cached"):
    """10,000 × 10 KB: `files/00000` … in a folder and in a repo `cached`; and a home for each client's own cache."""

    store: str
    source: str
    home: str


class StreamPlace(Struct, frozen=True, kw_only=True, tag="stream"):
    """So many rows of a kind (`table`, `shards`) as files under its name in `source` and in `data/` of a repo `bench`.

    Clients with a form or a cache of their own have it in `home`.
    """

    store: str
    source: str
    home: str
    kind: str
    rows: int


Place = (
    S3Place | LakeFSPlace | CopiedPlace | FilesPlace | GrownPlace | TablesPlace | LocalPlace | CachedPlace | StreamPlace
)
