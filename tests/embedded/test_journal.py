"""The journal of refs: enough to rebuild them, whatever a crash cut off."""

import json

import pytest

from datastore.embedded.journal import Journal
from datastore.embedded.store import EmbeddedStore
from datastore.testing.versioning_tools import request, save


def lines(path):
    """What a reader gets: every line that is whole."""
    found = []
    for line in path.read_bytes().split(b"\n"):
        try:
            change = json.loads(line)
        except ValueError:
            continue
        if isinstance(change, dict) and ("snapshot" in change or "do" in change):
            found.append(change)
    return found


def rebuilt(path):
    """The refs as the journal alone tells them."""
    repos = {}
    for line in lines(path):
        if "snapshot" in line:
            repos = {name: (dict(refs["branches"]), dict(refs["tags"])) for name, refs in line["snapshot"].items()}
            continue
        what, repo = line["do"], line["repo"]
        if what == "create-repo":
            repos[repo] = ({line["branch"]: line["new"]}, {})
        elif what == "delete-repo":
            del repos[repo]
        elif what == "rename-repo":
            repos[line["new"]] = repos.pop(repo)
        elif what in {"create-branch", "move"}:
            assert repos[repo][0].get(line["branch"]) == line.get("old")
            repos[repo][0][line["branch"]] = line["new"]
        elif what == "delete-branch":
            assert repos[repo][0].pop(line["branch"]) == line["old"]
        elif what == "create-tag":
            repos[repo][1][line["tag"]] = line["new"]
        elif what == "delete-tag":
            assert repos[repo][1].pop(line["tag"]) == line["old"]
        else:
            pytest.fail(f"unknown change {what}")
    return repos


def actual(store):
    repos = {name: store.repo(name) for name in store.repos()}
    return {
        name: (
            {branch.name: branch.head for branch in repo.branches(hidden=True)},
            {tag.name: tag.commit for tag in repo.tags()},
        )
        for name, repo in repos.items()
    }


@pytest.fixture
def store(tmp_path):
    store = EmbeddedStore(tmp_path / "store")
    yield store
    store.close()


def journal_of(store):
    return store.path / "refs.journal"


def some_changes(store, *, name="one"):
    repo = store.create_repo(name)
    save(repo, "main", {"a": b"1"})
    repo.create_branch("exp", "main")
    repo.create_branch("tx", "main", hidden=True)
    save(repo, "exp", {"a": b"2"})
    repo.merge("exp", "main", request())
    repo.create_tag("v1", "main")
    repo.create_tag("v2", "main~1")
    repo.delete_tag("v2")
    repo.delete_branch("tx")
    return repo


def test_the_journal_alone_tells_all_refs(store):
    repo = some_changes(store)
    some_changes(store, name="two")
    repo.delete_branch("exp")
    repo.undelete_branch("exp")
    repo.revert("main", "main", request())
    store.rename_repo("two", "three")
    store.create_repo("four")
    store.delete_repo("four")
    assert rebuilt(journal_of(store)) == actual(store)
    assert not any("snapshot" in line for line in lines(journal_of(store)))


def test_what_changes_no_ref_is_not_in_it(store):
    repo = some_changes(store)
    before = journal_of(store).read_bytes()
    repo.at("main").put("b", b"b")
    repo.reset("main")
    repo.create_tag("v1", "main")
    with pytest.raises(FileExistsError):
        repo.create_tag("v1", "main~1")
    with pytest.raises(FileNotFoundError):
        repo.create_branch("x", "nowhere")
    assert journal_of(store).read_bytes() == before


@pytest.mark.parametrize("cut", [0, 1, 20, 150, 400])
def test_a_cut_end_is_made_good_by_a_snapshot(store, cut):
    repo = some_changes(store)
    data = journal_of(store).read_bytes()
    journal_of(store).write_bytes(data[: len(data) - cut])
    repo.create_tag("after", "main")
    assert any("snapshot" in line for line in lines(journal_of(store))) == (cut > 0)
    assert rebuilt(journal_of(store)) == actual(store)
    save(repo, "main", {"b": b"b"})
    assert rebuilt(journal_of(store)) == actual(store)


@pytest.mark.parametrize("end", [b"", b"null\n", b"{}\n", b'{"epoch":"x"}\n', b"\xff\n", b"\n\n"])
def test_a_spoilt_journal_is_made_good_by_a_snapshot(store, end):
    repo = some_changes(store)
    journal_of(store).write_bytes(end)
    repo.create_tag("after", "main")
    assert rebuilt(journal_of(store)) == actual(store)


def test_a_lost_journal_begins_with_a_snapshot(store):
    repo = some_changes(store)
    journal_of(store).unlink()
    repo.create_tag("after", "main")
    assert "snapshot" in lines(journal_of(store))[0]
    assert rebuilt(journal_of(store)) == actual(store)


def test_a_journal_that_cannot_be_written_does_not_undo_what_landed(store, monkeypatch):
    repo = some_changes(store)

    def fails(*_args, **_how):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", fails)
        made = save(repo, "main", {"b": b"b"})
        assert repo.commit_of("main") == made
    assert rebuilt(journal_of(store)) != actual(store)
    repo.create_tag("after", "main")
    assert rebuilt(journal_of(store)) == actual(store)


def test_a_long_line_is_found_at_the_end(tmp_path):
    journal = Journal(tmp_path / "refs.journal")
    assert journal.last_epoch() == 0
    snapshot = {f"repo-{number}": {"branches": {"main": "f" * 64}, "tags": {}} for number in range(500)}
    journal.append(7, {"do": "create-tag", "repo": "r" * 63, "tag": "t" * 256, "new": "f" * 64}, snapshot=snapshot)
    assert (tmp_path / "refs.journal").stat().st_size > 40_000
    assert journal.last_epoch() == 7


def test_a_branch_that_moves_forward_is_in_it(opened, path):
    store = opened()
    repo = store.create_repo("garments")
    head = repo.commit_of("main").id
    repo.create_branch("work", "main", hidden=True)
    made = save(repo, "work", {"a": b"1"})
    repo.fast_forward("main", made.id, head=head)
    before = lines(path / "refs.journal")
    assert rebuilt(path / "refs.journal") == actual(store)
    repo.fast_forward("main", made.id, head=head)
    assert lines(path / "refs.journal") == before
