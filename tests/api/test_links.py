"""Links to data that stays in its mount: entries like all others, whose bytes are never others than those linked."""

import multiprocessing
import pickle
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datastore as ds
from datastore.namespace import Namespace, current, reset_current
from datastore.providers.memory import MemoryProvider
from datastore.values import Attributes, ByteRange
from tests.api.helpers import keys, read, write


@pytest.fixture(params=["memory", "local"])
def raw(request, place):
    """A mount with three objects."""
    options = {"memory": {"name": str(place)}, "local": {"path": str(place / "raw")}}[request.param]
    (place / "raw").mkdir()
    ds.mount("raw", request.param, **options)
    fs = ds.filesystem()
    fs.pipe({"raw/2026/a.csv": b"id,n\n1,one\n", "raw/2026/deep/b.bin": b"x" * 5000, "raw/other": b"1"})
    return fs


@pytest.fixture
def linked(main, raw):
    main.link("ds://raw/2026/", "raw/")
    main.commit("Linked")
    return main


def blobs(place):
    return {path.name for path in (place / "store" / "blobs").rglob("*") if path.is_file()}


def test_linked_objects_read_like_others_and_no_bytes_move(main, raw, place):
    before = blobs(place)
    found = main.link("ds://raw/2026/", "raw/")
    assert found.added == ["raw/a.csv", "raw/deep/b.bin"]
    main.commit("Linked")
    assert blobs(place) == before
    assert list(pd.read_csv(main / "raw/a.csv")["n"]) == ["one"]
    fs = ds.filesystem()
    assert fs.cat_file("garments@main/raw/deep/b.bin") == b"x" * 5000
    assert fs.cat_file("garments@main/raw/a.csv", 3, 8) == b"n\n1,o"
    with fs.open("garments@main/raw/a.csv") as file:
        file.seek(-4, 2)
        assert file.read() == b"one\n"
    info = main.objects.head("raw/a.csv")
    assert (info.size, info.content_type, info.link.url) == (11, "text/csv", "ds://raw/2026/a.csv")
    assert info.identity == current().target("ds://raw/2026/a.csv").provider.head("2026/a.csv").identity


@pytest.mark.parametrize(
    ("url", "prefix", "expected"),
    [
        ("ds://raw/2026", "", ["a.csv", "deep/b.bin"]),
        ("ds://raw/2026/a.csv", "x/", ["x/a.csv"]),
        ("ds://raw/2026/a.csv", "x", ["x/a.csv"]),
        ("ds://raw/", "all", ["all/2026/a.csv", "all/2026/deep/b.bin", "all/other"]),
    ],
)
def test_where_the_entries_go(repo, raw, url, prefix, expected):
    assert repo.branch().link(url, prefix).added == expected
    assert keys(repo.branch()) == expected


def test_nothing_is_linked_where_nothing_is(repo, raw):
    ds.mount("empty", "memory", name="empty")
    for url in ("ds://raw/2027/", "ds://raw/nothing", "ds://empty/", "ds://rwa/2026/"):
        with pytest.raises((ds.NotFound, ds.ConfigError)):
            repo.branch().link(url, "raw/")
    assert len(repo.branch().uncommitted()) == 0


def test_a_source_that_changed_is_an_error_and_never_other_bytes(linked, raw):
    raw.pipe_file("raw/2026/a.csv", b"id,n\n1,two\n")
    for call in (
        lambda: pd.read_csv(linked / "raw/a.csv"),
        lambda: raw.cat_file("garments@main/raw/a.csv"),
        lambda: raw.cat_file("garments@main/raw/a.csv", 0, 2),
        lambda: linked.objects.read("raw/a.csv", range=ByteRange(0, 2)),
        lambda: raw.get_file("garments@main/raw/a.csv", "here.csv"),
        linked.materialize,
    ):
        with pytest.raises(ds.IntegrityError, match=r"raw/a\.csv.*ds://raw/2026/a\.csv.*has changed"):
            call()
    assert read(linked, "raw/deep/b.bin") == "x" * 5000
    assert linked.objects.head("raw/a.csv").size == 11
    linked.link("ds://raw/2026/", "raw/")
    assert linked.uncommitted().changed == ["raw/a.csv"]
    assert read(linked, "raw/a.csv").endswith("two\n")


def test_a_source_that_is_gone_is_an_error(linked, raw):
    raw.rm("raw/2026/a.csv")
    with pytest.raises(ds.IntegrityError, match="is gone") as caught:
        read(linked, "raw/a.csv")
    assert "link it anew" in caught.value.hint


def test_a_source_that_changes_while_it_is_read(repo, monkeypatch):
    class Restless(MemoryProvider):
        def read(self, key, *, range=None, if_match=None):
            reader = super().read(key, range=range, if_match=if_match)
            if if_match is not None:

                def moved(*_):
                    raise ds.HeadMoved("it has another etag by now")

                reader.readinto = reader.readall = moved
            return reader

    monkeypatch.setattr("datastore.providers.memory._shared", {"restless": Restless()})
    ds.mount("raw", "memory", name="restless")
    ds.filesystem().pipe_file("raw/a", b"1" * 100)
    main = repo.branch()
    main.link("ds://raw/a")
    for verb in (lambda reader: reader.read(10), lambda reader: reader.read()):
        with main.objects.read("a") as reader, pytest.raises(ds.IntegrityError, match="has changed"):
            verb(reader)


def test_links_are_entries_for_diff_merge_revert_restore_and_log(repo, linked, raw):
    raw.pipe_file("raw/2026/a.csv", b"id,n\n1,two\n")
    exp = repo.create_branch("exp", "main~1")
    exp.link("ds://raw/2026/a.csv", "raw/")
    exp.commit("The new one")
    assert repo.diff("main", "exp").changed == ["raw/a.csv"]
    with pytest.raises(ds.MergeConflict) as caught:
        repo.merge(exp)
    assert caught.value.paths == ["raw/a.csv"]
    repo.merge(exp, choose={"raw/a.csv": "source"})
    assert read(linked, "raw/a.csv").endswith("two\n")
    linked.copy("raw/a.csv", "again.csv")
    linked.rename("raw/deep/b.bin", "raw/b.bin")
    linked.commit("Copied")
    assert read(linked, "again.csv").endswith("two\n")
    linked.revert("main")
    assert keys(linked, "raw/") == ["raw/a.csv", "raw/deep/b.bin"]
    linked.restore("raw/a.csv", repo.commit_of("main~2").parents[0])
    assert linked.uncommitted().changed == ["raw/a.csv"]
    assert [commit.message for commit in repo.log(key="raw/a.csv")] == ["The new one", "Linked"]
    assert list(current().store.check()) == []


def test_materialize_brings_the_bytes_in(linked, raw, place):
    raw.pipe_file("garments@main/plain.csv", b"1")
    linked.commit("Plain")
    found = linked.materialize("raw/")
    assert found.changed == ["raw/a.csv", "raw/deep/b.bin"]
    linked.commit("Materialized")
    raw.rm("raw/", recursive=True)
    assert read(linked, "raw/a.csv") == "id,n\n1,one\n"
    assert linked.objects.head("raw/deep/b.bin").link is None
    assert len(linked.materialize()) == 0
    assert list(current().store.check()) == []
    with pytest.raises(ds.IntegrityError):
        read(linked.repo.create_branch("old", "main~1"), "raw/a.csv")


def test_attributes_come_along(repo):
    ds.mount("raw", "memory", name="attributes")
    provider = current().target("ds://raw/").provider
    provider.put("a", b"{}", attributes=Attributes(content_type="application/json", metadata={"note": "ü"}))
    repo.branch().link("ds://raw/a", "x/")
    info = repo.branch().objects.head("x/a")
    assert (info.content_type, dict(info.metadata)) == ("application/json", {"note": "ü"})
    repo.branch().materialize()
    info = repo.branch().objects.head("x/a")
    assert (info.content_type, dict(info.metadata), info.link) == ("application/json", {"note": "ü"}, None)


def test_a_mount_that_is_not_configured_is_named(linked, raw, place):
    reset_current()
    branch = ds.repo("garments").branch()
    assert branch.objects.head("raw/a.csv").size == 11
    with pytest.raises(ds.ConfigError, match=r"ds://raw/2026/a\.csv.*'raw' is known here") as caught:
        read(branch, "raw/a.csv")
    assert "datastore.yaml" in caught.value.hint


def test_the_disk_of_this_machine_cannot_be_linked(repo, place):
    (place / "secret.txt").write_text("x")
    for url in (str(place / "secret.txt"), f"ds://local{place}/secret.txt", place / "secret.txt"):
        with pytest.raises(ds.Forbidden, match="whole disk"):
            repo.branch().link(url, "x/")
    assert len(repo.branch().uncommitted()) == 0


def test_a_repo_from_elsewhere_cannot_name_files_of_this_machine(repo, place, monkeypatch):
    (place / "secret.txt").write_text("x")
    with monkeypatch.context() as lax:
        lax.setattr(Namespace, "link_target", lambda self, url, address="": self.target(url))
        repo.branch().link(str(place / "secret.txt"), "x/")
    with pytest.raises(ds.Forbidden, match="whole disk"):
        read(repo.branch(), "x/secret.txt")


def test_what_a_repo_has_is_linked_at_its_commit(repo, main, place):
    ds.mount("team", "embedded", path=str(place / "team"))
    theirs = ds.create_repo("team/sources").branch()
    write(theirs, {"a.csv": "theirs\n1\n"})
    commit = theirs.commit("Theirs")
    write(theirs, {"a.csv": "not committed", "b.csv": "not committed"})
    main.link(theirs / "", "theirs/")
    assert keys(main, "theirs/") == ["theirs/a.csv"]
    assert read(main, "theirs/a.csv") == "theirs\n1\n"
    assert main.objects.head("theirs/a.csv").link.url == f"ds://team/sources@{commit.id}/a.csv"
    theirs.commit("Later")
    assert read(main, "theirs/a.csv") == "theirs\n1\n"
    # A link to a link leads to the source itself; bytes of this very store need none.
    main.commit("Linked")
    other = ds.create_repo("other").branch()
    other.link(main / "", "")
    assert other.objects.head("theirs/a.csv").link.url == f"ds://team/sources@{commit.id}/a.csv"
    assert other.objects.head("a.csv").link is None
    ds.delete_repo("garments")
    assert read(other, "theirs/a.csv") == "theirs\n1\n"
    assert read(other, "a.csv").startswith("id,n")


def test_a_store_that_keeps_no_links_says_so(raw):
    from datastore.linking import link

    with pytest.raises(ds.UnsupportedOperation, match="cannot link"):
        link(current(), current().target("ds://raw/").provider, url="ds://raw/2026/", prefix="x/")


def test_links_are_pushed_as_links(repo, linked, raw, place):
    ds.mount("team", "embedded", path=str(place / "team"))
    team = ds.create_repo("team/garments")
    done = repo.push("ds://team/garments")
    assert done.bytes == sum(info.size for page in linked.objects.list() for info in page.objects if not info.link)
    assert read(team.branch(), "raw/a.csv") == "id,n\n1,one\n"
    assert team.branch().objects.head("raw/a.csv").link.url == "ds://raw/2026/a.csv"
    assert len(ds.diff("ds://garments", "ds://team/garments")) == 0


def test_cp_of_a_link_copies_its_bytes(linked, raw):
    raw.cp_file("garments@main/raw/a.csv", "raw/copy.csv")
    assert raw.cat_file("raw/copy.csv") == b"id,n\n1,one\n"


def test_a_linked_table_is_read_in_parts(repo, raw):
    pd.DataFrame({"a": range(1000), "b": range(1000)}).to_parquet("ds://raw/t.parquet")
    repo.branch().link("ds://raw/t.parquet", "")
    with ds.filesystem().open(repo.branch() / "t.parquet") as file:
        assert pq.read_table(file, columns=["b"]).num_rows == 1000


def _read(branch):
    return read(branch, "raw/a.csv")


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_links_are_followed_in_a_worker(main, place, method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    (place / "disk").mkdir()
    (place / "disk" / "a.csv").write_text("linked")
    ds.mount("disk", "local", path=str(place / "disk"))
    main.link("ds://disk/", "raw/")
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert pool.apply_async(_read, (main,)).get(60) == "linked"


def test_a_store_without_a_namespace_says_how_links_are_opened(linked, raw, place):
    code = (
        "import sys; from pathlib import Path; from datastore.embedded.store import EmbeddedStore\n"
        "EmbeddedStore(Path(sys.argv[1])).repo('garments').at('main').read('raw/a.csv')"
    )
    done = subprocess.run([sys.executable, "-c", code, place / "store"], capture_output=True, text=True, check=False)
    assert "UnsupportedOperation" in done.stderr
    assert "knows no mounts" in done.stderr


def test_an_open_reader_does_not_travel(linked, raw):
    with linked.objects.read("raw/a.csv") as reader, pytest.raises(TypeError):
        pickle.dumps(reader)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0:"), min_size=1, max_size=30).filter(
        lambda name: name not in {".", ".."}
    ),
    st.binary(max_size=50),
)
def test_any_key_can_be_linked(repo, name, data):
    provider = MemoryProvider()
    ds.mount("any", "memory", name="any")
    provider = current().target("ds://any/").provider
    provider.put(name, data)
    repo.branch().link(f"ds://any/{name}", "links")
    with repo.branch().objects.read(f"links/{name}") as reader:
        assert reader.read() == data
