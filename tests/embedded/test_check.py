"""`check` names whatever is damaged, and who needs it."""

import hashlib
import json

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.errors import IntegrityError
from datastore.testing.versioning_tools import commit, contents, keys, save, staged
from tests.embedded.files import listing


@pytest.fixture
def store(tmp_path):
    """Two commits, a tag, a branch with uncommitted changes, a deleted branch; two levels of tree nodes."""
    store = EmbeddedStore(tmp_path / "store")
    repo = store.create_repo("garments")
    save(repo, "main", {"a.txt": b"first", "b.txt": b"shared"}, message="First")
    repo.create_tag("v1", "main")
    save(repo, "main", {"a.txt": b"second", "img/photo.png": b"\x89PNG"}, message="Second")
    repo.create_branch("exp", "v1")
    repo.at("exp").put("new.txt", b"uncommitted")
    repo.create_branch("old", "v1")
    repo.at("old").put("undelete-me.txt", b"of a deleted branch")
    repo.delete_branch("old")
    yield store
    store.close()


def found(store, **how):
    return [(problem.kind, problem.id, problem.problem, problem.referenced_by) for problem in store.check(**how)]


def blob(store, data):
    name = hashlib.sha256(data).hexdigest()
    return store.path / "blobs" / name[:2] / name


def damage(path, how):
    data = path.read_bytes()
    path.chmod(0o644)
    if how == "remove":
        path.unlink()
    elif how == "truncate":
        path.write_bytes(data[:-1])
    elif how == "flip":
        middle = len(data) // 2
        path.write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])


def test_a_sound_store_has_nothing_to_tell(store):
    assert found(store) == found(store, deep=False) == []


@pytest.mark.parametrize(
    ("how", "problem"),
    [
        ("flip", "has other bytes than its name says"),
        ("truncate", "has 5 bytes instead of 6"),
        ("remove", "is missing"),
    ],
)
def test_a_damaged_blob(store, how, problem):
    path = blob(store, b"second")
    damage(path, how)
    head = store.repo("garments").commit_of("main").id
    expected = [("blob", path.name, problem, f"garments@{head[:8]}/a.txt")]
    assert found(store) == expected
    assert found(store, deep=False) == ([] if how == "flip" else expected)


@pytest.mark.parametrize(
    ("data", "where"),
    [
        (b"uncommitted", "garments@exp/new.txt (uncommitted)"),
        (b"of a deleted branch", "garments@old (deleted)/undelete-me.txt (uncommitted)"),
    ],
)
def test_a_missing_blob_that_only_a_staged_row_needs(store, data, where):
    path = blob(store, data)
    damage(path, "remove")
    assert found(store) == [("blob", path.name, "is missing", where)]


def test_a_blob_that_several_need_is_named_once(store):
    damage(blob(store, b"shared"), "remove")
    ((kind, _, _, where),) = found(store)
    assert (kind, where.partition("/")[2]) == ("blob", "b.txt")


@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("ref", ["main", "v1"])
def test_a_damaged_tree_node(store, how, ref):
    made = store.repo("garments").commit_of(ref)
    damage(store.path / "trees" / made.tree, how)
    problems = found(store)
    assert {"tree"} == {kind for kind, *_ in problems}
    assert any(name == made.tree and made.id[:8] in where for _, name, _, where in problems)
    assert found(store, deep=False) == problems


@pytest.mark.parametrize("how", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("ref", ["main", "v1", "v1~1"])
def test_a_damaged_commit_file(store, how, ref):
    made = store.repo("garments").commit_of(ref)
    damage(store.path / "commits" / made.id, how)
    ((kind, name, problem, where),) = found(store)
    assert (kind, name) == ("commit", made.id)
    assert ("missing" in problem) == (how == "remove")
    assert where.startswith("garments@")


def rewrite_index(store, statement, *values):
    opened = store.repo("garments").store
    with opened.db.write(durable=True) as db:
        db.execute("PRAGMA defer_foreign_keys = 1")
        assert db.execute(statement, values).rowcount == 1
    opened._commits.clear()


@pytest.mark.parametrize(("ref", "kind"), [("main", "ref"), ("v1", "ref"), ("v1~1", "commit")])
def test_a_damaged_row_of_a_commit(store, ref, kind):
    made = store.repo("garments").commit_of(ref)
    body = (store.path / "commits" / made.id).read_bytes()
    rewrite_index(store, "UPDATE commits SET body = ? WHERE id = ?", body.replace(b"message", b"massage"), made.id)
    problems = found(store)
    assert made.id in {name for _, name, _, _ in problems}
    assert all(where.startswith("garments@") for *_, where in problems)
    assert kind in {found_kind for found_kind, name, *_ in problems if name == made.id}


def test_a_lost_row_of_a_commit_is_named_by_the_ref_or_by_its_own_id(store):
    made = store.repo("garments").commit_of("v1")
    rewrite_index(store, "DELETE FROM commits WHERE id = ?", made.id)
    problems = found(store)
    assert {name for _, name, _, _ in problems} == {made.id}
    assert "not in the index" in problems[0][2]


def test_a_ref_to_nowhere(store):
    rewrite_index(store, "UPDATE tags SET head = ?", "f" * 64)
    made = store.repo("garments").commit_of("main~1")
    assert found(store) == [
        ("ref", "garments@v1", f"the index says {'f' * 16}, refs.journal {made.id[:16]}", ""),
        ("ref", "f" * 64, "commit ffffffff is not in the index", "garments@v1"),
    ]


def test_a_damaged_index_is_a_problem_and_no_crash(store):
    store.close()
    path = store.path / "meta.db"
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    problems = found(store)
    assert problems
    assert {(kind, name) for kind, name, *_ in problems} == {("store", "meta.db")}


def test_checking_changes_nothing(store):
    damage(blob(store, b"second"), "flip")

    store.close()
    before = listing(store.path)
    reader = EmbeddedStore(store.path, read_only=True)
    assert found(reader)
    reader.close()
    assert listing(store.path) == before


def test_everything_else_stays_readable(store):
    damage(blob(store, b"second"), "remove")
    main = store.repo("garments").at("main")
    with pytest.raises(IntegrityError, match="missing") as caught:
        main.read("a.txt")
    assert "put the object again" in str(caught.value.hint)
    assert main.read("b.txt").read() == b"shared"
    assert keys(main) == ["a.txt", "b.txt", "img/photo.png"]


@pytest.mark.parametrize("how", ["truncate", "remove"])
def test_the_hint_helps_putting_the_object_again_repairs(store, how):
    damage(blob(store, b"second"), how)
    repo = store.repo("garments")
    repo.at("main").put("a.txt", b"second")
    assert staged(repo) == {}
    assert contents(repo.at("main"))["a.txt"] == b"second"
    assert found(store) == []


def test_a_commit_with_a_lost_blob_is_refused_in_words(store):
    repo = store.repo("garments")
    path = blob(store, b"uncommitted")
    path.unlink()
    with pytest.raises(IntegrityError, match=f"{path.name[:16]} is missing"):
        commit(repo, "exp", "Without its bytes")
    assert repo.commit_of("exp") == repo.commit_of("v1")
    repo.at("exp").put("new.txt", b"uncommitted")
    commit(repo, "exp", "With its bytes")
    assert found(store) == []


def test_bytes_that_an_earlier_boot_did_not_sync_are_read_before_they_are_committed(store):
    repo = store.repo("garments")
    for data, torn in ((b"uncommitted", False), (b"of a deleted branch", True)):
        rewrite_index(store, "UPDATE blobs SET boot = 'earlier' WHERE digest = ?", hashlib.sha256(data).digest())
        if torn:
            damage(blob(store, data), "flip")
    commit(repo, "exp", "Whole")
    repo.undelete_branch("old")
    with pytest.raises(IntegrityError, match="torn"):
        commit(repo, "old", "Torn")
    repo.at("old").put("undelete-me.txt", b"of a deleted branch")
    commit(repo, "old", "Put again")
    assert found(store) == []


def test_the_files_are_what_the_docs_say(store):
    """Raw blobs under their sha256; commits as JSON: a person can rescue data with `cp` and `cat`."""
    assert blob(store, b"second").read_bytes() == b"second"
    made = store.repo("garments").commit_of("main")
    fields = json.loads((store.path / "commits" / made.id).read_bytes())
    assert (fields["message"], fields["tree"], fields["parents"]) == ("Second", made.tree, list(made.parents))
    assert blob(store, b"second").stat().st_mode & 0o222 == 0


def test_one_repo_is_checked_alone(store):
    whole, damaged = store.create_repo("whole"), store.create_repo("damaged")
    for repo in (whole, damaged):
        save(repo, "main", {"a": repo.name.encode()})
    blob(store, b"damaged").unlink()
    assert list(whole.check()) == []
    assert [problem.referenced_by.partition("@")[0] for problem in damaged.check()] == ["damaged"]
