"""Commits made anew in another repo: whatever the stores are, and wherever it was interrupted."""

import itertools
import threading

import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.errors import Diverged, Forbidden, HeadMoved, NotFound, Unavailable, UncommittedChanges
from datastore.replicating.origins import ONTO, ORIGIN, origin_of
from datastore.replicating.replicate import Side, replicate
from datastore.testing.versioning_tools import commit, contents, keys, messages, request, save, staged
from datastore.values import Attributes, CommitRequest
from tests.replicating.bare import BareRepo, Line, bare, over


def bring(source, dest, branch="main"):
    made, moved = replicate(
        Side(repo=source, branch=branch, title="ds://here@main"),
        Side(repo=dest, branch=branch, title="ds://there@main"),
    )
    return [info.message for info in made], moved


def history(repo, ref="main"):
    """Everything that a replica has to share with its original, newest commit first."""
    infos = [info for info in repo.log(ref, first_parent=True) if info.parents]
    return [
        (
            info.message,
            info.author,
            info.time_us,
            {name: value for name, value in info.metadata.items() if name not in {ORIGIN, ONTO}},
            {key: (*attributes_of(repo.at(info.id), key), data) for key, data in contents(repo.at(info.id)).items()},
        )
        for info in infos
    ]


def attributes_of(provider, key):
    info = provider.head(key)
    return info.content_type, dict(info.metadata)


def story(repo):
    """A history with everything in it that a commit can do."""
    save(repo, "main", {"a.csv": b"id\n1\n", "img/1.png": b"one", "img/2.png": b"two"}, author="Ada")
    repo.at("main").put("noted.bin", b"noted", attributes=Attributes(content_type="x/y", metadata={"note": "ü"}))
    commit(repo, "main", "Attributes")
    repo.commit("main", request("Nothing at all", allow_empty=True, metadata={"lr": "3e-4"}))
    save(
        repo,
        "main",
        {"img/1.png": None, "moved/1.png": b"one", "a.csv": b"id\n1\n2\n"},
        message="A rename",
        author="Bo",
    )
    repo.create_branch("exp", "main")
    save(repo, "exp", {"b.csv": b"exp"})
    save(repo, "main", {"c.csv": b"main"})
    repo.merge("exp", "main", request("Merge exp"))
    save(repo, "main", {"b.csv": None})


def test_a_replica_has_messages_authors_times_metadata_and_objects(here, there):
    story(here)
    made, moved = bring(here, there)
    assert history(there) == history(here)
    assert made == [message for message, *_ in history(here)][::-1]
    assert moved.objects == 8
    assert [branch.name for branch in there.branches(hidden=True)] == ["main"]
    assert staged(there) == {}


def test_the_second_time_there_is_nothing_to_do(here, there):
    story(here)
    bring(here, there)
    head = there.commit_of("main")
    line = Line(0)
    made, moved = bring(here, over(line, there))
    assert (made, moved.objects, moved.bytes, line.tried) == ([], 0, 0, 0)
    assert there.commit_of("main") == head


def test_there_and_back_again_and_on_to_a_third(here, there, tmp_path):
    story(here)
    bring(here, there)
    save(there, "main", {"theirs": b"1"}, author="Cleo")
    assert bring(there, here)[0] == ["Write theirs"]
    assert bring(here, there)[0] == []
    third = EmbeddedStore(tmp_path / "third")
    last = third.create_repo("garments")
    bring(there, last)
    assert history(last) == history(there) == history(here)
    assert bring(here, last)[0] == bring(last, here)[0] == []
    save(last, "main", {"third": b"1"})
    assert bring(last, here)[0] == bring(here, there)[0] == ["Write third"]
    assert bring(last, there)[0] == []
    third.close()


def test_of_a_merge_comes_what_it_changed_on_its_branch(here, there):
    base = save(here, "main", {"a": b"1"})
    bring(here, there)
    theirs = save(there, "main", {"b": b"theirs"})
    save(here, "main", {"c": b"mine"})
    with pytest.raises(Diverged):
        bring(here, there)
    # What `fetch` does: their commit, on a branch from what both have.
    here.create_branch("theirs", base.id)
    replicate(Side(repo=there, branch="main", title="there"), Side(repo=here, branch="theirs", title="here"))
    here.merge("theirs", "main", request("Merge theirs"))
    assert bring(here, there)[0] == ["Merge theirs"]
    assert contents(there.at("main")) == contents(here.at("main")) == {"a": b"1", "b": b"theirs", "c": b"mine"}
    assert there.commit_of("main~1").id == theirs.id
    assert bring(there, here)[0] == bring(here, there)[0] == []


def test_histories_that_parted_are_told_with_the_commit_where_they_did(here, there):
    base = save(here, "main", {"a": b"1"})
    bring(here, there)
    other = there.commit_of("main")
    save(there, "main", {"b": b"1"})
    save(here, "main", {"c": b"1"})
    for source, dest, names in ((here, there, (base.id, other.id)), (there, here, (other.id, base.id))):
        before = dest.commit_of("main")
        with pytest.raises(Diverged) as caught:
            bring(source, dest)
        assert f"{names[0][:8]} ({names[1][:8]} in the other repo)" in str(caught.value)
        assert "fetch" in caught.value.hint
        assert dest.commit_of("main") == before


def test_strangers_have_nothing_in_common(here, there, stores):
    save(here, "main", {"a": b"1"})
    save(there, "main", {"b": b"1"})
    with pytest.raises(Diverged, match="went different ways after commit"):  # the empty beginning of both
        bring(here, there)


def test_uncommitted_changes_of_others_are_neither_taken_nor_lost(here, there):
    save(here, "main", {"a": b"1"})
    there.at("main").put("theirs", b"not finished")
    with pytest.raises(UncommittedChanges, match="theirs") as caught:
        bring(here, there)
    assert caught.value.keys == ("theirs",)
    assert messages(there) == []
    assert contents(there.at("main")) == {"theirs": b"not finished"}
    there.reset("main")
    here.at("main").put("mine", b"not finished")
    bring(here, there)
    assert contents(there.at("main")) == {"a": b"1"}


def test_a_protected_branch_is_refused_before_anything_is_copied(here, there):
    save(here, "main", {"a": b"1"})
    there.protect("main")
    line = Line(0)
    with pytest.raises(Forbidden, match="ds://there@main is protected"):
        bring(here, over(line, there))
    assert line.tried == 0


# bytes


def test_bytes_that_the_dest_has_are_not_sent_again(here, stores):
    save(here, "main", {"a": b"x" * 1000, "b": b"y" * 1000})
    other = stores[1].create_repo("other")
    save(other, "main", {"elsewhere": b"x" * 1000})
    dest = stores[1].create_repo("garments")
    _, moved = bring(here, dest)
    assert (moved.objects, moved.bytes) == (2, 1000)
    same = stores[0].create_repo("same")
    assert bring(here, same)[1].bytes == 0


def test_a_renamed_object_is_copied_by_the_dest_itself(here, stores):
    class CopyingProvider(type(BareRepo(here).at("main"))):
        def copy(self, source, target, *, mode="overwrite"):
            return bare(self._provider.copy(source, target, mode=mode))

    class CopyingRepo(BareRepo):
        def at(self, ref, *, head=None):
            return CopyingProvider(self._repo.at(ref, head=head))

    there = CopyingRepo(stores[1].create_repo("garments"))
    big = b"x" * 100_000
    here.at("main").put("a.bin", big)
    here.at("main").put("noted.bin", big[:-1], attributes=Attributes(metadata={"note": "1"}))
    commit(here, "main", "First")
    bring(here, there)
    save(here, "main", {"a.bin": None, "deep/b.bin": big, "a.csv": b"new"})
    here.at("main").put("again.bin", big[:-1])  # the same bytes without the note, so it is no copy
    here.at("main").delete(["noted.bin"])
    commit(here, "main", "Renamed")
    _, moved = bring(here, there)
    assert moved.bytes == len(b"new") + len(big) - 1
    assert history(there) == history(here)


def test_objects_that_swap_their_keys(here, there):
    save(here, "main", {"a": b"1" * 50, "b": b"2" * 50, "c": b"3" * 50})
    bring(here, there)
    save(here, "main", {"a": b"2" * 50, "b": b"1" * 50, "c": None, "d": b"3" * 50})
    bring(here, there)
    assert history(there) == history(here)


# interruptions


@pytest.mark.parametrize("lost_reply", [False, True], ids=["cut", "lost reply"])
@pytest.mark.parametrize("kind", [BareRepo, lambda repo: repo], ids=["bare", "embedded"])
def test_an_interruption_at_any_change_is_made_up_for_by_the_same_call(here, tmp_path, kind, lost_reply):
    save(here, "main", {"a": b"1", "b": b"2", "gone": b"3"})
    save(here, "main", {"a": b"1+", "gone": None, "c": b"4"})
    here.commit("main", request("Nothing", allow_empty=True))
    wanted = history(here)
    for after in itertools.count():
        store = EmbeddedStore(tmp_path / f"cut-{after}")
        dest = kind(store.create_repo("garments"))
        try:
            bring(here, over(Line(after, lost_reply=lost_reply), dest))
        except Unavailable:
            bring(here, dest)
            completed = False
        else:
            completed = True
        assert history(dest) == wanted, f"cut after {after} changes"
        assert bring(here, dest)[0] == []
        assert [branch.name for branch in dest.branches(hidden=True)] == ["main"]
        assert staged(dest) == {}
        store.close()
        if completed:
            break
    assert after > 12


def test_an_interrupted_copy_goes_on_with_the_next_object(here, there, monkeypatch):
    save(here, "main", {f"{i:02}": bytes([i]) * 1000 for i in range(20)})
    monkeypatch.setattr("datastore.bulk.copying._BATCH", 4)  # where many go in one step
    tried_as_links = 0 if isinstance(there, BareRepo) else 20
    with pytest.raises(Unavailable):
        bring(here, over(Line(11 if isinstance(there, BareRepo) else 3 + tried_as_links), there))
    (work,) = (branch.name for branch in there.branches(hidden=True) if branch.name != "main")
    before = len(staged(there, work))
    assert before > 3
    assert keys(there.at("main")) == []
    _, moved = bring(here, there)
    assert moved.objects == 20 - before


def test_a_work_branch_of_an_older_head_is_thrown_away(here, there):
    save(here, "main", {"a": b"1"})
    save(here, "main", {"b": b"1"})
    with pytest.raises(Unavailable):
        bring(here, over(Line(2), there))
    save(there, "main", {"z": b"1"})
    there.reset("main")
    with pytest.raises(Diverged):
        bring(here, there)
    there.revert("main", "main", request("Undo"))
    with pytest.raises(Diverged):  # undone is not unsaid
        bring(here, there)


def test_two_at_once_make_no_commit_twice(here, there):
    save(here, "main", {f"{i:02}": b"x" for i in range(10)})
    save(here, "main", {"last": b"x"})
    errors = []

    def work():
        try:
            bring(here, there)
        except (HeadMoved, NotFound, UncommittedChanges, Unavailable) as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bring(here, there)
    assert history(there) == history(here)


# heads that move


def test_a_head_that_moves_while_bytes_are_copied(here, there):
    save(here, "main", {"a": b"1", "b": b"2"})

    class Meddled(Line):
        def change(self, verb, *args, **how):
            done = super().change(verb, *args, **how)
            if verb.__name__ == "commit":
                save(there, "main", {"theirs": b"1"})
            return done

    with pytest.raises(HeadMoved) as caught:
        bring(here, over(Meddled(10**9), there))
    assert caught.value.landed is None
    assert messages(there) == ["Write theirs"]
    with pytest.raises(Diverged):
        bring(here, there)


def test_a_commit_that_landed_on_another_head_is_not_taken_for_the_original(here, stores):
    there = BareRepo(stores[1].create_repo("garments"))
    save(here, "main", {"a": b"1"})

    class Meddled(Line):
        def change(self, verb, *args, **how):
            if verb.__name__ == "cherry_pick":
                save(there, "main", {"theirs": b"1"})  # between the last look at the head and the commit
            return super().change(verb, *args, **how)

    with pytest.raises(HeadMoved) as caught:
        bring(here, over(Meddled(10**9), there))
    landed = there.commit_of("main")
    assert caught.value.landed == landed.id
    assert origin_of(landed) == landed.id
    assert contents(there.at("main")) == {"a": b"1", "theirs": b"1"}
    with pytest.raises(Diverged):
        bring(here, there)


def test_a_cherry_pick_of_a_replica_is_a_commit_of_its_own(here, there):
    save(here, "main", {"a": b"1"})
    second = save(here, "main", {"b": b"1"})
    bring(here, there)
    replica = there.commit_of("main")
    assert origin_of(replica) == second.id
    there.create_branch("fix", "main~2")
    picked = there.cherry_pick(
        "fix", replica.id, CommitRequest(message="b", author="Ada", op_id="x", metadata=replica.metadata)
    )
    assert origin_of(picked) == picked.id
