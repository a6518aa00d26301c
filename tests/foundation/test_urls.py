"""The grammar of `ds://` URLs."""

import copy
import os
import pickle
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.errors import InvalidURL
from datastore.urls import DatasetURL, Location, format_location, parse_location, strip_scheme, to_url

mounts = st.from_regex(r"[a-z0-9][a-z0-9-]{0,20}", fullmatch=True)
refs = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}([~^][0-9]{0,3}){0,3}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda key: "::" not in key)
names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), min_size=1, max_size=20).filter(
    lambda name: "::" not in name
)


@given(mounts, refs, keys)
def test_the_parts_of_a_url_come_back_verbatim(mount: str, ref: str | None, key: str):
    location = Location(mount, ref, key)
    url = DatasetURL(str(location))
    assert url.location == parse_location(str(location)) == location
    assert (url.mount, url.ref, url.key) == (mount, ref, key)
    assert DatasetURL(url) == DatasetURL(strip_scheme(url)) == to_url(url) == url
    assert str(location) == "ds://" + format_location(mount, ref, key)


@given(mounts, refs, keys)
def test_a_url_is_a_string_that_pickles(mount: str, ref: str | None, key: str):
    url = DatasetURL(str(Location(mount, ref, key)))
    for again in (pickle.loads(pickle.dumps(url)), copy.deepcopy(url)):
        assert type(again) is DatasetURL
        assert again == url == str(url)
        assert hash(again) == hash(str(url))


@given(mounts, refs, st.lists(names, min_size=1, max_size=4))
def test_a_slash_goes_deeper_and_parent_goes_back(mount: str, ref: str | None, segments: list[str]):
    top = DatasetURL(str(Location(mount, ref, "")))
    url = top
    for segment in segments:
        url /= segment
    assert url.key == "/".join(segments)
    assert url == top / "/".join(segments)
    assert url.parent == (top / "/".join(segments[:-1]) if len(segments) > 1 else top) + "/"
    assert (url.mount, url.ref) == (mount, ref)
    assert url.parent / segments[-1] == url


@given(mounts, refs, keys)
def test_at_changes_the_ref_alone(mount: str, ref: str | None, key: str):
    moved = DatasetURL(str(Location(mount, ref, key))).at("v4~1")
    assert moved.location == Location(mount, "v4~1", key)


@given(st.text(max_size=40))
def test_any_text_is_a_url_or_an_invalid_one(text: str):
    try:
        url = DatasetURL(text)
    except InvalidURL:
        return
    assert DatasetURL(str(url)) == url
    assert DatasetURL(url).location == url.location


@pytest.mark.parametrize(
    "key", ["a b", "#1", "what?", "100%20", "a=b", "[1]", "x@y", "a:b", "~", "a//b", "/a", "..", "\n"]
)
def test_keys_are_taken_verbatim(key: str):
    url = DatasetURL(f"ds://garments@main/{key}")
    assert url == f"ds://garments@main/{key}"
    assert (url.ref, url.key) == ("main", key)


@pytest.mark.parametrize(
    ("url", "mount", "ref"),
    [
        ("ds://garments@Main/x", "garments", "Main"),
        ("ds://garments@main@/x", "garments", "main@"),
        ("ds://garments@a@b/x", "garments", "a@b"),
        ("garments/x@y", "garments", None),
        ("ds:///garments@main~2^1/x", "garments", "main~2^1"),
    ],
)
def test_the_ref_reaches_from_the_first_at_to_the_slash(url: str, mount: str, ref: str | None):
    assert (DatasetURL(url).mount, DatasetURL(url).ref) == (mount, ref)


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("ds://Garments/x", "Garments"),
        ("ds://@main/x", "no mount"),
        ("ds://garments@/x", "''"),
        ("ds://garments@main~x/a", "~x"),
        ("ds://garments@a b/x", "a b"),
        ("ds://garments/a::b", "::"),
        ("ds://gar::ments/a", "::"),
        ("simplecache::ds://garments/a", "::"),
        ("ds://gar_ments/a", "gar_ments"),
    ],
)
def test_a_bad_segment_is_named(url: str, named: str):
    with pytest.raises(InvalidURL, match=named) as caught:
        DatasetURL(url)
    assert caught.value.hint


def test_the_root_and_the_mount_have_one_form():
    root = DatasetURL("ds://")
    assert root == "ds://"
    assert root.location == Location("", None, "")
    assert root.parent == root
    assert root / "garments" == "ds://garments"
    mount = DatasetURL("ds://garments@main")
    assert (mount.key, mount.name, mount.suffix, mount.parent) == ("", "", "", "ds://garments@main/")
    assert mount.parent.parent == mount.parent
    assert DatasetURL("ds://garments/") / "a" == DatasetURL("ds://garments") / "a" == "ds://garments/a"


def test_a_trailing_slash_stays():
    assert DatasetURL("ds://garments@v4/images/").key == "images/"
    assert DatasetURL("ds://garments@v4/") == "ds://garments@v4/"
    assert DatasetURL("ds://garments@v4/images/").name == "images"
    assert DatasetURL("ds://m/a/x.tar.gz").suffix == ".gz"


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("garments@main/a.csv", "ds://garments@main/a.csv"),
        ("garments", "ds://garments"),
        ("ds://garments/s3://x", "ds://garments/s3://x"),
        ("garments@main/http://x", "ds://garments@main/http://x"),
        ("s3://acme/a b#1.csv", "ds://s3/acme/a b#1.csv"),
        ("r2://acme/x", "ds://r2/acme/x"),
        ("gs://acme/x", "ds://gcs/acme/x"),
        ("abfs://acme/x", "ds://azure/acme/x"),
        ("lakefs://garments/main/dir/a.csv", "ds://lakefs/garments@main/dir/a.csv"),
        ("lakefs://garments", "ds://lakefs/garments"),
        ("/data/a b.csv", "ds://local/data/a b.csv"),
        ("//data/a.csv", "ds://local/data/a.csv"),
        ("/data/../x/./a", "ds://local/x/a"),
        ("/data/images/", "ds://local/data/images/"),
        ("/", "ds://local/"),
        ("file:///data/a.csv", "ds://local/data/a.csv"),
        ("file:///data/images/", "ds://local/data/images/"),
        (Path("/data/a.csv"), "ds://local/data/a.csv"),
    ],
)
def test_whatever_names_data_becomes_a_url(target: str | os.PathLike[str], expected: str):
    assert to_url(target) == expected
    assert type(to_url(target)) is DatasetURL


def test_relative_paths_start_where_the_process_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/someone")
    here = f"ds://local{tmp_path}"
    assert to_url("./a.csv") == to_url(Path("a.csv")) == f"{here}/a.csv"
    assert to_url("../x/") == f"ds://local{tmp_path.parent}/x/"
    assert to_url("~/a.csv") == "ds://local/home/someone/a.csv"


@pytest.mark.parametrize("target", ["http://example.com/x", "ftp://x/y", "hdfs://x"])
def test_an_unknown_scheme_is_refused_by_name(target: str):
    with pytest.raises(InvalidURL, match=target.partition(":")[0]) as caught:
        to_url(target)
    assert "s3" in (caught.value.hint or "")


def test_it_is_the_string_that_pandas_wants():
    url = DatasetURL("m/a")
    assert isinstance(url, str)
    assert f"{url}" == url.partition("?")[0] == "ds://m/a"
