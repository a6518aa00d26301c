"""One process: which path, which bytes, how many requests."""

import os
from collections import Counter
from pathlib import Path

import pytest

import datastore as ds
from datastore.errors import IntegrityError, InvalidURL, NotFound, ValidationError
from datastore.http.observe import observed
from tests.resolve.helpers import gets, leaks, tree


def test_a_file_has_its_last_name_its_bytes_and_nobody_may_write_to_it(main, place):
    main.objects.put("img/red coat #1.png", b"png")
    path = ds.resolve(main / "img/red coat #1.png")
    assert isinstance(path, Path)
    assert (path.name, path.suffix, path.read_bytes()) == ("red coat #1.png", ".png", b"png")
    assert not path.stat().st_mode & 0o222
    assert path.is_relative_to(place / "cache")
    assert leaks(place / "cache") == []


def test_a_folder_is_a_real_one_with_real_files(main, place):
    main.objects.put_many([(f"img/{n % 3}/{n}.png", b"%d" % n, None) for n in range(20)])
    path = ds.resolve(main / "img/")
    assert path.name == "img"
    assert tree(path) == {f"{n % 3}/{n}.png": b"%d" % n for n in range(20)}
    assert not any(file.is_symlink() for file in path.rglob("*"))
    assert ds.resolve(main / "img") == path
    assert leaks(place / "cache") == []


def test_a_whole_repo_has_the_repos_name(main):
    main.objects.put("a/b.csv", b"1")
    assert (ds.resolve("ds://garments").name, tree(ds.resolve("ds://garments@main/"))) == (
        "garments",
        {"a/b.csv": b"1"},
    )


def test_patterns_choose_as_huggingface_hub_does(main):
    for key in ("d/a.json", "d/sub/b.json", "d/sub/c.bin", "d/x.bin"):
        main.objects.put(key, key.encode())
    assert sorted(tree(ds.resolve(main / "d/", allow_patterns="*.json"))) == ["a.json", "sub/b.json"]
    assert sorted(tree(ds.resolve(main / "d/", ignore_patterns=["sub/", "a*"]))) == ["x.bin"]
    chosen = ds.resolve(main / "d/", allow_patterns=["sub/"], ignore_patterns="*.bin")
    assert sorted(tree(chosen)) == ["sub/b.json"]
    with pytest.raises(NotFound, match="patterns"):
        ds.resolve(main / "d/", allow_patterns="*.csv")
    assert len(tree(ds.resolve(main / "d/"))) == 4


def test_uncommitted_changes_are_seen_and_a_commit_stays_as_it_is(main):
    main.objects.put("d/a", b"1")
    commit = main.commit("One")
    main.objects.put("d/a", b"2")
    assert [tree(ds.resolve(main / "d")), ds.resolve(main / "d/a").read_bytes()] == [{"a": b"2"}, b"2"]
    fixed = ds.url(f"ds://garments@{commit.id}/d/a")
    assert [tree(ds.resolve(f"ds://garments@{commit.id}/d")), ds.resolve(fixed).read_bytes()] == [{"a": b"1"}, b"1"]
    assert ds.resolve("ds://garments@main@/d/a").read_bytes() == b"1"


def test_what_is_not_there_is_said(main):
    main.objects.put("a", b"1")
    with pytest.raises(NotFound, match="nothing"):
        ds.resolve(main / "nothing")
    with pytest.raises(NotFound, match="nothing/"):
        ds.resolve(main / "nothing/")
    with pytest.raises(NotFound):
        ds.resolve("ds://nobody/a")
    with pytest.raises(InvalidURL):
        ds.resolve("ds://")
    with pytest.raises(ValidationError, match="link"):
        ds.resolve(main / "a", link="soft")


def test_folder_markers_of_consoles_are_no_files(cloud):
    for key, body in {"d/": b"", "d/sub/": b"", "d/sub/a": b"1"}.items():
        cloud.objects.put("bucket", key, body)
    assert tree(ds.resolve("ds://cloud/d/")) == {"sub/a": b"1"}


# requests


def test_a_commit_that_was_resolved_before_takes_no_request_and_a_bucket_one(cloud, main):
    cloud.objects.put("bucket", "a.bin", b"x" * 100)
    path = ds.resolve("ds://cloud/a.bin")
    cloud.requests.clear()
    with observed() as seen:
        assert ds.resolve("ds://cloud/a.bin") == path
    assert [exchange.method for exchange in seen] == ["HEAD"]
    cloud.requests.clear()
    for n in range(30):
        cloud.objects.put("bucket", f"many/{n}", b"%d" % n)
    folder = ds.resolve("ds://cloud/many/")
    cloud.requests.clear()
    assert ds.resolve("ds://cloud/many/") == folder
    assert gets(cloud) == []
    assert len(cloud.requests) == 1  # the listing


def test_warm_commits_cost_one_look_at_each_file_and_little_else(main, monkeypatch):
    main.objects.put_many([(f"d/{n}.bin", b"%d" % n, None) for n in range(200)])
    commit = main.commit("One").id
    urls = f"ds://garments@{commit}/d/", f"ds://garments@{commit}/d/7.bin"
    first = [ds.resolve(url) for url in [*urls, *urls]][2:]
    calls = Counter()
    for name in ("stat", "open", "utime", "replace", "mkdir", "listdir", "link", "access"):
        monkeypatch.setattr(os, name, counted(getattr(os, name), name, calls))
    assert ds.resolve(urls[1]) == first[1]
    assert calls == {"stat": 1, "open": 1}  # the file, and the note of what the URL led to
    calls.clear()
    assert ds.resolve(urls[0]) == first[0]
    assert calls == {"stat": 200, "open": 2}  # the folder is opened once, to look at files from it


def counted(original, name, calls):
    def call(*args, **kwargs):
        calls[name] += 1
        return original(*args, **kwargs)

    return call


def test_bytes_of_an_embedded_store_do_not_pass_through_python(main, monkeypatch):
    from datastore.embedded.branch import EmbeddedRef

    body = os.urandom(3 << 20)
    main.objects.put("big.bin", body)
    monkeypatch.setattr(EmbeddedRef, "read", None)
    assert ds.resolve(main / "big.bin").read_bytes() == body


def test_a_link_of_a_repo_to_another_place_is_followed_and_must_still_be_the_same(cloud, main):
    cloud.objects.put("bucket", "in/a.bin", b"first")
    main.link("ds://cloud/in/", "raw/")
    assert tree(ds.resolve(main / "raw/")) == {"a.bin": b"first"}
    cloud.objects.put("bucket", "in/a.bin", b"other")
    assert tree(ds.resolve(main / "raw/")) == {"a.bin": b"first"}
    ds.cache.verify()
    cloud.objects.put("bucket", "in/b.bin", b"first b")
    main.link("ds://cloud/in/b.bin", "raw/b.bin")
    cloud.objects.put("bucket", "in/b.bin", b"other b")
    with pytest.raises(IntegrityError, match="changed"):
        ds.resolve(main / "raw/b.bin")


def test_a_local_folder_can_be_resolved(place):
    (place / "data").mkdir()
    (place / "data" / "a.csv").write_bytes(b"1")
    path = ds.resolve("./data/a.csv")
    assert (path.read_bytes(), path.is_relative_to(place / "cache")) == (b"1", True)
    (place / "data" / "a.csv").write_bytes(b"2")
    assert ds.resolve(place / "data" / "a.csv").read_bytes() == b"2"


def test_a_folder_is_listed_once_by_the_url_that_was_asked_for(main):
    main.objects.put("d/a.bin", b"x")
    main.commit("One")
    ds.resolve(main / "d/")
    assert [entry.urls for entry in ds.cache.ls()] == [("ds://garments@main/d/",)]
