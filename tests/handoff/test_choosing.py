"""What is handed to which engine: the whole decision, as a table."""

import pytest

from datastore.handoff.choosing import LOCAL, REMOTE, Offer, choose

MIB = 1 << 20
OWN = Offer(format="parquet")
COPY = Offer(format="parquet", copied=100 * MIB)
BIG = Offer(format="parquet", copied=LOCAL + 1)
FEW = Offer(format="parquet", copied=REMOTE, remote=True)
FAR = Offer(format="parquet", copied=REMOTE + 1, remote=True)
HIVE = Offer(format="parquet", hive=True)
ODD = Offer(format="parquet", hive=True, clear=False)
CSV = Offer(format="csv", hive=True)
IPC = Offer(format="arrow")
ORC = Offer(format="orc")
JSON = Offer(format="jsonl", copied=LOCAL + 1, remote=True)
ROWS = Offer(format="jsonl", hive=True)
NAMES = ("OWN", "COPY", "BIG", "FEW", "FAR", "HIVE", "ODD", "CSV", "IPC", "ORC", "JSON", "ROWS")
F, D = "files", "ds"
TABLE = {
    #              OWN  COPY BIG  FEW  FAR  HIVE ODD  CSV  IPC  ORC  JSON ROWS
    "arrow":        (D,   D,   D,   F,   D,   D,   D,   D,   D,   D,   F,   F),
    "polars":       (F,   F,   D,   F,   D,   F,   D,   D,   F,   D,   F,   D),
    "duckdb":       (F,   F,   D,   F,   D,   F,   D,   F,   F,   F,   D,   F),
    "hf":           (F,   F,   F,   F,   F,   F,   F,   F,   F,   F,   F,   F),
    "hf-streaming": (F,   D,   D,   D,   D,   F,   F,   F,   F,   F,   D,   F),
}  # fmt: skip


@pytest.mark.parametrize(
    ("engine", "name", "way"),
    [(engine, *cell) for engine, row in TABLE.items() for cell in zip(NAMES, row, strict=True)],
)
def test_the_choice(engine, name, way):
    assert choose(globals()[name], engine) == way
