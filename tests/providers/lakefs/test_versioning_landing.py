"""Commits land exactly once, whatever becomes of the replies."""

import pytest

from datastore.errors import HeadMoved, NothingToCommit, Unavailable
from datastore.providers.lakefs import committing
from datastore.providers.lakefs.repo import LakeFSRepo
from datastore.testing.versioning_tools import contents, messages, request, save, staged
from tests.providers.lakefs.versioned import Flaky, fresh


@pytest.fixture
def flaky(lakefs):
    return Flaky(lakefs)


@pytest.fixture
def repo(lakefs, flaky, monkeypatch):
    monkeypatch.setattr(committing, "_LONGEST_WAIT", 0.01)
    return LakeFSRepo(flaky, lakefs.new_repo())


def prepare(repo):
    """Make a branch to merge from, and a commit to revert or pick."""
    save(repo, "main", {"a": b"1"})
    repo.create_branch("exp", "main")
    save(repo, "exp", {"b": b"1"})
    save(repo, "main", {"a": b"2"})


VERBS = {
    "commit on": lambda repo, asked: repo.commit("main", asked),
    "merge": lambda repo, asked: repo.merge("exp", "main", asked),
    "revert": lambda repo, asked: repo.revert("main", "main", asked),
    "cherry-pick": lambda repo, asked: repo.cherry_pick("main", "exp", asked),
}


@pytest.mark.parametrize("what", VERBS)
@pytest.mark.parametrize("lost", ["answer", "request", "both"])
def test_s13_a_lost_reply_makes_one_commit(repo, flaky, what, lost):
    prepare(repo)
    if what == "commit on":
        repo.at("main").put("new", b"n")
    flaky.drop += [what] if lost in {"request", "both"} else []
    flaky.lose += [what] if lost in {"answer", "both"} else []
    made = VERBS[what](repo, request("Once"))
    assert (flaky.drop, flaky.lose) == ([], [])
    assert made == repo.commit_of("main")
    assert messages(repo, first_parent=True) == ["Once", "Write a", "Write a"]


@pytest.mark.parametrize("what", VERBS)
def test_the_same_attempt_again_gives_the_same_commit(repo, what):
    prepare(repo)
    if what == "commit on":
        repo.at("main").put("new", b"n")
    asked = request("Once")
    made = VERBS[what](repo, asked)
    repo.at("main").put("later", b"uncommitted")
    assert VERBS[what](repo, asked) == made
    assert staged(repo) == {"later": "added"}


def test_a_server_that_is_gone_for_good_is_told_and_the_reader_knows_what_to_look_at(repo, flaky):
    repo.at("main").put("a", b"1")
    flaky.drop += ["commit on"] * 9
    with pytest.raises(Unavailable):
        repo.commit("main", request())
    flaky.drop[:] = ["commit on"]
    flaky.lose[:] = []
    real = flaky.run

    def run(call):
        if "read the log" in call.request.what and not flaky.drop:
            raise Unavailable("nobody answers")
        return real(call)

    flaky.run = run
    with pytest.raises(Unavailable) as caught:
        repo.commit("main", request())
    assert any("not known whether the commit landed" in note for note in caught.value.__notes__)


def test_contention_is_tried_again_for_long_and_then_told(repo, flaky):
    repo.at("main").put("a", b"1")
    flaky.fail = Unavailable("commit on x@main: lakeFS answered 500: predicate failed")
    flaky.drop += ["commit on"] * 5
    repo.commit("main", request("After all"))
    repo.at("main").put("a", b"2")
    flaky.drop += ["commit on"] * 99
    with pytest.raises(HeadMoved, match="main"):
        repo.commit("main", request("Never"))
    assert messages(repo) == ["After all"]


def test_an_error_of_the_server_is_not_tried_again_for_ever(repo, flaky):
    repo.at("main").put("_lakefs_actions/broken.yaml", b"name: [\n")
    with pytest.raises(Unavailable, match="parsing file"):
        repo.commit("main", request())
    assert staged(repo) == {"_lakefs_actions/broken.yaml": "added"}


def test_whoever_took_the_changes_is_named(lakefs):
    mine = fresh(lakefs)
    other = LakeFSRepo(mine.client, mine.name)
    mine.at("main").put("a.csv", b"1")
    taken = other.commit("main", request("Everything that is there", author="Grace"))
    mine.at("main").put("a.csv", b"1")
    assert staged(mine) == {}
    with pytest.raises(NothingToCommit, match=f"commit {taken.id[:8]} by Grace took your changes"):
        mine.commit("main", request())
    with pytest.raises(NothingToCommit, match="has no uncommitted changes"):
        mine.commit("main", request())


def test_author_time_and_metadata_come_back_as_they_went(lakefs):
    repo = fresh(lakefs)
    repo.at("main").put("a", b"1")
    asked = request("From elsewhere", author="Ada <ada@example.com>", metadata={"run": "12"}, time_us=1_500_000_123_456)
    made = repo.commit("main", asked)
    assert (made.author, made.metadata, made.time_us) == ("Ada <ada@example.com>", {"run": "12"}, 1_500_000_123_456)
    raw = lakefs.request("GET", f"/repositories/{repo.name}/commits/{made.id}")
    assert raw["metadata"]["datastore_author"] == "Ada <ada@example.com>"
    assert raw["creation_date"] == 1_500_000


def test_a_commit_of_another_tool_has_its_committer_as_author(lakefs):
    repo = fresh(lakefs)
    repo.at("main").put("a", b"1")
    body = {"message": "By lakectl", "metadata": {"tool": "lakectl"}}
    lakefs.request("POST", f"/repositories/{repo.name}/branches/main/commits", body=body)
    found = repo.commit_of("main")
    assert (found.author, found.message, found.metadata) == ("admin", "By lakectl", {"tool": "lakectl"})
    assert contents(repo.at("main@")) == {"a": b"1"}


@pytest.mark.parametrize("name", ["datastore_op_id", "datastore_author", ".lakefs.merge.strategy"])
def test_names_of_the_stores_own_metadata_are_refused(repo, name):
    repo.at("main").put("a", b"1")
    with pytest.raises(ValueError, match=name):
        repo.commit("main", request(metadata={name: "x"}))
    assert staged(repo) == {"a": "added"}
