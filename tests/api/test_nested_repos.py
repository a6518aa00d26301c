"""Repos of a mount that holds several: handles, files and pickles say `mount/repo`."""

import multiprocessing
import pickle

import fsspec
import pandas as pd
import pytest

import datastore as ds
from tests.api.helpers import read, write


@pytest.fixture
def team(place):
    (place / "datastore.yaml").write_text("mounts: {team: {provider: embedded, path: team}}")
    return ds.create_repo("team/garments")


@pytest.fixture
def main(team):
    branch = team.branch("main")
    pd.DataFrame({"a": [1, 2]}).to_csv(branch / "a.csv", index=False)
    branch.commit("First rows")
    return branch


def test_handles_give_urls_that_lead_back(team, main):
    head = main.head
    team.create_tag("v1", head)
    assert main / "a.csv" == "ds://team/garments@main/a.csv"
    assert team.url() == "ds://team/garments/"
    assert head / "a.csv" == f"ds://team/garments@{head.id}/a.csv"
    assert (main / "a.csv").at("v1") == "ds://team/garments@v1/a.csv"
    assert (main / "img" / "1.png").parent == "ds://team/garments@main/img/"
    assert ds.repo((main / "a.csv").mount) == team
    for url in (main / "a.csv", head / "a.csv", team.at("v1") / "a.csv", ds.url("team/garments/a.csv")):
        assert list(pd.read_csv(url)["a"]) == [1, 2]
    assert len(ds.diff(team.at("main~1"), team.at("main"))) == 1


def test_reads_of_a_moving_ref_are_pinned(team, main):
    pins = fsspec.core.url_to_fs(main / "a.csv")[0].pins
    assert pins == f"team/garments@main={main.head.id}"
    fs = ds.filesystem({"team/garments@main": main.head.id})
    write(main, {"a.csv": "a\n9\n"})
    assert fs.cat_file("team/garments@main/a.csv") == b"a\n1\n2\n"
    again = pickle.loads(pickle.dumps(fs))
    assert again.cat_file("team/garments@main/a.csv") == b"a\n1\n2\n"


def test_the_file_system_lists_repos_then_objects(team, main):
    ds.create_repo("team/shoes")
    fs = ds.filesystem()
    assert fs.ls("team", detail=False) == ["team/garments", "team/shoes"]
    assert fs.ls("ds://team/", detail=False) == ["team/garments", "team/shoes"]
    assert (fs.isdir("team"), fs.exists("team"), fs.info("team")["type"]) == (True, True, "directory")
    assert fs.ls("team/garments", detail=False) == ["team/garments/a.csv"]
    assert fs.find("team") == ["team/garments/a.csv"]
    assert fs.find("team", withdirs=True, maxdepth=1) == ["team", "team/garments", "team/shoes"]
    commit = f"team/garments@{main.head.id}"
    for _ in range(2):  # the second time it is remembered
        assert fs.find(commit) == [f"{commit}/a.csv"]
        assert fs.cat_file(f"{commit}/a.csv") == b"a\n1\n2\n"
        assert fs.info(commit)["type"] == "directory"
    with pytest.raises(ds.NotFound, match="garmnets"):
        fs.ls("team/garmnets")


def test_repos_of_a_mount_are_made_renamed_and_deleted(team, main):
    with pytest.raises(ds.AlreadyExists):
        ds.create_repo("team/garments")
    assert ds.create_repo("team/garments", exist_ok=True) == team
    assert ds.repos() == []
    renamed = team.rename("team/clothes")
    assert read(renamed.branch("main"), "a.csv") == "a\n1\n2\n"
    with pytest.raises(ds.ValidationError, match="another store"):
        renamed.rename("clothes")
    with pytest.raises(ds.NotFound):
        ds.repo("team/garments")
    ds.delete_repo("team/clothes")
    with pytest.raises(ds.NotFound):
        ds.repo("team/clothes")
    with pytest.raises(ds.NotFound):
        ds.create_repo("taem/garments")


def _there(repo):
    url = repo.branch("main") / "a.csv"
    return str(url), str(url.at("main~0")), list(pd.read_csv(url)["a"]), str(repo.branch("main").head / "a.csv")


def test_handles_work_in_a_spawned_worker(team, main):
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(_there, (team,)).get(60) == _there(team)
        url = pool.apply_async(_nested, (main / "a.csv",)).get(60)
    assert url == "ds://team/garments@v1/a.csv"


def _nested(url):
    return str(url.at("v1"))


def test_a_handle_takes_a_mount_of_this_process_along(place):
    ds.mount("draft", "embedded", path=str(place / "draft"))
    repo = ds.create_repo("draft/garments")
    write(repo.branch("main"), {"a.csv": "1"})
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(read, (repo.branch("main"), "a.csv")).get(60) == "1"
