"""A change to a table is tried on a branch, looked at row by row, and merged: on lakeFS as in the embedded store.

    python examples/lakefs_branches.py                  # in the embedded store
    python examples/lakefs_branches.py lakefs/garments  # a repo on the server that lakectl is configured for
    python examples/lakefs_branches.py dev              # the mount that `datastore servers up lakefs` prints

Run it as often as you like.
"""

import sys

import pandas as pd

import datastore as ds


def repo_of(arguments: list[str]) -> ds.Repo:
    """Return the repo that is named, or one of our own: the only line that knows where it is."""
    return ds.repo(arguments[0]) if arguments else ds.create_repo("coats", exist_ok=True)


def main(arguments: list[str]) -> None:
    """Raise prices on a branch, and merge it if the rows are right."""
    repo = repo_of(arguments)
    trunk = repo.branch()
    coats = pd.DataFrame({"sku": [1, 2, 3], "name": ["parka", "trench", "duffle"], "price": [120.0, 180.0, 150.0]})
    coats.to_parquet(trunk / "coats.parquet")
    trunk.commit("Three coats", empty="skip")

    trial = repo.create_branch("dearer", trunk, exist_ok=True)  # no bytes are copied
    coats.assign(price=coats.price * 1.1).to_parquet(trial / "coats.parquet")
    trial.commit("Everything is 10 % dearer", empty="skip")

    rows = repo.diff(trunk, trial).table("coats.parquet", key="sku")
    print(rows)
    repo.merge(trial, into=trunk)
    repo.delete_branch(trial.name)
    print(
        pd.read_parquet(trunk / "coats.parquet")["price"].sum(),
        "for all three; the log:",
        trunk.log(limit=2)[0].message,
    )


if __name__ == "__main__":
    main(sys.argv[1:])
