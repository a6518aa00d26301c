"""Tables to write, and each engine as a function that reads one into pandas."""

import pandas as pd

import datastore as ds

FRAME = pd.DataFrame({"a": range(1000), "k": [f"k{n % 4}" for n in range(1000)], "f": [n / 4 for n in range(1000)]})
WRITERS = {
    "t.parquet": lambda frame, url: frame.to_parquet(url, index=False),
    "t.csv": lambda frame, url: frame.to_csv(url, index=False),
    "t.csv.gz": lambda frame, url: frame.to_csv(url, index=False),
    "t.tsv": lambda frame, url: frame.to_csv(url, index=False, sep="\t"),
    "t.jsonl": lambda frame, url: frame.to_json(url, orient="records", lines=True),
    "t.feather": lambda frame, url: frame.to_feather(url),
    "t.orc": lambda frame, url: frame.to_orc(url),
}
ENGINES = {
    "arrow": lambda url: ds.arrow(url).to_table().to_pandas(),
    "scan": lambda url: ds.scan(url).collect().to_pandas(),
    "sql": lambda url: ds.sql(f"FROM '{url}'").df(),
    "hf": lambda url: ds.hf(url).to_pandas(),
    "hf streaming": lambda url: pd.DataFrame(list(ds.hf(url, streaming=True))),
}
COLUMNAR = {name: ENGINES[name] for name in ("arrow", "scan", "sql")}
HUB = {name: ENGINES[name] for name in ("hf", "hf streaming")}


def same(found, expected, *, sort="a"):
    """Assert that two frames have the same rows, whatever types their engines have for texts."""
    plain = [
        frame[sorted(frame)]
        .assign(**{name: frame[name].astype(object) for name in frame if frame[name].dtype.kind not in "iuf"})
        .sort_values(sort)
        .reset_index(drop=True)
        for frame in (found, expected)
    ]
    pd.testing.assert_frame_equal(*plain, check_dtype=False, check_column_type=False)


def commit(root):
    """Commit, where there are versions."""
    if root.ref is not None:
        ds.repo(root.mount).branch(root.ref).commit("Rows", empty="skip")
