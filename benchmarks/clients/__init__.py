"""The clients that are compared: modules with `connect(place)` and some of the tasks, as functions of a connection.

`connect` makes one small request, so that every client is measured warm. Tasks, with the local folder to use:
`download` (1 GiB object to a file), `read` (the same into memory), `upload` (1 GiB file), `list_keys` (20,000),
`get_many` (2,000 × 10 KB into the folder), `put_many` (the same from `../source`), `read_parquet` (2 of 10 columns;
returns the round trips in sequence where the client can tell).
"""

import secrets

BIG = 1 << 30


def fresh() -> str:
    """Return a prefix that was never written to: some clients skip what is there already."""
    return secrets.token_hex(4)
