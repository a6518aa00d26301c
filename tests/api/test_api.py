"""The functions of `import datastore as ds`."""

import pandas as pd
import pytest

import datastore as ds
from tests.api.helpers import keys, read, write

# ---------------------------------------------------------------------------------------------------------------- repos


def test_create_repo(place):
    repo = ds.create_repo("garments")
    assert repo.name == "garments"
    assert [branch.name for branch in repo.branches()] == ["main"]
    assert [found.name for found in ds.repos()] == ["garments"]
    assert ds.repo("garments") == repo
    assert (place / "store").is_dir()


def test_creating_a_repo_again_keeps_what_is_there(main):
    with pytest.raises(ds.AlreadyExists, match="garments") as caught:
        ds.create_repo("garments")
    assert "exist_ok" in caught.value.hint
    assert keys(ds.create_repo("garments", exist_ok=True).branch("main")) == ["a.csv", "b.csv", "img/1.png"]


@pytest.mark.parametrize("exist_ok", [False, True])
@pytest.mark.parametrize("name", ["scratch", "local", "s3"])
def test_a_mount_has_the_name(place, name, exist_ok):
    ds.mount("scratch", "memory")
    with pytest.raises(ds.AlreadyExists, match=name):
        ds.create_repo(name, exist_ok=exist_ok)
    assert not (place / "store").exists()


@pytest.mark.parametrize("name", ["", "ab", "Garments", "a b c", "../up", "garments@main", "a/b", "x" * 64])
def test_what_is_no_name_for_a_repo_is_refused(place, name):
    with pytest.raises(ds.ValidationError):
        ds.create_repo(name)
    assert not (place / "store").exists()


def test_repos_are_sorted_and_there_need_be_none(place):
    assert ds.repos() == []
    assert not (place / "store").exists()
    for name in ("zeta", "alpha"):
        ds.create_repo(name)
    assert [repo.name for repo in ds.repos()] == ["alpha", "zeta"]


def test_a_deleted_repo_is_gone_and_its_name_is_free(main):
    ds.create_repo("other")
    with pytest.raises(ds.NotFound, match="garmnets"):
        ds.delete_repo("garmnets")
    ds.delete_repo("garments")
    assert [repo.name for repo in ds.repos()] == ["other"]
    with pytest.raises(ds.NotFound, match="garments"):
        keys(main)
    assert keys(ds.create_repo("garments").branch("main")) == []


@pytest.mark.parametrize("verb", ["repo", "delete", "read", "write", "ls", "diff", "branch", "commit"])
def test_a_typo_names_the_nearest_and_makes_nothing(place, verb):
    """With no store at all: nothing appears on the disk, either."""
    ds.mount("garments", "memory")
    frame = pd.DataFrame({"a": [1]})
    calls = {
        "repo": lambda: ds.repo("garmnets"),
        "delete": lambda: ds.delete_repo("garmnets"),
        "read": lambda: pd.read_csv("ds://garmnets@main/a.csv"),
        "write": lambda: frame.to_csv("ds://garmnets@main/a.csv"),
        "ls": lambda: ds.filesystem().ls("ds://garmnets"),
        "diff": lambda: ds.diff("ds://garmnets@main", "ds://garmnets@v1"),
        "branch": lambda: ds.repo("garmnets").create_branch("exp"),
        "commit": lambda: ds.Repo("garmnets").branch("main").commit("x"),
    }
    before = sorted(place.rglob("*"))
    with pytest.raises(ds.NotFound) as caught:
        calls[verb]()
    if verb != "delete":  # there is no store yet that could have a repo
        assert "garmnets" in str(caught.value)
        assert "garments" in caught.value.hint
    assert sorted(place.rglob("*")) == before
    assert ds.repos() == []


def test_a_typo_in_a_repo_or_a_key_names_the_nearest_one(main):
    with pytest.raises(ds.NotFound) as caught:
        ds.repo("garmnets")
    assert "garments" in caught.value.hint
    with pytest.raises(FileNotFoundError) as missing:
        pd.read_csv(main / "a.cvs")
    assert "a.csv" in missing.value.hint
    assert len(main.uncommitted()) == 0
    assert [repo.name for repo in ds.repos()] == ["garments"]


@pytest.mark.parametrize(
    "name", ["garments@main", "garments/a.csv", "ds://garments", "garments/", "", "garments@main/x"]
)
def test_what_is_more_than_a_name_is_no_repo(main, name):
    with pytest.raises(ds.InvalidURL):
        ds.repo(name)


def test_a_mount_without_versions_is_no_repo():
    ds.mount("scratch", "memory")
    with pytest.raises(ds.UnsupportedOperation, match="scratch"):
        ds.repo("scratch")


def test_repos_of_a_mounted_store(place):
    ds.mount("team", "embedded", path=str(place / "team"))
    ds.create_repo("garments")
    with pytest.raises(ds.NotFound):
        ds.repo("team/garments")
    with pytest.raises(ds.InvalidURL, match="repo"):
        ds.repo("team")


# ----------------------------------------------------------------------------------------------------- mounts and URLs


def test_mounts(place):
    (place / "disk").mkdir()
    ds.mount("disk", "local", path=str(place / "disk"))
    ds.mount("disk", provider="local", path=str(place / "disk"))  # a notebook runs twice
    pd.DataFrame({"a": [1]}).to_csv("ds://disk/sub/a.csv", index=False)
    assert (place / "disk" / "sub" / "a.csv").read_text() == "a\n1\n"
    assert [(mount.name, mount.provider, mount.versioned) for mount in ds.mounts()] == [("disk", "local", False)]


def test_an_option_of_a_provider_may_be_called_name():
    ds.mount("one", "memory", name="shared")
    ds.mount("two", "memory", name="shared")
    fs = ds.filesystem()
    fs.pipe_file("ds://one/a", b"1")
    assert fs.cat_file("ds://two/a") == b"1"


def test_a_bad_mount_is_named_and_not_made(place, repo):
    (place / "disk").mkdir()
    with pytest.raises(ds.ConfigError, match="locla") as caught:
        ds.mount("disk", "locla", path=str(place / "disk"))
    assert "local" in caught.value.hint
    with pytest.raises(ds.ConfigError, match="paht"):
        ds.mount("disk", "local", paht=str(place / "disk"))
    with pytest.raises(ds.ValidationError):
        ds.mount("No Name", "memory")
    with pytest.raises(ds.AlreadyExists, match="garments"):
        ds.mount("garments", "memory")
    assert ds.mounts() == []
    ds.mount("disk", "local", path=str(place / "disk"))
    with pytest.raises(ds.AlreadyExists, match="disk"):
        ds.mount("disk", "memory")


def test_url(place):
    assert ds.url("garments@main/a b.csv") == "ds://garments@main/a b.csv"
    assert ds.url("s3://bucket/key") == "ds://s3/bucket/key"
    assert ds.url(place / "a.csv") == f"ds://local{place}/a.csv"
    assert isinstance(ds.url("ds://garments"), ds.DatasetURL)
    with pytest.raises(ds.InvalidURL, match="ftp"):
        ds.url("ftp://host/key")


# ----------------------------------------------------------------------------------------------------------------- diff


def kinds(diff):
    return {change.key: change.kind for change in diff}


def test_diff_of_two_refs(repo, main):
    write(main, {"a.csv": "2", "img/2.png": "2", "b.csv": None})
    main.commit("Second")
    write(main, {"uncommitted.csv": "1"})
    found = ds.diff("ds://garments@main~1", "ds://garments@main")
    assert kinds(found) == {"a.csv": "changed", "b.csv": "removed", "img/2.png": "added"}
    assert kinds(ds.diff(repo.at("main~1"), repo.url())) == kinds(found)
    assert kinds(ds.diff("garments@main/", "garments@main~1/")) == {
        "a.csv": "changed",
        "b.csv": "added",
        "img/2.png": "removed",
    }
    assert len(ds.diff("ds://garments@main", "ds://garments@main")) == 0
    assert "main~1" in found.title


def test_diff_of_a_folder_or_an_object_takes_nothing_that_only_begins_alike(main):
    more = {"img/1.png": "2", "img2/1.png": "2", "a.csv": "id,n\n1,uno\n", "a.csv.bak": "2"}
    write(main, more)
    main.commit("Second")
    for folder in ("img", "img/"):
        assert kinds(ds.diff(f"ds://garments@main~1/{folder}", f"ds://garments@main/{folder}")) == {
            "img/1.png": "changed"
        }
    found = ds.diff("ds://garments@main~1/a.csv", "ds://garments@main/a.csv")
    assert kinds(found) == {"a.csv": "changed"}
    assert found.table("a.csv", key="id").counts["changed"] == 1


def test_diff_of_different_mounts(main, place):
    (place / "disk").mkdir()
    ds.mount("disk", "local", path=str(place / "disk"))
    fs = ds.filesystem()
    fs.pipe({"disk/copy/a.csv": b"id,n\n1,one\n3,three\n", "disk/copy/img/1.png": b"one!", "disk/copy/new": b"1"})
    fs.pipe({"disk/copy2/x": b"1", "disk/copy.txt": b"1"})
    for folder in ("copy", "copy/"):
        found = ds.diff("ds://garments@main", f"ds://disk/{folder}")
        assert kinds(found) == {"a.csv": "changed", "b.csv": "removed", "img/1.png": "changed", "new": "added"}
        assert dict(found.table("a.csv", key="id").counts) == {"added": 1, "removed": 1, "changed": 0}


def test_diff_of_two_objects(main, place):
    write(main, {"other/c.csv": read(main, "a.csv").replace("one", "uno"), "a.csvx": "1"})
    main.commit("Second")
    found = ds.diff("ds://garments@main/a.csv", "ds://garments@main/other/c.csv")
    assert [change.kind for change in found] == ["changed"]
    assert found.table(found[0].key, key="id").counts["changed"] == 1
    write(main, {"same.csv": read(main, "a.csv")})
    assert len(ds.diff("ds://garments@main/a.csv", "ds://garments@main/same.csv")) == 0


def test_diff_with_what_is_not_there_says_so(main):
    with pytest.raises(ds.NotFound, match="zzz"):
        ds.diff("ds://garments@main/zzz", "ds://garments@main~1/zzz")
    with pytest.raises(ds.NotFound, match="mian"):
        ds.diff("ds://garments@mian", "ds://garments@main")
    with pytest.raises(ds.InvalidURL):
        ds.diff("ds://", "ds://garments@main")


# ----------------------------------------------------------------------------------------------------------- filesystem


def test_filesystem_at_a_commit_sees_that_commit(repo, main):
    first = main.head
    write(main, {"a.csv": "2"})
    second = main.commit("Second")
    for at in (f"garments@main={first.id}", {"garments@main": first.id}):
        fs = ds.filesystem(at)
        assert fs.cat_file("garments@main/a.csv").startswith(b"id,n")
        assert fs.cat_file("ds://garments/a.csv").startswith(b"id,n")
        assert fs.cat_file(f"garments@{second.id}/a.csv") == b"2"
    assert ds.filesystem().cat_file("garments@main/a.csv") == b"2"


@pytest.mark.parametrize(
    "at", ["garments@main", "garments@main=v1", {"garments@main": "12345678"}, {"garments": "0" * 64}]
)
def test_pins_that_cannot_be_read_are_refused(main, at):
    with pytest.raises(ds.ValidationError, match="pins"):
        ds.filesystem(at)
