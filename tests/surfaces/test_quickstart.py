"""The quickstart tells a true story, also twice, also on somebody's own folder, and touches nothing of theirs."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import datastore as ds
from datastore.namespace import current
from datastore.quickstart import penguins, run, write_notebook


@pytest.fixture
def told() -> list[str]:
    return []


def test_it_leaves_a_repo_whose_url_is_read_by_a_process_that_does_not_import_us(told: list[str]):
    run(echo=told.append)
    code = "import pandas as pd; print(len(pd.read_parquet('ds://penguins@main/penguins.parquet')))"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == str(len(penguins().dropna())), done.stderr
    assert told[-1].strip() == 'import pandas as pd; pd.read_parquet("ds://penguins@main/penguins.parquet")'


def test_what_it_says_is_true(told: list[str]):
    repo = run(echo=told.append)
    text = "\n".join(told)
    assert "NO" not in text.split()
    assert "-3 removed  ~5 changed" in text
    assert "MergeConflict" in text
    rows = {ref: len(pd.read_parquet(repo.url("penguins.parquet", ref=ref))) for ref in ("v1", "main~1", "main@")}
    assert rows == {"v1": 344, "main~1": 343, "main@": 333}
    for count in rows.values():
        assert f"{count} rows" in text
    assert [problem for problem in current().store.check()] == []  # noqa: C416 - the failure shows the problems


def test_twice_in_a_row_begins_anew(told: list[str]):
    run(echo=told.append)
    again = run(echo=told.append)
    assert again.name == "penguins"
    assert [repo.name for repo in ds.repos()] == ["penguins"]


def test_a_repo_that_somebody_wrote_to_is_left_alone(told: list[str]):
    mine = run(echo=told.append)
    mine.branch("main").objects.put("mine.txt", b"mine")
    mine.branch("main").commit("Mine")
    again = run(echo=told.append)
    assert again.name == "penguins-2"
    assert mine.branch("main").objects.read("mine.txt").read() == b"mine"


def test_uncommitted_work_counts_as_somebody_elses(told: list[str]):
    mine = run(echo=told.append)
    mine.branch("main").objects.put("mine.txt", b"mine")
    assert run(echo=told.append).name == "penguins-2"


def test_on_a_folder_with_a_table_it_copies_and_changes_nothing_there(tmp_path: Path, told: list[str]):
    folder = tmp_path / "My Data"
    (folder / "deep").mkdir(parents=True)
    penguins().to_csv(folder / "deep" / "birds.csv", index=False)
    (folder / "readme.txt").write_text("hello")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    repo = run(folder, echo=told.append)
    assert repo.name == "my-data"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    assert told[-1].strip() == 'import pandas as pd; pd.read_csv("ds://my-data@main/deep/birds.csv")'
    assert len(pd.read_csv("ds://my-data@main/deep/birds.csv")) == 333


def test_on_a_folder_without_a_table_it_tells_the_story_of_a_file(tmp_path: Path, told: list[str]):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "a.csv").write_bytes(b"\x00\xff no table")
    repo = run(tmp_path / "x", echo=told.append)
    assert repo.branch("main").objects.read("a.csv").read() == b"\x00\xff no table\n"


@pytest.mark.parametrize(("name", "error"), [("missing", ds.NotFound), ("empty", ds.ValidationError)])
def test_a_folder_that_will_not_do_is_named(tmp_path: Path, told: list[str], name: str, error: type[Exception]):
    (tmp_path / "empty").mkdir()
    with pytest.raises(error, match=name):
        run(tmp_path / name, echo=told.append)


def test_the_notebook_is_written_once_and_never_over_somebodys_work(tmp_path: Path):
    target = write_notebook(tmp_path)
    assert write_notebook(tmp_path) == target
    target.write_text("my own work")
    with pytest.raises(ds.AlreadyExists, match=r"01_start\.ipynb"):
        write_notebook(tmp_path)
    assert target.read_text() == "my own work"
