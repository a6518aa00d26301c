"""Transactions: all or nothing, and nothing is ever lost."""

import pandas as pd
import pytest

import datastore as ds
from tests.api.helpers import keys, read, write


def hidden(repo):
    return [branch.name for branch in repo.branches(hidden=True) if branch.name.startswith("tx-")]


def test_several_writes_appear_together_as_one_commit(repo, main):
    before = main.head
    with repo.transaction(message="Together") as tx:
        assert tx.commit is None
        pd.DataFrame({"id": [7]}).to_csv(tx / "new.csv", index=False)
        assert list(pd.read_csv(tx / "new.csv")["id"]) == [7]  # one's own writes
        write(tx.branch, {"a.csv": "2", "b.csv": None})
        assert keys(main) == ["a.csv", "b.csv", "img/1.png"]
    assert tx.commit == main.head
    assert (tx.commit.message, tx.commit.parents) == ("Together", (before.id,))
    found = tx.commit.diff()
    assert (found.added, found.removed, found.changed) == (["new.csv"], ["b.csv"], ["a.csv"])
    assert hidden(repo) == []
    assert len(repo.log()) == 3


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
def test_an_exception_discards_everything(repo, main, error):
    before = main.head
    with pytest.raises(error), repo.transaction(message="Together") as tx:
        write(tx.branch, {"a.csv": "2"})
        tx.branch.commit("In between")
        raise error
    assert tx.commit is None
    assert main.head == before
    assert len(main.uncommitted()) == 0
    assert hidden(repo) == []


def test_commits_in_the_block_become_one(repo, main):
    with repo.transaction(message="Together") as tx:
        write(tx.branch, {"c.csv": "1"})
        tx.branch.commit("In between")
        write(tx.branch, {"d.csv": "1"})
    assert keys(main) == ["a.csv", "b.csv", "c.csv", "d.csv", "img/1.png"]
    assert [commit.message for commit in repo.log(limit=2)] == ["Together", "First rows"]


def test_commits_in_the_block_are_enough(repo, main):
    with repo.transaction(message="Together") as tx:
        write(tx.branch, {"c.csv": "1"})
        tx.branch.commit("All of it")
    assert tx.commit is not None
    assert read(main, "c.csv") == "1"
    assert hidden(repo) == []


def test_no_change_makes_no_commit(repo, main):
    before = main.head
    with repo.transaction(message="Nothing") as tx:
        write(tx.branch, {"b.csv": read(main, "b.csv")})
    assert tx.commit is None
    assert main.head == before
    assert hidden(repo) == []


def test_uncommitted_changes_are_refused_before_any_work(repo, main):
    write(main, {"mine.csv": "1"})
    with pytest.raises(ds.UncommittedChanges, match=r"mine\.csv") as caught, repo.transaction(message="x"):
        pytest.fail("it began")
    assert caught.value.keys == ("mine.csv",)
    assert hidden(repo) == []
    assert main.uncommitted().added == ["mine.csv"]


@pytest.mark.parametrize("message", ["", " \n"])
def test_a_missing_message_is_refused_before_any_work(repo, main, message):
    with pytest.raises(ds.ValidationError, match="message"), repo.transaction(message=message):
        pytest.fail("it began")
    assert hidden(repo) == []


def test_a_typo_in_the_branch_is_refused_before_any_work(repo, main):
    with pytest.raises(ds.NotFound, match="mian") as caught, repo.transaction("mian", message="x"):
        pytest.fail("it began")
    assert "main" in caught.value.hint
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


def test_another_commit_on_the_branch_meanwhile_is_merged(repo, main):
    with repo.transaction(message="Mine") as tx:
        write(tx.branch, {"a.csv": "mine"})
        write(main, {"b.csv": "theirs"})
        theirs = main.commit("Theirs")
    assert tx.commit.parents == (theirs.id,)
    assert (read(main, "a.csv"), read(main, "b.csv")) == ("mine", "theirs")


def test_the_same_change_by_another_one_meanwhile_is_fine(repo, main):
    with repo.transaction(message="Mine") as tx:
        write(tx.branch, {"a.csv": "same"})
        write(main, {"a.csv": "same"})
        theirs = main.commit("Theirs")
    assert tx.commit is None
    assert main.head == theirs
    assert hidden(repo) == []


def test_a_conflict_keeps_the_work_and_names_where_it_is(repo, main):
    with pytest.raises(ds.MergeConflict) as caught, repo.transaction(message="Mine") as tx:
        write(tx.branch, {"a.csv": "mine", "c.csv": "mine"})
        write(main, {"a.csv": "theirs"})
        theirs = main.commit("Theirs")
    [name] = hidden(repo)
    assert any(name in note for note in caught.value.__notes__)
    assert caught.value.paths == ["a.csv"]
    assert main.head == theirs
    assert tx.commit is None
    repo.merge(name, strategy="source-wins")  # the way out that the note names
    assert (read(main, "a.csv"), read(main, "c.csv")) == ("mine", "mine")


def test_uncommitted_changes_that_came_meanwhile_keep_the_work(repo, main):
    with pytest.raises(ds.UncommittedChanges) as caught, repo.transaction(message="Mine") as tx:
        write(tx.branch, {"a.csv": "mine"})
        write(main, {"b.csv": "theirs"})
    [name] = hidden(repo)
    assert any(name in note for note in caught.value.__notes__)
    assert main.uncommitted().changed == ["b.csv"]
    assert read(repo.branch(name), "a.csv") == "mine"


def test_nested_transactions_do_not_clash(repo, main):
    with repo.transaction(message="Outer") as outer:
        write(outer.branch, {"outer.csv": "1"})
        with repo.transaction(main, message="Inner") as inner:
            write(inner.branch, {"inner.csv": "1"})
            assert inner.branch != outer.branch
            assert "outer.csv" not in keys(inner.branch)
        assert "inner.csv" in keys(main)
    assert outer.commit.parents == (inner.commit.id,)
    assert keys(main) == ["a.csv", "b.csv", "img/1.png", "inner.csv", "outer.csv"]
    assert hidden(repo) == []


def test_a_transaction_inside_of_a_transaction(repo, main):
    with repo.transaction(message="Outer") as outer:
        with pytest.raises(ZeroDivisionError), repo.transaction(outer.branch, message="Inner") as inner:
            write(inner.branch, {"bad.csv": "1"})
            raise ZeroDivisionError
        with repo.transaction(outer.branch, message="Inner") as inner:
            write(inner.branch, {"good.csv": "1"})
    assert keys(main) == ["a.csv", "b.csv", "good.csv", "img/1.png"]
    assert hidden(repo) == []


def test_hidden_branches_are_not_listed(repo, main):
    with repo.transaction(message="x") as tx:
        assert [branch.name for branch in repo.branches()] == ["main"]
        assert hidden(repo) == [tx.branch.name]


def test_on_another_branch_and_on_a_protected_one(repo, main):
    exp = repo.create_branch("exp")
    exp.protect()
    with repo.transaction("exp", message="On exp") as tx:
        write(tx.branch, {"c.csv": "1"})
    assert exp.head == tx.commit
    assert "c.csv" not in keys(main)


def test_outside_of_a_with_block_there_is_no_place_to_write_to(repo, main):
    tx = repo.transaction(message="x")
    with pytest.raises(RuntimeError, match="with"):
        _ = tx / "a.csv"
    assert hidden(repo) == []
