"""sync: what it does between stores and folders."""

from contextlib import nullcontext

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.namespace import current
from datastore.providers.memory import MemoryProvider
from datastore.values import Attributes
from tests.api.helpers import keys, write


@pytest.fixture
def disk(place):
    (place / "disk" / "deep").mkdir(parents=True)
    (place / "disk" / "a.csv").write_bytes(b"id\n1\n")
    (place / "disk" / "deep" / "b.bin").write_bytes(b"x" * 3_000_000)
    return place / "disk"


def test_a_folder_into_a_branch_and_back(repo, disk, place):
    main = repo.branch()
    done = ds.sync(disk, main / "raw/")
    assert (done.added, done.changed, done.removed) == (["a.csv", "deep/b.bin"], [], [])
    assert keys(main) == ["raw/a.csv", "raw/deep/b.bin"]
    assert len(ds.sync(disk, main / "raw/")) == 0
    (disk / "a.csv").write_bytes(b"id\n2\n")
    (disk / "new.csv").write_bytes(b"1")
    told = ds.sync(disk, main / "raw", dry_run=True)
    assert told.table("a.csv", key="id").counts == {"added": 1, "removed": 1, "changed": 0}
    again = ds.sync(disk, main / "raw")
    assert (again.added, again.changed) == (["new.csv"], ["a.csv"])
    assert ds.sync(main / "raw/", place / "back").added == ["a.csv", "deep/b.bin", "new.csv"]
    assert (place / "back" / "deep" / "b.bin").read_bytes() == b"x" * 3_000_000
    assert len(ds.sync(main / "raw/", place / "back")) == 0


def test_a_dry_run_only_tells(repo, disk):
    write(repo.branch(), {"raw/old": "1"})
    told = ds.sync(disk, repo.branch() / "raw/", delete=True, dry_run=True)
    assert (told.added, told.removed) == (["a.csv", "deep/b.bin"], ["old"])
    assert "a.csv" in repr(told)
    assert keys(repo.branch()) == ["raw/old"]
    done = ds.sync(disk, repo.branch() / "raw/", delete=True)
    assert list(done) == list(told)
    assert keys(repo.branch()) == ["raw/a.csv", "raw/deep/b.bin"]


def test_nothing_is_deleted_without_being_asked(repo, disk):
    write(repo.branch(), {"raw/old": "1", "rawer": "1"})
    ds.sync(disk, repo.branch() / "raw/")
    assert keys(repo.branch()) == ["raw/a.csv", "raw/deep/b.bin", "raw/old", "rawer"]
    ds.sync(disk, repo.branch() / "raw/", delete=True)
    assert keys(repo.branch()) == ["raw/a.csv", "raw/deep/b.bin", "rawer"]


@pytest.mark.parametrize("delete", [False, True])
def test_an_empty_or_mistyped_source_deletes_nothing(repo, main, place, delete):
    (place / "empty").mkdir()
    ds.mount("scratch", "memory", name="empty-source")
    before = keys(main)
    for source in (place / "empty", place / "gone", "ds://garments@main/nothing/", "ds://garments@main/a.csv"):
        with pytest.raises(ds.NotFound):
            ds.sync(source, "ds://garments@main/img/", delete=delete)
    with pytest.raises(ds.NotFound, match="no object") if delete else nullcontext():
        ds.sync("ds://scratch", main / "", delete=delete)
    assert keys(main) == before


@pytest.mark.parametrize(
    ("source", "dest"),
    [
        ("ds://garments@main/img/", "ds://garments@main/img/"),
        ("ds://garments@main", "ds://garments@main/copy/"),
        ("ds://garments/img/deep", "ds://garments@main/img"),
    ],
)
def test_folders_that_lie_in_each_other(main, source, dest):
    with pytest.raises(ds.ValidationError, match="lie in each other"):
        ds.sync(source, dest, delete=True)


def test_neighbours_and_other_branches_are_apart(repo, main):
    ds.sync("ds://garments@main/img/", "ds://garments@main/img2/")
    repo.create_branch("exp")
    ds.sync("ds://garments@main", "ds://garments@exp")
    assert keys(repo.branch("exp")) == ["a.csv", "b.csv", "img/1.png", "img2/1.png"]


def test_a_tag_is_no_dest(repo, main):
    repo.create_tag("v1", main)
    write(main, {"a.csv": "2"})
    with pytest.raises(ds.Forbidden, match="v1"):
        ds.sync("ds://garments@main", "ds://garments@v1")


def test_attributes_go_along(repo):
    ds.mount("scratch", "memory", name="attributes")
    provider = current().target("ds://scratch").provider
    provider.put("a", b"{}", attributes=Attributes(content_type="application/json", metadata={"n": "1"}))
    ds.sync("ds://scratch", repo.url(ref="main"))
    found = repo.branch().objects.head("a")
    assert (found.content_type, dict(found.metadata)) == ("application/json", {"n": "1"})
    assert len(ds.sync("ds://scratch", repo.url(ref="main"))) == 0
    provider.put("a", b"{}", attributes=Attributes(content_type="application/json"))
    assert ds.sync("ds://scratch", repo.url(ref="main")).changed == ["a"]


def test_after_a_failure_the_same_call_goes_on(repo, disk, monkeypatch):
    put = MemoryProvider.put
    ds.mount("scratch", "memory", name="failing")

    def fails(self, key, body, **how):
        if key == "deep/b.bin":
            raise ds.Unavailable("not now")
        return put(self, key, body, **how)

    ds.filesystem().pipe_file("scratch/old", b"1")
    with monkeypatch.context() as broken:
        broken.setattr(MemoryProvider, "put", fails)
        with pytest.raises(ds.Unavailable):
            ds.sync(disk, "ds://scratch", delete=True)
    assert "old" in [found.key for page in current().target("ds://scratch").provider.list() for found in page.objects]
    done = ds.sync(disk, "ds://scratch", delete=True)
    assert (done.added, done.removed) == (["deep/b.bin"], ["old"])


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "e.csv"]), st.binary(max_size=3), min_size=1),
    st.dictionaries(st.sampled_from(["a", "b/c", "b/d", "f"]), st.binary(max_size=3)),
)
def test_afterwards_both_have_the_same(repo, source, dest):
    ds.mount("scratch", "memory", name="model")
    provider, main = current().target("ds://scratch").provider, repo.branch()
    for there, objects in ((provider, source), (main.objects, dest)):
        there.delete([found.key for page in there.list() for found in page.objects])
        for key, data in objects.items():
            there.put(key, data)
    ds.sync("ds://scratch", main / "", delete=True)
    assert _bytes(main) == source
    assert len(ds.sync("ds://scratch", main / "", delete=True)) == 0


def _bytes(branch):
    found = {}
    for key in keys(branch):
        with branch.objects.read(key) as reader:
            found[key] = reader.read()
    return found
