"""Experiments: branches that remember parameters and figures, and that nothing takes away."""

import json

import numpy as np
import pandas as pd
import pytest

import datastore as ds
from tests.api.helpers import keys, read, write


def branches(repo):
    return [branch.name for branch in repo.branches(hidden=True)]


def test_an_experiment_from_begin_to_merge(repo, main):
    with repo.experiment("dedupe", params={"threshold": 0.9, "seed": [1, 2]}) as exp:
        frame = pd.read_csv(exp / "a.csv")
        frame[frame["id"] > 1].to_csv(exp / "a.csv", index=False)
        exp.log_metrics(val_f1=0.5, note="first")
        exp.log_metrics(val_f1=0.912)
        commit = exp.commit("Drop rows", metadata={"by": "me"})
    assert commit == exp.branch.head
    assert json.loads(commit.metadata["params"]) == {"threshold": 0.9, "seed": [1, 2]}
    assert json.loads(commit.metadata["metrics"]) == {"val_f1": 0.912, "note": "first"}
    assert (commit.metadata["experiment"], commit.metadata["by"]) == ("dedupe", "me")
    assert read(main, "a.csv").startswith("id,n\n1,one")  # nothing is merged by itself
    assert dict(exp.diff().table("a.csv", key="id").counts) == {"added": 0, "removed": 1, "changed": 0}
    merged = exp.merge()
    assert (merged, read(main, "a.csv")) == (main.head, "id,n\n2,two\n")


def test_figures_of_numpy_are_numbers(repo, main):
    params = {"sizes": (np.int64(3), np.float32(0.5)), "flag": np.bool_(True)}
    with repo.experiment("exp", params=params) as exp:
        write(exp.branch, {"a.csv": "2"})
        exp.log_metrics(f1=np.float64(0.5), n=np.int64(3), loss=np.float32(0.25))
        commit = exp.commit("Figures")
    assert json.loads(commit.metadata["metrics"]) == {"f1": 0.5, "n": 3, "loss": 0.25}
    assert json.loads(commit.metadata["params"]) == {"sizes": [3, 0.5], "flag": True}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), np.float32("-inf")])
def test_a_figure_that_is_no_number_can_be_told_from_one_that_is_missing(repo, main, value):
    """JSON has no word for it, and as null it would be lost; a run that diverged must not fail for it, either."""
    with repo.experiment("exp", params={"limits": [value]}) as exp:
        exp.log_metrics(loss=value)
        commit = exp.commit("Diverged", empty="allow")
    assert json.loads(commit.metadata["metrics"]) == {"loss": str(value)}
    assert json.loads(commit.metadata["params"]) == {"limits": [str(value)]}


@pytest.mark.parametrize("bad", [object(), {1, lambda: 0}, np.arange(3)])
def test_what_is_no_plain_value_is_refused_before_anything_is_made(repo, main, bad):
    with pytest.raises(ds.ValidationError, match="params"):
        repo.experiment("exp", params={"bad": bad})
    with repo.experiment("other") as exp:
        with pytest.raises(ds.ValidationError, match="metrics"):
            exp.log_metrics(fine=1, bad=bad)
        assert exp.metrics == {}
    assert branches(repo) == ["main", "other"]


def test_never_is_the_default(repo, main):
    with repo.experiment("exp") as exp:
        write(exp.branch, {"c.csv": "kept"})
    with pytest.raises(ds.AlreadyExists, match="exp") as caught, repo.experiment("exp"):
        pytest.fail("it began")
    assert "allow" in caught.value.hint
    assert read(exp.branch, "c.csv") == "kept"


@pytest.mark.parametrize("resume", ["allow", "must"])
def test_an_experiment_is_resumed(repo, main, resume):
    with repo.experiment("exp", params={"a": 1}) as exp:
        write(exp.branch, {"c.csv": "1"})
        first = exp.commit("First")
        write(exp.branch, {"d.csv": "uncommitted"})
    with repo.experiment("exp", resume=resume, params={"a": 2}) as again:
        assert again.branch.head == first
        assert read(again.branch, "d.csv") == "uncommitted"
        commit = again.commit("Second")
    assert commit.parents == (first.id,)
    assert json.loads(commit.metadata["params"]) == {"a": 2}


def test_allow_also_begins_one_and_must_does_not(repo, main):
    with repo.experiment("exp-1", resume="allow") as exp:
        assert keys(exp.branch) == keys(main)
    with pytest.raises(ds.NotFound, match="exp-2") as caught, repo.experiment("exp-2", resume="must"):
        pytest.fail("it began")
    assert "exp-1" in caught.value.hint
    assert branches(repo) == ["exp-1", "main"]


def test_a_wrong_value_of_resume_is_named(repo, main):
    with pytest.raises(ds.ValidationError, match="alow") as caught:
        repo.experiment("exp", resume="alow")
    assert "allow" in caught.value.hint
    assert branches(repo) == ["main"]


@pytest.mark.parametrize("name", ["exp/1", "", "a b"])
def test_a_name_that_is_none_for_a_branch_is_refused(repo, main, name):
    with pytest.raises(ds.ValidationError), repo.experiment(name):
        pytest.fail("it began")
    assert branches(repo) == ["main"]


def test_a_base_with_uncommitted_changes_is_refused_and_they_are_named(repo, main):
    write(main, {"mine.csv": "1"})
    with pytest.raises(ds.UncommittedChanges, match=r"mine\.csv") as caught, repo.experiment("exp"):
        pytest.fail("it began")
    assert caught.value.keys == ("mine.csv",)
    assert "main@" in caught.value.hint
    assert branches(repo) == ["main"]
    with repo.experiment("exp", base="main@") as exp:
        assert "mine.csv" not in keys(exp.branch)
        write(exp.branch, {"c.csv": "1"})
        exp.commit("c")
    main.commit("Mine")
    assert exp.diff().added == ["c.csv"]
    assert exp.merge().parents[0] == repo.commit_of("main~1").id  # `main@` is merged into main


@pytest.mark.parametrize("kind", ["branch", "commit", "tag", "expression"])
def test_bases(repo, main, kind):
    first = main.head
    repo.create_tag("v1", first)
    write(main, {"a.csv": "2"})
    main.commit("Second")
    base = {"branch": main, "commit": first, "tag": "v1", "expression": "main~1"}[kind]
    with repo.experiment("exp", base=base) as exp:
        write(exp.branch, {"c.csv": "1"})
        exp.commit("c")
    assert exp.diff().added == ["c.csv"]
    assert len(exp.diff()) == 1
    if kind == "branch":
        exp.merge()
    else:
        with pytest.raises(ds.ValidationError, match="into"):
            exp.merge()
        exp.merge("main")
    assert read(main, "c.csv") == "1"


def test_an_exception_takes_nothing_away(repo, main):
    with pytest.raises(ZeroDivisionError), repo.experiment("exp") as exp:
        write(exp.branch, {"c.csv": "1"})
        exp.commit("c")
        write(exp.branch, {"d.csv": "1"})
        raise ZeroDivisionError
    assert keys(exp.branch) == ["a.csv", "b.csv", "c.csv", "d.csv", "img/1.png"]
    assert exp.branch.uncommitted().added == ["d.csv"]
    assert len(main.uncommitted()) == 0


def test_it_works_without_a_with_block(repo, main):
    exp = repo.experiment("exp")
    assert branches(repo) == ["main"]  # a handle so far
    exp.start()
    assert branches(repo) == ["exp", "main"]
    assert str(exp / "a.csv") == "ds://garments@exp/a.csv"


def test_committing_nothing(repo, main):
    with repo.experiment("exp") as exp:
        with pytest.raises(ds.NothingToCommit):
            exp.commit("Nothing")
        assert exp.commit("Nothing", empty="skip") == main.head
        exp.log_metrics(f1=1)
        assert json.loads(exp.commit("Figures only", empty="allow").metadata["metrics"]) == {"f1": 1}


def test_merging_twice(repo, main):
    with repo.experiment("exp") as exp:
        write(exp.branch, {"c.csv": "1"})
        exp.commit("c")
    merged = exp.merge(message="In", squash=True)
    assert merged.message == "In"
    assert len(merged.parents) == 1
    with pytest.raises(ds.NothingToCommit):
        exp.merge(squash=True)
    assert exp.merge(empty="skip", squash=True) == merged
    assert main.head == merged


def test_a_conflict_is_shown_and_settled(repo, main):
    with repo.experiment("exp") as exp:
        write(exp.branch, {"a.csv": "exp"})
        exp.commit("a")
    write(main, {"a.csv": "main"})
    main.commit("a")
    with pytest.raises(ds.MergeConflict) as caught:
        exp.merge()
    assert caught.value.paths == ["a.csv"]
    assert exp.diff().changed == ["a.csv"]
    exp.merge(choose={"a.csv": "source"})
    assert read(main, "a.csv") == "exp"
