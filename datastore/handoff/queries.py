"""`ds.sql`: queries of DuckDB in which `ds://` URLs stand for tables."""

import glob
import re
from collections.abc import Mapping, Sequence
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final

from datastore.errors import DatastoreError
from datastore.handoff.choosing import choose
from datastore.handoff.engines import engine_module
from datastore.handoff.finding import Found, find
from datastore.handoff.formats import FormatName
from datastore.handoff.placing import offer_of, place
from datastore.namespace import Namespace
from datastore.urls import SCHEME

if TYPE_CHECKING:
    from datastore.fs.pins import Pins

__all__ = ["named_in", "query"]

_READERS: Final[dict[FormatName, str]] = {
    "parquet": "read_parquet({files}, hive_partitioning = {hive})",
    "csv": "read_csv({files}, hive_partitioning = {hive})",
    "tsv": "read_csv({files}, hive_partitioning = {hive}, delim = '\t')",
    "jsonl": "read_json({files}, hive_partitioning = {hive}, format = 'newline_delimited')",
}
_TOKEN: Final = re.compile(
    r"""
    --[^\n]* | /\*.*?\*/                        # comments
    | '(?P<text>(?:[^']|'')*)'
    | "(?P<name>(?:[^"]|"")*)"
    | \$(?P<tag>\w*)\$.*?\$(?P=tag)\$           # texts that are written between dollars
    | (?P<word>[^\W\d]\w*)
    | \S
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_A_TABLE: Final = {"FROM", "JOIN", ",", "(", "PIVOT", "UNPIVOT", "DESCRIBE", "SUMMARIZE"}


def named_in(sql: str) -> list[str]:
    r"""Return the texts of a query that may stand for tables and begin as our URLs, each once.

    >>> named_in("SELECT 'ds://no' FROM 'ds://a@main/x' AS a JOIN \"ds://b/y\" USING (id) -- FROM 'ds://c'")
    ['ds://a@main/x', 'ds://b/y']
    """
    found: dict[str, None] = {}
    before = ""
    for token in _TOKEN.finditer(sql):
        if token[0].startswith(("--", "/*")):
            continue
        text, name = token["text"], token["name"]
        table = text.replace("''", "'") if text is not None else (name or "").replace('""', '"')
        if table.startswith(SCHEME) and before in _BEFORE_A_TABLE:
            found[table] = None
        before = token[0].upper()
    return list(found)


def query(
    namespace: Namespace,
    sql: str,
    *,
    params: Sequence[object] | Mapping[str, object] | None = None,
    connection: Any = None,
    scope: Mapping[str, object] | None = None,
) -> Any:
    """Return the relation of a query; see `ds.sql`.

    DuckDB looks for tables that it does not know among the variables of whoever calls it: so the tables are handed
    over for this one query, and nothing is left in the connection.

    Args:
        namespace: Where names mean something.
        sql: The query.
        params: Values for its placeholders.
        connection: One to use; a new one, which lives as long as the relation, if not given.
        scope: More variables.
    """
    duckdb = engine_module("duckdb")
    connection = duckdb.connect() if connection is None else connection
    pins: Pins = {}
    tables: dict[str, object] = {}
    failures: dict[str, DatastoreError] = {}
    for url in named_in(sql):
        try:
            tables[url] = _table(namespace, find(namespace, namespace.url(url), pins), connection)
        except DatastoreError as error:  # if it is no table, nobody will ask for it
            failures[url] = error
    ask = FunctionType(_ask.__code__, {**(scope or {}), **tables})
    try:
        return ask(connection, sql, params)
    except duckdb.Error as error:
        for url, failure in failures.items():
            if url in str(error):
                raise failure from error
        if SCHEME in str(error):
            error.add_note("ds.sql knows ds:// URLs where tables stand, FROM 'ds://…', and not as arguments")
        raise


def _ask(_connection: Any, _sql: str, _params: Any) -> Any:
    return _connection.sql(_sql, params=_params)


def _table(namespace: Namespace, found: Found, connection: Any) -> object:
    way = choose(offer_of(namespace, found), "duckdb")
    if found.format not in _READERS:
        from datastore.handoff.arrow import arrow_dataset

        return arrow_dataset(namespace, found, way=way)
    if way == "files":
        files = [glob.escape(file) for file in place(namespace, found).files]
    else:
        from datastore.handoff.shared import SharedFiles

        shared = SharedFiles(found)
        connection.register_filesystem(shared)
        files = shared.urls
    listed = ", ".join("'" + file.replace("'", "''") + "'" for file in files)
    return connection.sql("FROM " + _READERS[found.format].format(files=f"[{listed}]", hive=found.hive))
