"""push, pull, fetch and clone, as a notebook uses them."""

import subprocess
import sys

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import datastore as ds
from tests.api.helpers import keys, read, write


@pytest.fixture
def team(place):
    """A mount of another embedded store, with the repo `team/garments` in it."""
    ds.mount("team", "embedded", path=str(place / "team"))
    return ds.create_repo("team/garments")


@pytest.fixture
def shared(repo, main, team):
    """What `repo` has, pushed."""
    repo.push("ds://team/garments")
    return team


def messages(repo, ref=None):
    return [commit.message for commit in repo.log(ref, first_parent=True)][:-1]


def test_a_push_brings_commits_and_objects(repo, main, team):
    write(main, {"a.csv": "id\n7\n", "b.csv": None})
    second = main.commit("Second", metadata={"lr": "3e-4"})
    done = repo.push("ds://team/garments")
    assert (done.source, done.dest) == ("ds://garments@main", "ds://team/garments@main")
    assert (len(done.commits), done.objects, done.tags) == (2, 4, ())
    assert repr(done).startswith("2 commits from ds://garments@main to ds://team/garments@main (4 objects, ")
    assert messages(team) == ["Second", "First rows"]
    there = team.branch().head
    assert (there.id, there.author, there.time, there.metadata["lr"]) == (
        done.commits[-1],
        second.author,
        second.time,
        "3e-4",
    )
    assert keys(team.branch()) == ["a.csv", "img/1.png"]
    assert list(pd.read_csv(team.branch() / "a.csv")["id"]) == [7]
    assert len(ds.diff("ds://garments@main~1", "ds://team/garments@main~1")) == 0


def test_twice_does_nothing_and_says_so(repo, shared):
    again = repo.push("ds://team/garments")
    assert (again.commits, again.objects, again.bytes) == ((), 0, 0)
    assert repr(again) == "ds://team/garments@main has all of ds://garments@main already"
    assert repo.pull().commits == ()


def test_the_first_remote_is_remembered(repo, main, shared):
    assert repo.remote == "ds://team/garments"
    assert (repo.remote / "a.csv").at("main") == "ds://team/garments@main/a.csv"
    write(main, {"c.csv": "1"})
    main.commit("Third")
    assert len(repo.push().commits) == 1
    ds.create_repo("backup")
    repo.push("ds://backup")
    assert repo.remote == "ds://team/garments"
    repo.set_remote("ds://backup@main")
    assert repo.remote == "ds://backup"
    repo.set_remote(None)
    assert repo.remote is None
    for verb in (repo.push, repo.pull, repo.fetch):
        with pytest.raises(ds.ValidationError, match="no remote") as caught:
            verb()
        assert "set_remote" in caught.value.hint


def test_the_remote_is_remembered_by_the_store(repo, shared):
    code = "import datastore as ds; print(ds.repo('garments').remote)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "ds://team/garments"
    renamed = repo.rename("clothes")
    assert renamed.remote == "ds://team/garments"
    ds.delete_repo("clothes")
    assert ds.create_repo("garments").remote is None


def test_a_pull_brings_what_is_new(repo, main, shared):
    theirs = shared.branch()
    write(theirs, {"d.csv": "id\n1\n", "img/1.png": None})
    theirs.commit("Theirs")
    done = repo.pull()
    assert (done.source, done.dest, len(done.commits)) == ("ds://team/garments@main", "ds://garments@main", 1)
    assert keys(main) == ["a.csv", "b.csv", "d.csv"]
    assert messages(repo) == ["Theirs", "First rows"]
    assert repo.push().commits == ()


def test_who_parted_fetches_merges_and_pushes(repo, main, shared):
    theirs = shared.branch()
    write(theirs, {"theirs.csv": "1", "a.csv": "id\n9\n"})
    theirs.commit("Theirs")
    write(main, {"mine.csv": "1"})
    mine = main.commit("Mine")
    for verb in (repo.push, repo.pull):
        with pytest.raises(ds.Diverged, match="went different ways after commit") as caught:
            verb()
        assert "fetch" in caught.value.hint
    fetched = repo.fetch()
    assert fetched.name == "origin--main"
    assert [branch.name for branch in repo.branches()] == ["main"]
    assert main.head == mine
    assert repo.merge_base(fetched, "main").message == "First rows"
    assert sorted(change.key for change in repo.diff("main", fetched, merge_base=True)) == ["a.csv", "theirs.csv"]
    repo.merge(fetched)
    assert len(repo.push().commits) == 1
    assert len(ds.diff("ds://garments", "ds://team/garments")) == 0
    assert read(theirs, "a.csv") == "id\n9\n"
    # And on from there: nothing is a conflict that was settled once.
    write(main, {"a.csv": "id\n10\n"})
    main.commit("Mine again")
    write(theirs, {"later.csv": "1"})
    theirs.commit("Theirs again")
    repo.merge(repo.fetch())
    repo.push()
    assert len(ds.diff("ds://garments", "ds://team/garments")) == 0
    assert read(theirs, "a.csv") == "id\n10\n"


def test_a_fetch_moves_with_the_other_side(repo, main, shared):
    theirs = shared.branch()
    assert repo.fetch().head == main.head
    write(theirs, {"x": "1"})
    theirs.commit("One")
    assert messages(repo, repo.fetch()) == ["One", "First rows"]
    assert messages(repo, repo.fetch()) == ["One", "First rows"]
    write(theirs, {"x": "2"})
    theirs.commit("Two")
    assert messages(repo, repo.fetch()) == ["Two", "One", "First rows"]
    # They made another history of it: the hidden branch follows, where yours would refuse.
    first = shared.commit_of("main~2")
    shared.create_branch("other", first)
    shared.push("ds://garments", branch="other")
    write(shared.branch("other"), {"y": "1"})
    shared.branch("other").commit("Another")
    assert messages(repo, repo.fetch("ds://team/garments@other", branch="main")) == ["Another", "First rows"]
    assert messages(repo, "origin--main") == ["Two", "One", "First rows"]


def test_branches_go_by_name(repo, main, shared):
    exp = repo.create_branch("exp")
    write(exp, {"exp.csv": "1"})
    exp.commit("Experiment")
    done = repo.push(branch=exp)
    assert done.dest == "ds://team/garments@exp"
    assert messages(shared, "exp") == ["Experiment", "First rows"]
    assert shared.merge_base("exp", "main").message == "First rows"
    assert messages(shared) == ["First rows"]
    assert repo.push("ds://team/garments@main", branch="exp").dest == "ds://team/garments@main"
    assert messages(shared) == ["Experiment", "First rows"]
    with pytest.raises(ds.NotFound, match="mian") as caught:
        repo.push("ds://team/garments@mian", branch="main")
    assert "main" in caught.value.hint
    with pytest.raises(ds.NotFound, match="epx"):
        repo.push(branch="epx")
    with pytest.raises(ds.NotFound, match="epx"):
        repo.pull(branch="epx")
    assert [branch.name for branch in shared.branches(hidden=True)] == ["exp", "main"]


def test_a_branch_that_is_new_here_is_pulled_from_where_it_began(repo, main, shared):
    theirs = shared.create_branch("theirs")
    write(theirs, {"x": "1"})
    theirs.commit("New there")
    repo.pull(branch="theirs")
    assert repo.commit_of("theirs~1") == main.head
    assert len(ds.diff("ds://garments@theirs", "ds://team/garments@theirs")) == 0


def test_tags_go_along_where_asked(repo, main, team):
    repo.create_tag("v1", main)
    repo.create_branch("exp")
    write(repo.branch("exp"), {"x": "1"})
    repo.branch("exp").commit("Not pushed")
    repo.create_tag("exp-1", "exp")
    repo.push("ds://team/garments")
    assert list(team.tags()) == []
    assert repo.push(tags=True).tags == ("v1",)
    assert [(tag.name, tag.commit) for tag in team.tags()] == [("v1", team.branch().head.id)]
    assert repo.push(tags=True).tags == ()
    team.create_tag("v2", "main")
    assert repo.pull(tags=True).tags == ("v2",)
    assert repo.commit_of("v2") == main.head


def test_a_tag_that_names_something_else_there_is_named_and_none_is_made(repo, main, shared):
    write(main, {"c.csv": "1"})
    main.commit("Second")
    repo.create_tag("v0", "main~1")
    repo.create_tag("v1", "main")
    shared.create_tag("v1", "main")
    with pytest.raises(ds.AlreadyExists, match="'v1'"):
        repo.push(tags=True)
    assert [tag.name for tag in shared.tags()] == ["v1"]


def test_clone(repo, main, team):
    write(main, {"a.csv": "id\n7\n"})
    main.commit("Second")
    repo.create_tag("v1", "main~1")
    repo.push("ds://team/garments", tags=True)
    mine = ds.clone("ds://team/garments", "mine", tags=True)
    assert (mine.name, mine.remote) == ("mine", "ds://team/garments")
    assert messages(mine) == ["Second", "First rows"]
    assert [commit.time for commit in mine.log()][:-1] == [commit.time for commit in repo.log()][:-1]
    assert list(pd.read_csv(mine.branch() / "a.csv")["id"]) == [7]
    assert mine.commit_of("v1").message == "First rows"
    assert ds.clone("ds://team/garments", "mine") == mine
    write(mine.branch(), {"x": "1"})
    mine.branch().commit("From the clone")
    mine.push()
    assert repo.pull().commits != ()
    assert messages(repo) == ["From the clone", "Second", "First rows"]
    assert mine.push("ds://garments").commits == ()


def test_a_clone_of_a_branch_has_it_as_its_default(repo, main):
    write(repo.create_branch("exp"), {"x": "1"})
    repo.branch("exp").commit("Experiment")
    mine = ds.clone("ds://garments@exp", "mine")
    assert mine.branch().name == "exp"
    assert messages(mine) == ["Experiment", "First rows"]
    assert mine.push().commits == ()


def test_a_clone_makes_nothing_where_it_cannot_be_one(repo, main):
    ds.create_repo("taken")
    ds.mount("scratch", "memory")
    for url, name, error in (
        ("ds://garmnets", "mine", ds.NotFound),
        ("ds://garments@exp", "mine", ds.NotFound),
        ("ds://garments@main/a.csv", "mine", ds.InvalidURL),
        ("ds://scratch", "mine", ds.UnsupportedOperation),
        ("ds://garments", "No Name", ds.ValidationError),
        ("ds://garments", "taken", ds.AlreadyExists),
        ("ds://garments", "scratch", ds.AlreadyExists),
    ):
        with pytest.raises(error):
            ds.clone(url, name)
    assert [repo.name for repo in ds.repos()] == ["garments", "taken"]


def test_a_repo_is_not_pushed_into_itself(repo, main):
    with pytest.raises(ds.ValidationError, match="this very repo"):
        repo.push("ds://garments@exp")
    assert repo.remote is None


def test_what_was_pulled_reads_as_of_its_time(repo, main, team):
    repo.push("ds://team/garments")
    mine = ds.clone("ds://team/garments", "mine")
    write(main, {"a.csv": "id\n7\n"})
    main.commit("Second")
    repo.push()
    mine.pull()
    first = repo.commit_of("main~1")
    assert mine.at(first.time) == mine.at("main~1")
    assert mine.at(main.head.time) == mine.at("main")


OPERATIONS = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["commit", "commit", "sync"]), st.integers(0, 2)),
    min_size=3,
    max_size=9,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_whoever_exchanges_what_they_have_ends_with_the_same(place, operations):
    number = len(ds.repos())
    repos = [ds.create_repo(f"side-{number}-{i}") for i in range(3)]
    written = {}

    def exchange(a, b):
        """What people do: pull or, if both have something, fetch and merge; then push."""
        url = f"ds://{b.name}"
        try:
            a.pull(url)
        except ds.Diverged:
            a.merge(a.fetch(url), strategy="dest-wins")
        a.push(url)
        assert a.push(url).commits == a.pull(url).commits == ()
        assert len(ds.diff(a.url(), b.url())) == 0

    for step, (i, verb, j) in enumerate(operations):
        if verb == "commit":
            written[f"{step}.csv"] = str(step)
            write(repos[i].branch(), {f"{step}.csv": str(step), "shared.csv": f"{i} {step}"})
            repos[i].branch().commit(f"Step {step}")
        elif i != j:
            exchange(repos[i], repos[j])
    for other in (repos[1], repos[2], repos[1]):
        exchange(repos[0], other)
    for repo in repos:
        there = {info.key for page in repo.branch().objects.list() for info in page.objects}
        assert there - {"shared.csv"} == set(written)
