"""pandas reads and writes versions by URL; nothing of datastore is imported where the data is used.

Run it as often as you like: python examples/pandas_by_url.py
"""

import pandas as pd


def make_repo() -> None:
    """Make the repo, once: branches and repos are only ever made by their verbs, never by a typo in a URL."""
    import datastore as ds

    repo = ds.create_repo("examples", exist_ok=True)
    repo.create_branch("cleaned", exist_ok=True)


def write_version(url: str, rows: int) -> None:
    """Write a table to wherever the URL says."""
    frame = pd.DataFrame({"id": range(rows), "price": [float(number % 7) for number in range(rows)]})
    frame.to_parquet(url)


def total(url: str) -> float:
    """Read one column of it."""
    return float(pd.read_parquet(url, columns=["price"])["price"].sum())


def main() -> None:
    """Write two versions, commit them, and read both."""
    import datastore as ds

    make_repo()
    repo = ds.repo("examples")
    for branch, rows in (("main", 1000), ("cleaned", 900)):
        write_version(f"ds://examples@{branch}/prices.parquet", rows)
        repo.branch(branch).commit(f"{rows} rows", empty="skip")

    for ref in ("main", "cleaned", repo.commit_of("main").id[:8]):
        print(f"{ref:<9} {total(f'ds://examples@{ref}/prices.parquet'):>8.1f}")
    print(repo.diff("main", "cleaned"))


if __name__ == "__main__":
    main()
