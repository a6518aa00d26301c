"""Mounts that hold several repos: `ds://mount/repo@ref/key`, from the text to the handle and back."""

import copy
import json
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datastore.config import load_config
from datastore.errors import ConfigError, InvalidURL, NotFound, UnsupportedOperation
from datastore.namespace import Namespace
from datastore.urls import DatasetURL, to_url

refs = st.none() | st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,20}([~^][0-9]{0,3}){0,3}", fullmatch=True)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=40).filter(lambda key: "::" not in key)


@pytest.fixture
def build(tmp_path, monkeypatch):
    """Make namespaces as a process in an empty folder would, and close them at the end."""
    made = []
    monkeypatch.chdir(tmp_path)

    def namespace(**mounts):
        (tmp_path / "datastore.yaml").write_text(json.dumps({"mounts": mounts}))
        environ = {"DATASTORE_STORE": str(tmp_path / "store")}
        made.append(Namespace(load_config(environ=environ, cwd=tmp_path)))
        return made[-1]

    yield namespace
    for one in made:
        one.close()


TEAM = {"provider": "embedded", "path": "team"}


@given(refs, keys)
def test_a_nested_url_comes_apart_and_together(ref, key):
    text = "ds://team/garments" + (f"@{ref}" if ref is not None else "") + (f"/{key}" if key else "")
    url = DatasetURL(text, nested=True)
    assert url == text
    assert (url.mount, url.ref, url.key) == ("team/garments", ref, key)
    assert str(url.location) == text
    moved = url.at("v4")
    assert (moved.mount, moved.ref, moved.key) == ("team/garments", "v4", key)
    for again in (pickle.loads(pickle.dumps(url)), copy.deepcopy(url), DatasetURL(url), moved.at("v5")):
        assert type(again) is DatasetURL
        assert again.nested


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_keeps_the_kind(protocol):
    url = DatasetURL("ds://team/garments@main/a", nested=True)
    assert pickle.loads(pickle.dumps(url, protocol)).at("v1") == "ds://team/garments@v1/a"


def test_a_nested_url_goes_deeper_and_back():
    url = DatasetURL("ds://team/garments@main", nested=True) / "images" / "1.png"
    assert url == "ds://team/garments@main/images/1.png"
    assert url.parent == "ds://team/garments@main/images/"
    assert url.parent.parent == "ds://team/garments@main/"
    assert url.parent.parent.parent == "ds://team/garments@main/"
    assert (url.name, url.suffix) == ("1.png", ".png")
    top = DatasetURL("ds://team", nested=True)
    assert (top / "garments@v1" / "a").ref == "v1"
    assert DatasetURL("ds://team/garments/", nested=True) == "ds://team/garments/"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("ds://team@main/garments/x", "team"),
        ("ds://team/@main/x", "no repo"),
        ("ds://team//x", "no repo"),
        ("ds://team/NO/x", "NO"),
        ("ds://team/garments@/x", "''"),
        ("ds://team/garments@a b/x", "a b"),
    ],
)
def test_a_bad_segment_of_a_nested_url_is_named(text, named):
    with pytest.raises(InvalidURL, match=named):
        DatasetURL(text, nested=True)


def test_an_at_sign_in_a_key_stays_one_where_the_mount_is_a_repo():
    url = DatasetURL("ds://garments/lakefs@main/x")
    assert (url.mount, url.ref, url.key) == ("garments", None, "lakefs@main/x")
    assert url.at("v1") == "ds://garments@v1/lakefs@main/x"


def test_lakefs_always_holds_several_repos(build):
    for url in (to_url("lakefs://garments/main/a.csv"), DatasetURL("ds://lakefs/garments@main/a.csv")):
        assert (url.mount, url.ref, url.key) == ("lakefs/garments", "main", "a.csv")
        assert url.at("v1") == "ds://lakefs/garments@v1/a.csv"
    for name, fixed in (("lakefs", {"repo": "garments"}), ("s3", {"bucket": "acme"}), ("r2", {"bucket": "acme"})):
        with pytest.raises(ConfigError, match=rf"{name}.*no fixed"):
            build(**{name: {"provider": name, **fixed}})


def test_the_namespace_knows_which_urls_are_nested(build):
    namespace = build(team=TEAM, raw={"provider": "memory"}, one={**TEAM, "repo": "garments"})
    namespace.store.create_repo("clothes")
    namespace.repos_of("team").create_repo("garments")
    assert namespace.url("ds://team/garments@main/x").at("v1") == "ds://team/garments@v1/x"
    assert namespace.url("team/garments").at("v1") == "ds://team/garments@v1"
    assert namespace.url("ds://clothes/garments@main/x").at("v1") == "ds://clothes@v1/garments@main/x"
    assert namespace.url("ds://one/garments@main/x").at("v1") == "ds://one@v1/garments@main/x"
    assert namespace.url("ds://raw/garments@main/x").key == "garments@main/x"
    assert namespace.url("ds://nowhere/garments@main/x").key == "garments@main/x"
    with pytest.raises(InvalidURL, match="several repos"):
        namespace.url("ds://team@main/garments/x")


def test_a_broken_mount_does_not_keep_a_url_from_being_read(build):
    namespace = build(team={"provider": "embedded", "paht": "team"})
    assert namespace.url("ds://team/garments@main/x") == "ds://team/garments@main/x"


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("team/garments/x", InvalidURL),
        ("team/garments@main", InvalidURL),
        ("garments@main", InvalidURL),
        ("ds://garments", InvalidURL),
        ("raw/garments", UnsupportedOperation),
        ("nowhere/garments", NotFound),
    ],
)
def test_what_is_no_name_of_a_repo(build, name, error):
    with pytest.raises(error):
        build(team=TEAM, raw={"provider": "memory"}).store_of(name)
