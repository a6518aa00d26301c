"""How many requests the verbs of a repo take."""

import pytest

from datastore.http.observe import observed
from datastore.providers.lakefs import commits, placing
from datastore.providers.lakefs.endpoints import Remote
from datastore.testing.versioning_tools import contents, kinds, request, save, staged
from tests.providers.lakefs.versioned import fresh


@pytest.fixture
def repo(lakefs):
    repo = fresh(lakefs)
    save(repo, "main", {"a": b"1", "b/1": b"1", "b/2": b"2"})
    repo.create_branch("exp", "main")
    save(repo, "exp", {"e": b"e", "a": b"2"})
    repo.create_tag("v1", "main")
    return repo


def cost(work):
    """Return how many requests some work takes; what is remembered of commits is forgotten first."""
    commits._known.clear()
    with observed() as seen:
        work()
    return len(seen)


def test_reading_refs_and_history(repo):
    head = repo.commit_of("main")
    assert cost(lambda: repo.commit_of("main~1")) == 1
    assert cost(repo.branches) == 2
    assert cost(lambda: repo.branches(hidden=True)) == 3
    assert cost(repo.tags) == 1
    assert cost(lambda: repo.is_branch("main")) == 1
    assert cost(lambda: repo.is_branch(head.id)) == 0
    assert cost(lambda: list(repo.log("main"))) == 1
    assert cost(lambda: repo.merge_base("main", "exp")) == 2


def test_a_commit_that_was_seen_is_not_asked_for_again(repo):
    head = repo.commit_of("main")
    assert cost(lambda: [repo.commit_of(head.id) for _ in range(5)]) == 1
    list(repo.log("main"))
    with observed() as seen:
        assert repo.commit_of(head.parents[0]).message == "Repository created"
    assert len(seen) == 0


def test_differences(repo):
    ids = [repo.commit_of(ref).id for ref in ("main", "exp")]
    repo.at("main").put("a", b"3")
    repo.at("main").put("new", b"n")
    assert cost(lambda: list(repo.diff(*ids))) == 4  # two of them to see that the commits are there
    assert cost(lambda: list(repo.diff(ids[0], ids[0]))) == 1
    assert cost(lambda: repo.has_uncommitted("main")) == 1
    assert cost(lambda: list(repo.uncommitted("exp"))) == 2
    assert cost(lambda: list(repo.uncommitted("main"))) == 3


def test_new_refs(repo):
    assert cost(lambda: repo.create_branch("new", "main")) == 1
    assert cost(lambda: repo.create_tag("v2", "main")) == 1
    repo.create_branch("tx", "main", hidden=True)
    repo.default_branch  # noqa: B018 - asked for once per process
    assert cost(lambda: repo.delete_branch("tx")) == 4
    assert cost(lambda: repo.delete_branch("new")) == 6  # with all that brings it back


def test_new_commits(repo):
    repo.at("main").put("c", b"c")
    assert cost(lambda: repo.commit("main", request())) == 2
    assert cost(lambda: repo.merge("exp", "main", request())) == 7  # both sides had changed something
    repo.create_branch("still", "exp")
    assert cost(lambda: repo.merge("main", "still", request())) == 5
    picked = save(repo, "exp", {"f": b"f"})
    assert cost(lambda: repo.revert("main", "main", request(), parent=1)) == 7
    assert cost(lambda: repo.cherry_pick("main", picked.id, request())) == 7


def test_reset_and_restore(repo):
    repo.at("main").put("a", b"3")
    assert cost(lambda: repo.restore("main", "a", "main@")) == 4
    assert cost(lambda: repo.reset("main")) == 2


def test_a_restore_costs_what_differs_and_moves_no_bytes(lakefs):
    repo = fresh(lakefs)
    save(repo, "main", {f"k/{number:03}": b"x" * number for number in range(300)})
    before = {info.key: info.identity for page in repo.at("main@").list() for info in page.objects}
    save(repo, "main", {f"k/{number:03}": None for number in range(10, 110)})
    with observed() as seen:
        assert repo.restore("main", "k/", "main~1") == 100
    assert len(seen) == 1 + 1 + 32 + 1 + 100  # ref, difference, some stats, one listing, one stage for each
    after = {info.key: info.identity for page in repo.at("main").list() for info in page.objects}
    assert after == before
    assert staged(repo) == {f"k/{number:03}": "added" for number in range(10, 110)}


def test_entries_are_found_one_by_one_where_they_lie_far_apart(lakefs, monkeypatch):
    repo = fresh(lakefs)
    keys = [f"{number:04}" for number in range(600)]
    save(repo, "main", dict.fromkeys(keys, b"x"))
    monkeypatch.setattr(placing, "PAGE", 100)
    remote = Remote(repo.client, repo.name)
    wanted = [*keys[::9], "nowhere"]
    found = placing.stats_of(remote, "main", wanted)
    assert sorted(found) == keys[::9]
    assert {stats.path for stats in found.values()} == set(keys[::9])


def test_more_than_a_page_of_everything(lakefs, monkeypatch):
    repo = fresh(lakefs)
    keys = [f"{number:04}" for number in range(40)]
    made = [save(repo, "main", {key: b"1"}) for key in keys]
    for method in ("diff_call", "uncommitted_call", "branches_call", "tags_call", "objects_call"):
        _small_pages(monkeypatch, method, 7)
    for number in range(9):
        repo.create_branch(f"b-{number}", "main", hidden=number % 2 == 0)
        repo.create_tag(f"t-{number}", "main")
    assert [tag.name for tag in repo.tags()] == [f"t-{number}" for number in range(9)]
    shown = [branch.name for branch in repo.branches()]
    assert shown == ["b-1", "b-3", "b-5", "b-7", "main"]
    assert [branch.name for branch in repo.branches(hidden=True) if branch.hidden] == [
        "b-0",
        "b-2",
        "b-4",
        "b-6",
        "b-8",
    ]
    assert kinds(repo.diff(made[0].id, "main")) == dict.fromkeys(keys[1:], "added")
    repo.create_branch("exp", made[9].id)
    save(repo, "exp", dict.fromkeys(keys[:10]) | {"exp": b"e"})
    save(repo, "main", {"main": b"m"})
    repo.merge("exp", "main", request())
    assert sorted(contents(repo.at("main"))) == sorted([*keys[10:], "exp", "main"])
    for key in keys[10:]:
        repo.at("main").put(key, b"2")
    assert staged(repo) == dict.fromkeys(keys[10:], "changed")
    assert repo.reset("main") == 30


def _small_pages(monkeypatch, method, size):
    real = getattr(Remote, method)

    def wrapped(self, *args, amount=size, **kwargs):
        return real(self, *args, amount=min(amount, size), **kwargs)

    monkeypatch.setattr(Remote, method, wrapped)
