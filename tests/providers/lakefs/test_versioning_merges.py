"""Merges that lakeFS itself gets wrong, merges that others disturb, and what stays behind."""

import pytest

from datastore.errors import Conflict, HeadMoved, MergeConflict, NothingToCommit, UncommittedChanges
from datastore.providers.lakefs import merging, replaying
from datastore.testing.versioning_tools import contents, messages, request, save, staged
from tests.providers.lakefs.versioned import fresh

SAME = b"the same bytes"


@pytest.fixture
def repo(lakefs):
    return fresh(lakefs)


def fork(repo, *, base, exp, main):
    save(repo, "main", base, message="Base")
    repo.create_branch("exp", "main")
    save(repo, "exp", exp, message="On exp")
    save(repo, "main", main, message="On main")


# what lakeFS loses without a word (see threeway.py)


def test_a_copy_is_not_lost_when_the_other_side_removes_the_original(repo):
    fork(repo, base={"a.txt": b"a", "z.txt": SAME}, exp={"z.txt": None}, main={"y.txt": SAME})
    merged = repo.merge("exp", "main", request("Merge exp"))
    assert contents(repo.at("main")) == {"a.txt": b"a", "y.txt": SAME}
    assert merged.message == "Merge exp"
    assert merged.parents[0] == repo.commit_of("main~1").id
    assert repo.merge_base("exp", "main") == repo.commit_of("exp")


def test_a_file_that_both_renamed_differently_is_there_under_both_names(repo):
    fork(repo, base={"z.txt": SAME}, exp={"z.txt": None, "b.txt": SAME}, main={"z.txt": None, "y.txt": SAME})
    repo.merge("exp", "main", request())
    assert contents(repo.at("main")) == {"b.txt": SAME, "y.txt": SAME}


def test_a_conflict_is_seen_although_the_next_file_has_the_content_of_one_side(repo):
    fork(repo, base={"z.txt": SAME}, exp={"k.txt": SAME}, main={"k.txt": b"other"})
    with pytest.raises(MergeConflict) as caught:
        repo.merge("exp", "main", request())
    assert caught.value.paths == ["k.txt"]
    assert contents(repo.at("main")) == {"k.txt": b"other", "z.txt": SAME}


@pytest.mark.parametrize(("strategy", "winner"), [("source-wins", SAME), ("dest-wins", b"other")])
@pytest.mark.parametrize("swapped", [False, True])
def test_a_strategy_is_followed_although_the_next_file_has_the_content_of_one_side(repo, strategy, winner, swapped):
    sides = [{"k.txt": b"other"}, {"k.txt": SAME}] if swapped else [{"k.txt": SAME}, {"k.txt": b"other"}]
    fork(repo, base={"z.txt": SAME}, exp=sides[0], main=sides[1])
    repo.merge("exp", "main", request(), strategy=strategy)
    expected = {SAME: b"other", b"other": SAME}[winner] if swapped else winner
    assert contents(repo.at("main")) == {"k.txt": expected, "z.txt": SAME}


def test_a_revert_keeps_copies_of_what_it_removes(repo):
    save(repo, "main", {"a.txt": b"a"})
    added = save(repo, "main", {"z.txt": SAME})
    save(repo, "main", {"y.txt": SAME})
    undone = repo.revert("main", added.id, request("Undo"))
    assert contents(repo.at("main")) == {"a.txt": b"a", "y.txt": SAME}
    assert undone.parents == (repo.commit_of("main~1").id,)
    assert (undone.message, undone.author) == ("Undo", "Ada")


def test_a_cherry_pick_keeps_copies_of_what_it_removes(repo):
    fork(repo, base={"a.txt": b"a", "z.txt": SAME}, exp={"z.txt": None}, main={"y.txt": SAME})
    repo.cherry_pick("main", "exp", request("Pick"))
    assert contents(repo.at("main")) == {"a.txt": b"a", "y.txt": SAME}
    assert messages(repo) == ["Pick", "On main", "Base"]


# what a merge leaves behind


@pytest.mark.parametrize(
    "how", [{}, {"choose": {"k": "source"}}, {"choose": {"k": "dest"}}, {"choose": {"k": "source"}, "squash": True}]
)
def test_no_branch_is_left_behind(repo, how):
    fork(repo, base={"k": b"1"}, exp={"k": b"exp"}, main={"k": b"main", "l": b"main"})
    if how:
        repo.merge("exp", "main", request(), **how)
    else:
        with pytest.raises(MergeConflict):
            repo.merge("exp", "main", request())
    assert [branch.name for branch in repo.branches(hidden=True)] == ["exp", "main"]
    assert contents(repo.at("main"))["k"] == (b"exp" if how.get("choose") == {"k": "source"} else b"main")


def test_choices_can_be_squashed_into_one_commit(repo):
    fork(repo, base={"k": b"1", "l": b"1"}, exp={"k": b"exp", "l": b"exp"}, main={"k": b"main", "l": b"main"})
    merged = repo.merge("exp", "main", request("All"), choose={"k": "source", "l": "dest"}, squash=True)
    assert messages(repo) == ["All", "On main", "Base"]
    assert merged.parents == (repo.commit_of("main~1").id,)
    assert contents(repo.at("main")) == {"k": b"exp", "l": b"main"}


def test_after_choices_the_same_conflict_does_not_come_back(repo):
    fork(repo, base={"k": b"1"}, exp={"k": b"exp"}, main={"k": b"main"})
    repo.merge("exp", "main", request(), choose={"k": "dest"})
    save(repo, "exp", {"new": b"n"})
    repo.merge("exp", "main", request())
    assert contents(repo.at("main")) == {"k": b"main", "new": b"n"}


def test_many_choices_at_once(repo):
    keys = [f"k/{number:03}" for number in range(60)]
    fork(
        repo,
        base=dict.fromkeys(keys, b"1"),
        exp=dict.fromkeys(keys, b"exp") | {"new": b"n"},
        main=dict.fromkeys(keys, b"main"),
    )
    choose = {key: ("source", "dest")[number % 2] for number, key in enumerate(keys)}
    repo.merge("exp", "main", request(), choose=choose)
    expected = {key: (b"exp", b"main")[number % 2] for number, key in enumerate(keys)} | {"new": b"n"}
    assert contents(repo.at("main")) == expected


def test_the_merge_of_what_was_undone_on_the_source_is_recorded(repo):
    """The trees are the same, yet the source has commits that dest does not have."""
    save(repo, "main", {"a": b"1"})
    repo.create_branch("exp", "main")
    save(repo, "exp", {"a": b"2"})
    tip = save(repo, "exp", {"a": b"1"})
    merged = repo.merge("exp", "main", request())
    assert merged.parents[1] == tip.id
    with pytest.raises(NothingToCommit):
        repo.merge("exp", "main", request())


# others at work


def between(monkeypatch, module, name, action):
    """Do something once, right after the server was looked at and before anything is changed."""
    real, left = getattr(module, name), [action]

    def wrapped(*args, **kwargs):
        found = real(*args, **kwargs)
        while left:
            left.pop()()
        return found

    monkeypatch.setattr(module, name, wrapped)


@pytest.mark.parametrize("how", [{}, {"choose": {"k": "source"}}])
def test_a_conflict_that_comes_up_meanwhile_is_met(repo, monkeypatch, how):
    base = {"k": b"1", "l": b"1"}
    exp = {"l": b"exp", "k": b"exp"} if how else {"l": b"exp"}
    fork(repo, base=base, exp=exp, main={"k": b"main"} if how else {"m": b"main"})
    between(monkeypatch, merging, "both_diffs", lambda: save(repo, "main", {"l": b"main, meanwhile"}))
    with pytest.raises(MergeConflict) as caught:
        repo.merge("exp", "main", request(), **how)
    assert caught.value.paths == ["l"]
    assert contents(repo.at("main"))["l"] == b"main, meanwhile"


@pytest.mark.parametrize("how", [{}, {"choose": {"k": "source"}}])
def test_a_commit_that_lands_meanwhile_is_kept(repo, monkeypatch, how):
    fork(repo, base={"k": b"1"}, exp={"k": b"exp"} if how else {"e": b"exp"}, main={"k": b"main"})
    between(monkeypatch, merging, "both_diffs", lambda: save(repo, "main", {"n": b"meanwhile"}))
    repo.merge("exp", "main", request(), **how)
    expected = {"k": b"exp", "n": b"meanwhile"} if how else {"e": b"exp", "k": b"main", "n": b"meanwhile"}
    assert contents(repo.at("main")) == expected


def test_uncommitted_changes_that_come_up_meanwhile_are_named(repo, monkeypatch):
    fork(repo, base={"k": b"1"}, exp={"e": b"exp"}, main={"m": b"main"})
    between(monkeypatch, merging, "both_diffs", lambda: repo.at("main").put("mine.txt", b"mine"))
    with pytest.raises(UncommittedChanges) as caught:
        repo.merge("exp", "main", request())
    assert list(caught.value.keys) == ["mine.txt"]
    assert staged(repo) == {"mine.txt": "added"}


def test_a_revert_that_meets_uncommitted_changes_meanwhile_names_them(repo, monkeypatch):
    bad = save(repo, "main", {"k": b"1"})
    between(monkeypatch, replaying, "both_diffs", lambda: repo.at("main").put("mine.txt", b"mine"))
    with pytest.raises(UncommittedChanges) as caught:
        repo.revert("main", bad.id, request())
    assert list(caught.value.keys) == ["mine.txt"]


def test_a_branch_that_never_stands_still_ends_the_attempts(repo, monkeypatch):
    fork(repo, base={"k": b"1"}, exp={"e": b"exp"}, main={"m": b"main"})

    def refused(*args, **kwargs):
        raise merging.MergeRefused("both sides changed the same keys")

    monkeypatch.setattr(merging, "_land", refused)
    with pytest.raises(HeadMoved, match="main"):
        repo.merge("exp", "main", request())


# hooks

ACTION = b"""name: schema check
on:
  pre-%s:
    branches: ["main"]
hooks:
  - id: columns
    type: lua
    properties:
      script: |
        print("read train.parquet")
        error("column price is missing")
"""


def test_a_hook_that_refuses_a_commit_is_shown_with_its_output(repo):
    repo.at("main").put("_lakefs_actions/check.yaml", ACTION % b"commit")
    with pytest.raises(Conflict, match="pre-commit hook") as caught:
        repo.commit("main", request())
    for text in ("schema check", "columns", "read train.parquet", "column price is missing", "run "):
        assert text in str(caught.value)
    assert staged(repo) == {"_lakefs_actions/check.yaml": "added"}


def test_a_hook_that_refuses_a_merge_leaves_the_branch_as_it_was(repo):
    repo.create_branch("exp", "main")
    save(repo, "exp", {"_lakefs_actions/check.yaml": ACTION % b"merge"})
    head = repo.commit_of("main")
    with pytest.raises(Conflict, match="column price is missing"):
        repo.merge("exp", "main", request())
    assert repo.commit_of("main") == head
