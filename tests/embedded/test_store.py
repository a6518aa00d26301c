"""A store of several repos: names, shared content, and what happens between two moments of one verb."""

import pytest

from datastore.errors import AlreadyExists, DatastoreError, HeadMoved, NotFound, ValidationError
from datastore.testing.versioning_tools import commit, contents, messages, request, save, staged
from tests.embedded.files import listing


@pytest.fixture
def store(opened):
    store = opened()
    save(store.create_repo("garments"), "main", {"a.txt": b"hello", "b/c.txt": b"more"})
    return store


# repos


def test_nothing_is_made_before_the_first_repo(opened, path):
    store = opened()
    assert (store.exists(), list(store.repos())) == (False, [])
    with pytest.raises(NotFound, match="no store"):
        store.repo("garments")
    with pytest.raises(ValidationError):
        store.create_repo("A Bad Name")
    assert not path.exists()


def test_a_store_holds_several_repos(opened, store):
    two = store.create_repo("shoes", default_branch="trunk")
    assert list(store.repos()) == list(opened().repos()) == ["garments", "shoes"]
    assert two.default_branch == "trunk"
    assert [branch.name for branch in two.branches()] == ["trunk"]
    with pytest.raises(NotFound):
        two.commit_of("main")
    assert messages(store.repo("garments")) == ["Write a.txt, b/c.txt"]


def test_a_taken_name_changes_nothing(store, path):
    head = store.repo("garments").commit_of("main")
    before = set(listing(path))
    with pytest.raises(AlreadyExists, match="garments"):
        store.create_repo("garments")
    assert store.repo("garments").commit_of("main") == head
    assert set(listing(path)) == before


BAD_NAMES = ["", "ab", "Garments", "a b", "-abc", "a/b", "a.b", "a@b", "..", "x" * 64, "ümlaut", "abc\n"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_repo_names(store, path, name):
    before = set(listing(path))
    with pytest.raises(ValidationError):
        store.create_repo(name)
    with pytest.raises(ValidationError):
        store.rename_repo("garments", name)
    with pytest.raises(NotFound):
        store.repo(name)
    assert set(listing(path)) == before


def test_a_bad_default_branch(store):
    with pytest.raises(ValidationError):
        store.create_repo("shoes", default_branch="a/b")
    assert list(store.repos()) == ["garments"]


def test_a_typo_in_a_repo_names_the_nearest(store):
    for verb in (store.repo, store.delete_repo, lambda name: store.rename_repo(name, "other")):
        with pytest.raises(NotFound, match="garmnets") as caught:
            verb("garmnets")
        assert "'garments'" in str(caught.value.hint)


def test_rename(opened, store):
    store.create_repo("shoes")
    handle = store.repo("garments")
    store.rename_repo("garments", "clothes")
    assert list(store.repos()) == ["clothes", "shoes"]
    assert contents(opened().repo("clothes").at("main")) == {"a.txt": b"hello", "b/c.txt": b"more"}
    with pytest.raises(NotFound):
        handle.commit_of("main")
    with pytest.raises(AlreadyExists):
        store.rename_repo("clothes", "shoes")


def test_delete_leaves_what_other_repos_share(store):
    shoes = store.create_repo("shoes")
    save(shoes, "main", {"same.txt": b"hello"})
    store.repo("garments").at("main").put("staged.txt", b"uncommitted")
    handle = store.repo("garments")
    store.delete_repo("garments")
    assert list(store.repos()) == ["shoes"]
    for verb in (lambda: store.repo("garments"), lambda: handle.at("main").head("a.txt"), handle.branches):
        with pytest.raises(NotFound):
            verb()
    assert contents(shoes.at("main")) == {"same.txt": b"hello"}
    assert list(store.check()) == []
    again = store.create_repo("garments")
    assert (contents(again.at("main")), staged(again), list(again.tags())) == ({}, {}, [])


def test_repos_share_blobs(store, path):
    count = sum(file.is_file() for file in (path / "blobs").rglob("*"))
    shoes = store.create_repo("shoes")
    info = store.repo("garments").at("main").head("a.txt")
    assert shoes.at("main").link(info, "linked.txt").identity == info.identity
    save(shoes, "main", {"copy.txt": b"hello"})
    assert contents(shoes.at("main")) == {"copy.txt": b"hello", "linked.txt": b"hello"}
    assert sum(file.is_file() for file in (path / "blobs").rglob("*")) == count


def test_a_link_to_what_the_store_does_not_have(store, opened, tmp_path):
    other = opened(tmp_path / "other").create_repo("other")
    info = other.at("main").put("a.bin", b"only there")
    assert store.repo("garments").at("main").link(info, "a.bin") is None
    assert staged(store.repo("garments")) == {}


@pytest.mark.parametrize("reflink", [False, True])
def test_an_import_follows_links_to_files_and_does_not_move_anything(store, tmp_path, reflink):
    (tmp_path / "real.bin").write_bytes(b"x" * 3_000_000)
    (tmp_path / "link.bin").symlink_to(tmp_path / "real.bin")
    main = store.repo("garments").at("main")
    infos = main.import_files([(tmp_path / name, f"in/{name}") for name in ("real.bin", "link.bin")], reflink=reflink)
    assert [(info.size, info.digest) for info in infos] == [(3_000_000, main.head("in/real.bin").digest)] * 2
    assert contents(main, "in/") == {"in/link.bin": b"x" * 3_000_000, "in/real.bin": b"x" * 3_000_000}
    assert (tmp_path / "real.bin").read_bytes() == b"x" * 3_000_000
    (tmp_path / "real.bin").write_bytes(b"changed afterwards")
    assert main.read("in/real.bin").readall() == b"x" * 3_000_000
    assert list(store.check()) == []


def test_two_openings_see_each_other(opened, store):
    one, two = store.repo("garments"), opened().repo("garments")
    one.at("main").put("new.txt", b"uncommitted")
    assert staged(two) == {"new.txt": "added"}
    made = commit(two, "main", "By the other")
    assert one.commit_of("main") == made
    store.close()
    assert contents(two.at("main"))["new.txt"] == b"uncommitted"
    assert contents(one.at("main"))["new.txt"] == b"uncommitted"


def test_nothing_to_commit_names_who_took_it(opened, store):
    mine, other = store.repo("garments"), opened().repo("garments")
    save(other, "main", {"mine.txt": b"earlier"})
    mine.at("main").put("mine.txt", b"mine")
    taker = other.commit("main", request("Took it", author="Eve"))
    with pytest.raises(DatastoreError, match=f"commit {taker.id[:8]} by Eve took your changes"):
        commit(mine, "main", "Mine")


def test_nothing_to_commit_blames_nobody_for_what_was_reset(opened, store):
    mine, other = store.repo("garments"), opened().repo("garments")
    save(other, "main", {"mine.txt": b"earlier"})
    mine.at("main").put("mine.txt", b"mine")
    other.reset("main")
    save(other, "main", {"unrelated.txt": b"x"})
    with pytest.raises(DatastoreError, match="has no uncommitted changes"):
        commit(mine, "main", "Mine")


def test_time_never_goes_backwards(opened, path):
    now = [5_000_000]
    repo = opened(clock=lambda: now[0]).create_repo("garments")
    times = []
    for clock in (6_000_000, 1_000_000, 1_000_000, 9_000_000, 0):
        now[0] = clock
        times.append(save(repo, "main", {"a": b"%d" % len(times)}).time_us)
    assert times == [6_000_000, 6_000_001, 6_000_002, 9_000_000, 9_000_001]
    repo.create_branch("exp", "main~3")
    save(repo, "exp", {"b": b""})
    assert repo.merge("exp", "main", request()).time_us == 9_000_002


def test_the_same_input_gives_the_same_files(opened, tmp_path):
    """The format of trees and blobs: what this writes must be found again by every later version."""
    made = []
    for name in ("one", "two"):
        repo = opened(tmp_path / name, clock=lambda: 1_795_235_623_000_000).create_repo("garments")
        made.append(save(repo, "main", {"a.txt": b"hello", "b/c.csv": b"x,y\n", "empty": b""}))
        files = tmp_path / name / "trees" / made[-1].tree
        assert files.is_file()
    assert made[0].tree == made[1].tree == "1c02a510b74935af567fbd737ff8db71039b07636a9568483020e7ff83271141"


def test_squashing_the_same_again_brings_nothing(store):
    repo = store.repo("garments")
    repo.create_branch("exp", "main")
    save(repo, "exp", {"new.txt": b"n"})
    made = repo.merge("exp", "main", request(), squash=True)
    with pytest.raises(DatastoreError, match="already"):
        repo.merge("exp", "main", request(), squash=True)
    assert repo.commit_of("main") == made


@pytest.mark.parametrize("fields", [{"op_id": ""}, {"message": "\ud800"}, {"author": "\ud800"}, {"metadata": {"a": 1}}])
def test_a_bad_request_is_refused(store, fields):
    repo = store.repo("garments")
    repo.at("main").put("new.txt", b"n")
    with pytest.raises(ValidationError):
        repo.commit("main", request(**fields))
    assert staged(repo) == {"new.txt": "added"}


def test_a_branch_made_anew_does_not_get_the_commit_of_its_predecessor(store, monkeypatch):
    """A commit is prepared; before it lands, its branch is deleted, and made anew at the same commit."""
    repo = store.repo("garments")
    repo.create_branch("exp", "main")
    repo.at("exp").put("secret.txt", b"of the deleted branch")
    original = repo.store.make_durable

    def meanwhile(digests):
        monkeypatch.setattr(repo.store, "make_durable", original)
        repo.delete_branch("exp")
        repo.create_branch("exp", "main")
        return original(digests)

    monkeypatch.setattr(repo.store, "make_durable", meanwhile)
    with pytest.raises(DatastoreError, match="no uncommitted changes"):
        commit(repo, "exp", "Too late")
    assert repo.commit_of("exp") == repo.commit_of("main")


def test_what_is_put_again_while_a_commit_takes_it_is_no_change(store, monkeypatch):
    repo = store.repo("garments")
    repo.at("main").put("a.txt", b"new")
    original = repo.store.make_durable

    def meanwhile(digests):
        repo.at("main").put("a.txt", b"other")
        repo.at("main").put("a.txt", b"new")
        repo.at("main").put("later.txt", b"later")
        return original(digests)

    monkeypatch.setattr(repo.store, "make_durable", meanwhile)
    commit(repo, "main", "Takes a.txt")
    monkeypatch.undo()
    assert staged(repo) == {"later.txt": "added"}
    repo.reset("main", key="later.txt")
    repo.create_branch("exp", "main~1")
    repo.merge("main", "exp", request())
    repo.revert("main", "main", request("The branch is clean"))


def test_what_is_taken_back_while_a_commit_is_made_is_not_in_it(store, monkeypatch):
    repo = store.repo("garments")
    repo.at("main").put("a.txt", b"oops")
    repo.at("main").put("b.txt", b"fine")
    original = repo.store.make_durable

    def meanwhile(digests):
        monkeypatch.setattr(repo.store, "make_durable", original)
        repo.reset("main", key="a.txt")
        return original(digests)

    monkeypatch.setattr(repo.store, "make_durable", meanwhile)
    commit(repo, "main", "Without a")
    assert contents(repo.at("main@")) == {"a.txt": b"hello", "b.txt": b"fine", "b/c.txt": b"more"}


def test_a_branch_that_moves_for_ever_gives_up_in_words(store, monkeypatch):
    repo = store.repo("garments")
    repo.at("main").put("a.txt", b"new")
    original = repo.store.make_durable

    def meanwhile(digests):
        repo.reset("main", key="nothing")  # counts as a move
        return original(digests)

    monkeypatch.setattr("datastore.embedded.advance._LONGEST_WAIT", 0.001)
    monkeypatch.setattr(repo.store, "make_durable", meanwhile)
    with pytest.raises(HeadMoved, match="main"):
        commit(repo, "main", "Never")
    assert staged(repo) == {"a.txt": "changed"}


def test_two_that_make_the_same_tag_at_once_both_succeed(store, monkeypatch):
    repo = store.repo("garments")
    original = repo.store.changing_refs

    def meanwhile(change):
        monkeypatch.setattr(repo.store, "changing_refs", original)
        repo.create_tag("v1", "main")
        return original(change)

    monkeypatch.setattr(repo.store, "changing_refs", meanwhile)
    assert repo.create_tag("v1", "main").commit == repo.commit_of("main").id
