"""Paths, URLs and constructor arguments."""

import os

import fsspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.errors import AlreadyExists, Forbidden, InvalidURL, NotFound, UnsupportedOperation
from datastore.fs.system import DatastoreFileSystem

KEYS = ["a b", "a#b", "a?b", "100%20", "k=v/x", "[1].csv", "ü/日本", "a*b", "~x", "A/b", "a:b", "x@y/z", "a+b&c"]


@pytest.mark.parametrize(
    ("path", "stripped"),
    [
        ("ds://garments@main/a b/#1", "garments@main/a b/#1"),
        ("/garments@main/x", "garments@main/x"),
        ("//garments/x/", "garments/x"),
        ("garments/x//", "garments/x/"),
        ("ds://", ""),
        ("/", ""),
        ("", ""),
        (["ds://a/b", "c"], ["a/b", "c"]),
    ],
)
def test_stripping(path, stripped):
    assert DatastoreFileSystem._strip_protocol(path) == stripped


def test_parents_and_urls(fs):
    assert fs._parent("garments@main") == ""
    assert fs._parent("garments@main/x") == "garments@main"
    assert fs._parent("ds://garments@main/x/y/") == "garments@main/x"
    assert fs.unstrip_protocol("/garments@main/x") == "ds://garments@main/x"
    assert fs.unstrip_protocol("ds://garments@main/x") == "ds://garments@main/x"
    assert fs.protocol == "ds"


@pytest.mark.parametrize("key", KEYS)
def test_keys_survive_verbatim(fs, base, key):
    url = f"ds://{base}/{key}"
    with fsspec.open(url, "wb") as file:
        file.write(key.encode())
    with fsspec.open(url, "rb") as file:
        assert file.read() == key.encode()
    assert fs.find(base) == [f"{base}/{key}"]
    assert fs.info(url)["name"] == f"{base}/{key}"
    assert fs.cat(url) == key.encode()  # also where a pattern would be expanded
    fs.rm(url)
    assert fs.find(base) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1), min_size=1, max_size=4))
def test_any_key_that_may_be_written_is_found_again(mem, segments):
    key = "/".join(segments)
    if "::" in key or {".", ".."} & set(segments) or len(key.encode()) > 1024:
        return
    fs = DatastoreFileSystem()
    fs.pipe_file(f"{mem}/{key}", b"1")
    assert fs.find(mem) == [f"{mem}/{key}"]
    assert fs.cat_file(f"ds://{mem}/{key}") == b"1"
    fs.rm_file(f"{mem}/{key}")


def test_a_path_object_and_a_url_object_are_paths(fs, mem, tmp_path):
    url = ds.url(f"ds://{mem}/a.txt")
    fs.pipe_file(url, b"1")
    fs.get(url, tmp_path / "a.txt")
    assert (tmp_path / "a.txt").read_bytes() == b"1"
    fs.put(tmp_path / "a.txt", f"{mem}/b.txt")
    assert fs.cat([url, f"{mem}/b.txt"]) == {f"{mem}/a.txt": b"1", f"{mem}/b.txt": b"1"}


@pytest.mark.parametrize("option", ["fo", "target_protocol", "target_options"])
def test_chaining_into_us_is_refused(option):
    with pytest.raises(InvalidURL, match="::"):
        DatastoreFileSystem(**{option: "x"})


def test_a_double_colon_in_a_url_writes_nothing(fs, mem):
    with pytest.raises(InvalidURL, match="::"):
        fsspec.open(f"ds://{mem}/a::b.csv", "wb")
    assert fs.find(mem) == []


@pytest.mark.parametrize("path", ["garments@a b/x", "Garments/x", "garments@a:b/x", "@main/x"])
def test_bad_names_are_errors_not_missing(fs, path):
    with pytest.raises(InvalidURL):
        fs.exists(path)


def test_arguments_of_other_file_systems_are_ignored_and_not_kept():
    fs = DatastoreFileSystem(anon=True, key="secret-value", use_listings_cache=True)
    assert fs is DatastoreFileSystem()
    assert "secret-value" not in str(fs.to_dict())
    assert "secret-value" not in fs.to_json()


def test_a_refused_read_says_so_although_pandas_tries_again_with_anon(mem, monkeypatch):
    import pandas as pd

    from datastore.providers.memory import MemoryProvider

    def refuse(self, key, **options):
        raise Forbidden(f"no access to {key!r}")

    monkeypatch.setattr(MemoryProvider, "read", refuse)
    monkeypatch.setattr(MemoryProvider, "head", refuse)
    with pytest.raises(Forbidden, match=r"no access to 'a\.csv'"):
        pd.read_csv(f"ds://{mem}/a.csv")
    with pytest.raises(Forbidden):
        pd.read_parquet(f"ds://{mem}/a.csv")


def test_the_root_and_mounts_answer_without_being_opened(fs, mem, other, counts):
    assert fs.info("") == {"name": "", "size": 0, "type": "directory"}
    assert fs.ls("", detail=False) == [mem, other]
    assert fs.ls("ds://")[0] == {"name": mem, "size": 0, "type": "directory"}
    assert fs.isdir("")
    assert fs.exists("")
    assert not counts


def test_repos_stand_beside_mounts_in_the_root(fs, repo, mem):
    assert "garments" in fs.ls("", detail=False)
    assert mem in fs.ls("", detail=False)


def test_names_that_do_not_exist(fs, repo):
    with pytest.raises(NotFound) as caught:
        fs.info("garmens@main")
    assert "garments" in (caught.value.hint or "")
    with pytest.raises(NotFound) as caught:
        fs.info("garments@mian")
    assert "main" in (caught.value.hint or "")
    assert not fs.exists("garments@mian")
    assert not fs.isdir("garmens")


def test_directories_are_never_made(fs, repo):
    fs.mkdir("garments@main/a/b")
    fs.makedirs("garments@main/a", exist_ok=True)
    fs.makedirs("garments@main", exist_ok=True)
    fs.makedirs("", exist_ok=True)
    assert not fs.exists("garments@main/a")
    with pytest.raises(AlreadyExists):
        fs.mkdir("garments@main")
    for unknown in ("garments@typo", "typo"):
        with pytest.raises(NotFound):
            fs.makedirs(f"{unknown}/a", exist_ok=True)
        with pytest.raises(NotFound):
            fs.makedirs(unknown, exist_ok=True)
        with pytest.raises(UnsupportedOperation, match="no mounts, repos or branches") as caught:
            fs.mkdir(unknown)
        assert "create_repo" in caught.value.hint
    with pytest.raises(UnsupportedOperation):
        fs.mkdir("")
    assert fs.ls("", detail=False) == ["garments", "mem", "other"]
    assert [branch.name for branch in repo.branches()] == ["main"]


def test_rmdir_never_removes_anything(fs, repo):
    fs.pipe_file("garments@main/a/b", b"")
    with pytest.raises(OSError, match="objects are under"):
        fs.rmdir("garments@main/a")
    with pytest.raises(UnsupportedOperation):
        fs.rmdir("garments")
    fs.rmdir("garments@main/nothing")
    assert fs.exists("garments@main/a/b")


def test_os_fspath_is_not_asked_of_text(fs, mem):
    with pytest.raises(TypeError):
        fs.info(os)
