"""A process that has never heard of datastore reads any version by its URL."""

import subprocess
import sys

import pandas as pd
import pytest

import datastore as ds

READ = "import sys, pandas as pd; print(len(pd.read_parquet(sys.argv[1])))"


def rows_in_a_new_process(url: str) -> int:
    command = [sys.executable, "-W", "error", "-c", READ, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.fixture
def versions() -> dict[str, int]:
    """Make three versions of a table; return the rows of each by every ref that names it."""
    repo = ds.create_repo("penguins")
    main = repo.branch("main")
    commits: list[str] = []
    for rows in (1, 2):
        pd.DataFrame({"id": range(rows)}).to_parquet(main / "penguins.parquet")
        commits.append(main.commit(f"{rows} rows").id)
    repo.create_tag("v1", commits[0])
    pd.DataFrame({"id": range(3)}).to_parquet(main / "penguins.parquet")  # uncommitted
    return {"main": 3, "main@": 2, "v1": 1, commits[0]: 1, commits[1]: 2, commits[0][:8]: 1, "main~1": 1, "main~0": 2}


def test_time_travel_in_a_new_process(versions: dict[str, int]):
    found = {ref: rows_in_a_new_process(f"ds://penguins@{ref}/penguins.parquet") for ref in versions}
    assert found == versions


def test_no_ref_means_the_default_branch(versions: dict[str, int]):
    assert rows_in_a_new_process("ds://penguins/penguins.parquet") == versions["main"]


def test_a_new_process_is_told_what_is_near(versions: dict[str, int]):
    command = [sys.executable, "-c", READ, "ds://penguins@mian/penguins.parquet"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.rstrip().endswith("hint: did you mean 'main'?")
