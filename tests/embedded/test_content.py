"""Entries and their bytes, also of the kinds that this version only reads."""

import hashlib
import json
import os

import pytest

from datastore.embedded import staging
from datastore.embedded.content import chunks_of, entry_of, retyped
from datastore.embedded.nodes import CHUNKS, ERASED, EXTERNAL, Entry
from datastore.embedded.store import EmbeddedStore
from datastore.errors import Erased, IntegrityError, UnsupportedOperation
from datastore.testing.versioning_tools import commit, kinds, request, staged
from datastore.values import Attributes, ByteRange

PIECES = [b"first chunk, ", b"", b"x", b"a longer one " * 500, b"the end"]
WHOLE = b"".join(PIECES)


@pytest.fixture
def repo(tmp_path):
    store = EmbeddedStore(tmp_path / "store")
    yield store.create_repo("garments")
    store.close()


def chunked(repo, *, size=None):
    """Stage an entry whose content is a list of chunks, as a later version will write them."""
    names = []
    for number, piece in enumerate(PIECES):
        info = repo.at("main").put(f"chunk-{number}", piece)
        names.append([info.etag, len(piece)])
    digest = hashlib.sha256(WHOLE).digest()
    text = json.dumps({"chunks": names}, separators=(",", ":"))
    entry = Entry(digest, len(WHOLE) if size is None else size, 1, "text/plain", "", CHUNKS, text)
    repo.at("main").stage({"whole.txt": entry})
    return entry


@pytest.mark.parametrize("ref", ["main", "main@"])
def test_chunks_read_as_one(repo, ref):
    chunked(repo)
    commit(repo, "main", "Chunked")
    with repo.at(ref).read("whole.txt") as reader:
        assert reader.read() == WHOLE
        assert reader.info.size == len(WHOLE)
    assert repo.at(ref).head("whole.txt").digest == "sha256:" + hashlib.sha256(WHOLE).hexdigest()


@pytest.mark.parametrize("start", [0, 1, 12, 13, 14, 15, 100, len(WHOLE) - 7, len(WHOLE) - 1, len(WHOLE), 99_999, -3])
def test_ranges_over_chunks(repo, start):
    chunked(repo)
    for stop in (None, 0, 13, 14, 20, len(WHOLE) - 8, len(WHOLE), -1):
        with repo.at("main").read("whole.txt", range=ByteRange(start, stop)) as reader:
            assert reader.read() == WHOLE[start:stop]


def test_seeks_over_chunks(repo):
    chunked(repo)
    with repo.at("main").read("whole.txt", range=ByteRange(5, -2)) as reader:
        part = WHOLE[5:-2]
        assert reader.seekable()
        for offset in (0, 8, 9, 7, 3000, len(part) - 1, len(part)):
            assert reader.seek(offset) == offset
            few = reader.read(20)  # a raw reader: not beyond the end of a chunk
            assert part[offset : offset + 20].startswith(few)
            assert bool(few) == (offset < len(part))
            reader.seek(offset)
            assert reader.readall() == part[offset:]
        assert reader.seek(-4, os.SEEK_END) == len(part) - 4
        assert reader.tell() == len(part) - 4
        assert reader.seek(2, os.SEEK_CUR) == len(part) - 2
        with pytest.raises(ValueError, match="seek"):
            reader.seek(-1)
    with pytest.raises(ValueError, match="closed"):
        reader.read(1)


def test_a_copy_of_chunks_takes_over_the_list(repo):
    chunked(repo)
    repo.at("main").copy("whole.txt", "copy.txt")
    with repo.at("main").read("copy.txt") as reader:
        assert reader.read() == WHOLE


def test_chunks_are_checked_and_made_durable_like_other_blobs(repo, tmp_path):
    entry = chunked(repo)
    commit(repo, "main", "Chunked")
    store = repo.store
    with store.db.read() as db:
        durable = dict(db.execute("SELECT digest, durable FROM blobs"))
    assert all(durable[digest] for digest, _ in chunks_of(entry))
    checked = EmbeddedStore(tmp_path / "store")
    assert list(checked.check()) == []
    repo.at("main").delete([f"chunk-{number}" for number in range(len(PIECES))])
    repo.create_branch("only", "main~1")
    store.blobs.path(chunks_of(entry)[3][0]).unlink()
    assert [(problem.kind, problem.problem) for problem in checked.check()] == [("blob", "is missing")]
    with pytest.raises(IntegrityError, match="missing"):
        repo.at("main").read("whole.txt").read()
    checked.close()


def test_chunks_that_do_not_add_up(repo):
    chunked(repo, size=len(WHOLE) + 1)
    with pytest.raises(IntegrityError, match=r"whole\.txt"):
        repo.at("main").read("whole.txt")


@pytest.mark.parametrize("extra", ["", "{}", "[]", '{"chunks":[["zz",3]]}', '{"chunks":[["00","x"]]}'])
def test_a_list_of_chunks_that_cannot_be_read(repo, extra, tmp_path):
    chunked(repo)
    with repo.store.db.write(durable=False) as db:
        db.execute("UPDATE staging SET extra = ? WHERE kind = ?", (extra, CHUNKS))
    with pytest.raises(IntegrityError, match="list of chunks"):
        repo.at("main").read("whole.txt")
    checked = EmbeddedStore(tmp_path / "store")
    (problem,) = checked.check()
    assert "list of chunks" in problem.problem
    assert problem.referenced_by == "garments@main/whole.txt (uncommitted)"
    checked.close()


@pytest.mark.parametrize(
    ("kind", "extra", "error"),
    [
        (ERASED, '{"reason":"GDPR"}', Erased),
        (EXTERNAL, '{"etag":"1","identity":"acme/a#1","url":"ds://raw/a"}', UnsupportedOperation),
    ],
)
def test_content_that_is_not_here(repo, kind, extra, error, tmp_path):
    entry = Entry(hashlib.sha256(b"gone").digest(), 4, 1, "image/png", "", kind, extra)
    repo.at("main").stage({"photo.png": entry})
    repo.at("main").put("a.txt", b"a")
    commit(repo, "main", "A kind of its own")
    for ref in ("main", "main@"):
        view = repo.at(ref)
        assert view.head("photo.png").size == 4
        assert [info.key for page in view.list() for info in page.objects] == ["a.txt", "photo.png"]
        with pytest.raises(error, match=r"photo\.png") as caught:
            view.read("photo.png")
        assert caught.value.hint
    repo.create_branch("exp", "main~1")
    repo.merge("main", "exp", request())
    assert kinds(repo.diff("main", "exp")) == {}
    checked = EmbeddedStore(tmp_path / "store")
    assert list(checked.check()) == []
    checked.close()


@pytest.mark.parametrize("extra", ["", "{}", "[]", '{"etag":1}'])
def test_a_link_that_cannot_be_read_hides_nothing_else(repo, extra, tmp_path):
    repo.at("main").stage({"a": Entry(bytes(32), 4, 1, "image/png", "", EXTERNAL, extra)})
    repo.at("main").put("b", b"b")
    assert [info.key for page in repo.at("main").list() for info in page.objects] == ["a", "b"]
    with pytest.raises(IntegrityError, match="the link of entry 00000000"):
        repo.at("main").read("a")
    checked = EmbeddedStore(tmp_path / "store")
    (problem,) = checked.check()
    assert "the link of entry" in problem.problem
    assert problem.referenced_by == "garments@main/a (uncommitted)"
    checked.close()


def test_the_kind_is_part_of_what_a_change_compares(repo):
    repo.at("main").put("a.txt", b"gone")
    commit(repo, "main", "Here")
    digest = hashlib.sha256(b"gone").digest()
    repo.at("main").stage({"a.txt": Entry(digest, 4, 1, "text/plain", "", ERASED, "{}")})
    assert staged(repo) == {"a.txt": "changed"}


def test_an_entry_follows_the_key_unless_it_was_told_otherwise():
    plain = entry_of("a/b.csv", bytes(32), 1, modified_us=5, attributes=None)
    assert (plain.content_type, plain.metadata, plain.modified) == ("text/csv", "", 5)
    told = entry_of(
        "b.csv", bytes(32), 1, modified_us=5, attributes=Attributes(content_type="x/y", metadata={"b": "1", "a": "2"})
    )
    assert (told.content_type, told.metadata) == ("x/y", '{"a":"2","b":"1"}')
    assert retyped(plain, "b.csv", "b.png", modified_us=9).content_type == "image/png"
    assert retyped(told, "b.csv", "b.png", modified_us=9) == Entry(bytes(32), 1, 9, "x/y", told.metadata)


def test_staged_rows_keep_every_kind(repo):
    entry = chunked(repo)
    with repo.store.db.snapshot() as db:
        token = db.execute("SELECT token FROM branches").fetchone()[0]
        assert staging.row_of(db, token, "whole.txt") == (True, entry)
