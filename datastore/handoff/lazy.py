"""`ds.scan`: objects as a LazyFrame of polars."""

from typing import Any, Final

from datastore.handoff.choosing import choose
from datastore.handoff.engines import engine_module
from datastore.handoff.finding import Found
from datastore.handoff.formats import FormatName
from datastore.handoff.placing import offer_of, place
from datastore.namespace import Namespace

__all__ = ["lazy_frame"]

_SCANS: Final[dict[FormatName, str]] = {
    "parquet": "scan_parquet",
    "csv": "scan_csv",
    "tsv": "scan_csv",
    "jsonl": "scan_ndjson",
    "arrow": "scan_ipc",
}
_HIVE: Final = ("parquet", "arrow")


def lazy_frame(namespace: Namespace, found: Found) -> Any:
    """Return objects as a LazyFrame.

    Raises:
        UnsupportedOperation: polars is not installed.
    """
    polars = engine_module("polars")
    if choose(offer_of(namespace, found), "polars") == "files":
        options: dict[str, Any] = {"hive_partitioning": found.hive} if found.format in _HIVE else {}
        if found.format == "tsv":
            options["separator"] = "\t"
        if found.format != "jsonl":
            options["glob"] = False
        return getattr(polars, _SCANS[found.format])(list(place(namespace, found).files), **options)
    from datastore.handoff.arrow import arrow_dataset

    return polars.scan_pyarrow_dataset(arrow_dataset(namespace, found))
