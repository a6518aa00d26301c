"""Whether an engine reads files of this machine by itself, or through our file system.

Measured on 132 MiB of Parquet (docs/decisions/027-handoff.md): with files polars and DuckDB are two to three times as
fast as over our file system, and Arrow is not faster. Over a network our own reader keeps to one version of an object
and hands no credentials to anybody, so files there are worth a copy only while they are small.
"""

from typing import Final, Literal

from msgspec import Struct

from datastore.handoff.formats import FORMATS, FormatName

__all__ = ["LOCAL", "REMOTE", "Engine", "Offer", "Way", "choose"]

Engine = Literal["arrow", "polars", "duckdb", "hf", "hf-streaming"]
Way = Literal["files", "ds"]

LOCAL: Final = 1 << 30
"""Bytes that are copied at most out of a store on this machine: some two seconds, once."""
REMOTE: Final = 32 << 20
"""Bytes that are brought at most over a network, all at once, where an engine may not need all of them."""

_OWN: Final[dict[Engine, frozenset[FormatName]]] = {
    "arrow": frozenset(FORMATS),
    "polars": frozenset({"parquet", "csv", "tsv", "jsonl", "arrow"}),
    "duckdb": frozenset({"parquet", "csv", "tsv", "jsonl"}),
}
"""What engines read by themselves; everything else Arrow reads for them."""

_OWN_HIVE: Final[dict[Engine, frozenset[FormatName]]] = {**_OWN, "polars": frozenset({"parquet", "arrow"})}
"""The same where folders are columns."""


class Offer(Struct, frozen=True, kw_only=True):
    """What there is to choose from.

    Attributes:
        format: Of the objects.
        copied: Bytes that have to be copied for each object to be a file of this machine.
        remote: Whether there is a network between.
        hive: Whether folders are columns.
        clear: Whether no folder above them looks like a column: engines take those, too.
    """

    format: FormatName
    copied: int = 0
    remote: bool = False
    hive: bool = False
    clear: bool = True


def choose(offer: Offer, engine: Engine) -> Way:
    """Return how an engine gets at the objects.

    >>> choose(Offer(format="parquet"), "duckdb"), choose(Offer(format="parquet"), "arrow")
    ('files', 'ds')
    >>> choose(Offer(format="parquet", copied=50 << 20, remote=True), "polars")
    'ds'
    """
    if engine in {"hf", "hf-streaming"}:  # the first copies everything into a cache of its own
        return "files" if engine == "hf" or not offer.copied else "ds"
    # Arrow starts some scans while it holds Python's lock, and would wait for our file system for ever: those of JSON,
    # and those that DuckDB asks it for.
    if offer.format not in (_OWN_HIVE if offer.hive else _OWN)[engine]:
        return "files" if engine == "duckdb" else "ds"
    whole = offer.format == "jsonl" and engine != "duckdb"
    better = offer.remote or whole if engine == "arrow" else offer.clear or not offer.hive
    fits = offer.copied <= (REMOTE if offer.remote else LOCAL)
    return "files" if better and (whole or fits) else "ds"
