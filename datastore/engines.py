"""The functions of `import datastore as ds` that hand tables to engines."""

from typing import TYPE_CHECKING

from datastore.namespace import current

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import datasets
    import duckdb
    import polars as pl
    import pyarrow.dataset as pads

    from datastore.handoff.finding import Found
    from datastore.handoff.formats import FormatName as TableFormat
    from datastore.handoff.options import StorageOptions, Tool

__all__ = ["arrow", "hf", "scan", "sql", "storage_options"]


def arrow(url: "str | os.PathLike[str]", *, format: "TableFormat | None" = None) -> "pads.Dataset":  # noqa: A002 - the word that people look for
    """Return a table as a dataset of pyarrow: of one commit, read when it is scanned, and only what is needed.

    The URL names an object, a folder (all under it), or a pattern: `*` and `?` within a name, `[ab]`, `**/` for any
    folders. Folders below it that are called `year=2026` become columns. Parquet, CSV and TSV, JSON lines (also
    compressed by gzip or zstd), Arrow, ORC.

    >>> import pandas as pd
    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> pd.DataFrame({"sku": [1, 2, 3], "price": [9.0, 4.0, 5.0]}).to_parquet(main / "t.parquet")
    >>> ds.arrow(main / "t.parquet").count_rows()
    3

    Args:
        url: What to read; the ref is resolved here, once.
        format: Goes by the names if not given; if it is, objects whose names say another one are left out.

    Raises:
        NotFound: There is nothing.
        ValidationError: Objects of several formats; names the choice.
        HeadMoved: When it is scanned: an object that is of no commit has changed since, or a branch with uncommitted
            changes has.
    """
    from datastore.handoff.arrow import arrow_dataset

    return arrow_dataset(current(), _found(url, format))


def scan(url: "str | os.PathLike[str]", *, format: "TableFormat | None" = None) -> "pl.LazyFrame":  # noqa: A002
    """Return a table as a LazyFrame of polars; everything else is as in `arrow`.

    >>> import pandas as pd
    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> pd.DataFrame({"sku": [1, 2, 3], "price": [9.0, 4.0, 5.0]}).to_parquet(main / "t.parquet")
    >>> ds.scan(main / "t.parquet").select("price").sum().collect().item()
    18.0

    Raises:
        UnsupportedOperation: polars is not installed.
    """
    from datastore.handoff.lazy import lazy_frame

    return lazy_frame(current(), _found(url, format))


def sql(
    query: str,
    *,
    params: "Sequence[object] | Mapping[str, object] | None" = None,
    connection: "duckdb.DuckDBPyConnection | None" = None,
) -> "duckdb.DuckDBPyRelation":
    """Return the relation of a query of DuckDB, in which URLs stand for tables as texts do: `FROM 'ds://…'`.

    Each URL is read as `arrow` reads it; all that name a ref see one commit of it. Data frames among the caller's
    variables are tables, too, as for `duckdb.sql`.

    >>> import pandas as pd
    >>> import datastore as ds
    >>> main = ds.create_repo("garments").branch("main")
    >>> pd.DataFrame({"sku": [1, 2, 3], "price": [9.0, 4.0, 5.0]}).to_parquet(main / "t.parquet")
    >>> ds.sql(f"SELECT max(price) FROM '{main / 't.parquet'}' WHERE sku > ?", params=[1]).fetchall()
    [(5.0,)]

    Args:
        query: One statement of DuckDB, or several.
        params: Values for its placeholders.
        connection: Where other tables are; nothing is left in it. A new one, which lives as long as the relation, if
            not given.

    Returns:
        What `duckdb.sql` returns: it runs when its rows are asked for. None for what has no rows.

    Raises:
        UnsupportedOperation: DuckDB is not installed.
        duckdb.Error: What DuckDB says of the query.
    """
    from inspect import currentframe

    from datastore.handoff import queries

    frame = currentframe()
    caller = frame and frame.f_back
    scope = {**caller.f_globals, **caller.f_locals} if caller else {}
    return queries.query(current(), query, params=params, connection=connection, scope=scope)


def hf(
    url: "str | os.PathLike[str]",
    *,
    streaming: bool = False,
    format: "TableFormat | None" = None,  # noqa: A002
) -> "datasets.Dataset | datasets.IterableDataset":
    """Return a table as a dataset of Hugging Face `datasets`; the URL and errors are as in `arrow`.

    Folders do not become columns: `datasets` has no such thing.

    Args:
        url: What to read.
        streaming: Whether rows are read as they are asked for, else all is brought here and made into a file of theirs.
        format: As in `arrow`.

    Raises:
        UnsupportedOperation: `datasets` is not installed.
    """
    from datastore.handoff.hub import hub_dataset

    return hub_dataset(current(), _found(url, format), streaming=streaming)


def storage_options(url: "str | os.PathLike[str]", *, tool: "Tool" = "fsspec") -> "StorageOptions":
    """Return what a tool with a client of its own needs to read a URL: a dict, with the tool's `url` beside it.

    For those who would rather go without us: on S3 nothing then watches that an object does not change while it is
    read. The dict holds secrets, which it does not show. A lakeFS branch is handed on as its commit, through the
    server's S3 gateway. Where no other client reaches the data, `url` is a pinned `ds://` one, and the dict is empty.

    >>> import datastore as ds
    >>> keys = {"access_key_id": "AK", "secret_access_key": "s3cr3t"}
    >>> raw = ds.mount("raw", "s3", bucket="acme", endpoint="https://minio.example", region="eu-1", **keys)
    >>> options = ds.storage_options(raw / "a.parquet", tool="polars")
    >>> options.url, options["aws_endpoint_url"]
    ('s3://acme/a.parquet', 'https://minio.example')

    Args:
        url: What to read; may have patterns, as far as the tool knows them.
        tool: `fsspec` for s3fs and what takes its options, such as pandas and dask; or `polars`.

    Raises:
        UncommittedChanges: A branch has some under the URL.
        UnsupportedOperation: The tool has no way there.
    """
    from datastore.handoff import options

    namespace = current()
    return options.storage_options(namespace, namespace.url(url), tool=tool)


def _found(url: "str | os.PathLike[str]", wanted: "TableFormat | None") -> "Found":
    from datastore.handoff.finding import find

    namespace = current()
    return find(namespace, namespace.url(url), {}, wanted=wanted)
