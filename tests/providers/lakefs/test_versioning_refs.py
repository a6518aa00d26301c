"""Branches, tags, protection and history where lakeFS has ways of its own."""

import pytest

from datastore.errors import AlreadyExists, Forbidden, HeadMoved, NotFound, ValidationError
from datastore.providers.lakefs import history, protection
from datastore.testing.versioning_tools import contents, messages, request, save, staged, write
from tests.providers.lakefs.versioned import fresh


@pytest.fixture
def repo(lakefs):
    return fresh(lakefs)


# deleted branches


def raw_branches(lakefs, repo):
    found = lakefs.request("GET", f"/repositories/{repo.name}/branches?show_hidden=true")
    return [row["id"] for row in found["results"]]


def test_a_deleted_branch_is_kept_aside_once(lakefs, repo):
    for content in (b"first", b"second"):
        repo.create_branch("exp", "main")
        save(repo, "exp", {"a": content})
        repo.delete_branch("exp")
    assert raw_branches(lakefs, repo) == ["_deleted_exp", "main"]
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]
    repo.undelete_branch("exp")
    assert contents(repo.at("exp")) == {"a": b"second"}
    assert raw_branches(lakefs, repo) == ["exp", "main"]
    with pytest.raises(NotFound, match="no deleted branch 'exp'"):
        repo.undelete_branch("exp")
    repo.delete_branch("exp")
    with pytest.raises(NotFound) as caught:
        repo.undelete_branch("epx")
    assert "'exp'" in str(caught.value.hint)


def test_what_was_uncommitted_comes_back_without_moving_bytes(repo):
    save(repo, "main", {"kept": b"k", "changed": b"old", "removed": b"r"})
    repo.create_branch("exp", "main")
    write(repo.at("exp"), {"changed": b"new", "removed": None, "added/x": b"x" * 100})
    before = {key: repo.at("exp").head(key).identity for key in ("changed", "added/x")}
    repo.delete_branch("exp")
    repo.undelete_branch("exp")
    assert staged(repo, "exp") == {"added/x": "added", "changed": "changed", "removed": "removed"}
    assert {key: repo.at("exp").head(key).identity for key in before} == before


def test_a_hidden_branch_leaves_nothing_behind(lakefs, repo):
    repo.create_branch("tx-1", "main", hidden=True)
    repo.at("tx-1").put("a", b"a")
    repo.delete_branch("tx-1")
    assert raw_branches(lakefs, repo) == ["main"]


# protection


def test_a_pattern_that_protects_others_too_is_not_taken_away(lakefs, repo):
    for name in ("release-1", "release-2", "exp"):
        repo.create_branch(name, "main")
    lakefs.request("PUT", f"/repositories/{repo.name}/settings/branch_protection", body=[{"pattern": "release-*"}])
    assert [branch.name for branch in repo.branches() if branch.protected] == ["release-1", "release-2"]
    with pytest.raises(Forbidden, match=r"release-\*"):
        repo.protect("release-1", on=False)
    with pytest.raises(Forbidden, match="protected"):
        repo.delete_branch("release-2")
    repo.delete_branch("exp")
    assert [branch.name for branch in repo.branches()] == ["main", "release-1", "release-2"]


def test_a_protected_branch_takes_no_cherry_picks(repo):
    """The server itself would let it."""
    repo.create_branch("exp", "main")
    picked = save(repo, "exp", {"a": b"a"})
    repo.protect("main")
    with pytest.raises(Forbidden, match="protected"):
        repo.cherry_pick("main", picked.id, request())
    assert contents(repo.at("main")) == {}


def test_rules_that_somebody_else_makes_meanwhile_are_kept(lakefs, repo, monkeypatch):
    path = f"/repositories/{repo.name}/settings/branch_protection"
    repo.create_branch("exp", "main")
    lakefs.request("PUT", path, body=[{"pattern": "first"}])
    monkeypatch.setattr(protection, "_wait", lambda *_, **__: None)
    real = protection._save_call

    def meanwhile(*args):
        monkeypatch.setattr(protection, "_save_call", real)
        lakefs.request("PUT", path, body=[{"pattern": "first"}, {"pattern": "theirs"}])
        return real(*args)

    monkeypatch.setattr(protection, "_save_call", meanwhile)
    repo.protect("exp")
    rules = {rule["pattern"] for rule in lakefs.request("GET", path)}
    assert rules == {"first", "theirs", "exp"}


def test_protection_of_what_is_not_there(repo):
    with pytest.raises(NotFound, match="mian") as caught:
        repo.protect("mian")
    assert "'main'" in str(caught.value.hint)


@pytest.mark.parametrize(
    ("pattern", "branch", "matches"),
    [
        ("main", "main", True),
        ("main", "main2", False),
        ("release-*", "release-", True),
        ("v?", "v1", True),
        ("v?", "v10", False),
        ("{main,dev-[0-9]}", "dev-3", True),
        ("{main,dev-[!0-9]}", "dev-3", False),
        ("*", "anything", True),
    ],
)
def test_patterns_are_globs(pattern, branch, matches):
    assert (protection.protecting([pattern], branch) is not None) is matches


# names


def test_a_short_beginning_of_an_id_is_no_name(repo):
    """The server would take a single digit."""
    made = save(repo, "main", {"a": b"a"})
    for text in (made.id[:7], made.id[:3], made.id[:5] + "~1"):
        with pytest.raises(NotFound):
            repo.commit_of(text)
        with pytest.raises(NotFound):
            repo.create_branch("exp", text)
        with pytest.raises(NotFound):
            list(repo.log(text))
    repo.create_branch("abc", "main")
    repo.create_tag("ab", "main")
    assert repo.commit_of("abc") == repo.commit_of("ab") == made
    assert repo.commit_of("abc~1") == repo.commit_of("main~1")


def test_a_repo_that_is_not_there_is_named_with_the_nearest(lakefs):
    name = lakefs.new_repo()
    missing = fresh(lakefs)
    missing = type(missing)(missing.client, name[:-1])
    for verb in (
        lambda: missing.commit_of("main"),
        missing.branches,
        lambda: list(missing.log("main")),
        lambda: missing.commit("main", request()),
        lambda: missing.merge("exp", "main", request()),
        lambda: missing.revert("main", "main", request()),
        lambda: missing.create_branch("exp", "main"),
        lambda: missing.create_tag("v1", "main"),
        lambda: missing.delete_tag("v1"),
        lambda: missing.delete_branch("exp"),
        lambda: missing.reset("main"),
        lambda: missing.has_uncommitted("main"),
        lambda: missing.default_branch,
    ):
        with pytest.raises(NotFound, match=f"repo '{name[:-1]}'"):
            verb()
    with pytest.raises(NotFound) as caught:
        missing.commit_of("main")
    assert repr(name) in str(caught.value.hint)


def test_a_tag_is_no_branch(repo):
    save(repo, "main", {"a": b"a"})
    repo.create_tag("v1", "main")
    for verb in (
        lambda: repo.commit("v1", request()),
        lambda: repo.merge("main~1", "v1", request()),
        lambda: repo.reset("v1"),
        lambda: repo.protect("v1"),
        lambda: repo.revert("v1", "main", request()),
    ):
        with pytest.raises(NotFound, match="no branch 'v1'"):
            verb()
    with pytest.raises(AlreadyExists, match="tag 'v1'"):
        repo.create_branch("v1", "main")


@pytest.mark.parametrize("text", ["main$", "main@~1", "a/b"])
def test_expressions_that_only_lakefs_reads_are_refused(repo, text):
    for verb in (repo.commit_of, lambda ref: repo.create_tag("v1", ref), lambda ref: list(repo.log(ref))):
        with pytest.raises(ValidationError):
            verb(text)


# history


def test_the_log_of_a_key_over_many_pages(repo, monkeypatch):
    monkeypatch.setattr(history, "PAGE", 5)
    monkeypatch.setattr(history, "_FEWEST", 2)
    repo.create_branch("exp", "main")
    for number in range(12):
        save(repo, "main", {"a/1" if number % 3 else "b": b"%d" % number}, message=f"main {number}")
        save(repo, "exp", {"a/2": b"%d" % number}, message=f"exp {number}")
        if number % 4 == 3:
            repo.merge("exp", "main", request(f"merge {number}"))
    assert len(messages(repo)) == 27
    assert len({info.id for info in repo.log("main")}) == 28
    expected = {f"main {n}" for n in range(12) if n % 3} | {f"exp {n}" for n in range(12)}
    merges = {f"merge {n}" for n in (3, 7, 11)}  # each brought together a/1 and a/2
    assert set(messages(repo, key="a/")) == expected | merges
    assert set(messages(repo, key="a/1")) == {f"main {n}" for n in range(12) if n % 3}
    assert messages(repo, key="b") == ["main 9", "main 6", "main 3", "main 0"]
    assert messages(repo, key="b", limit=2) == ["main 9", "main 6"]
    assert set(messages(repo, key="a/2", first_parent=True)) == merges


def test_the_newest_change_of_a_key_takes_few_requests(repo):
    for number in range(6):
        save(repo, "main", {"a": b"%d" % number})
    assert messages(repo, key="a", limit=1) == ["Write a"]


def test_the_order_does_not_depend_on_clocks(repo):
    """A commit from elsewhere keeps its time, which may be older than its parent's."""
    save(repo, "main", {"a": b"1"}, message="First")
    save(repo, "main", {"a": b"2"}, message="Older than its parent", time_us=1_000_000)
    repo.create_branch("exp", "main")
    save(repo, "exp", {"b": b"1"}, message="Side", time_us=5_000_000)
    save(repo, "main", {"c": b"1"}, message="Main")
    repo.merge("exp", "main", request("Merge"))
    found = list(repo.log("main"))
    place = {info.id: at for at, info in enumerate(found)}
    assert all(place[info.id] < place[parent] for info in found for parent in info.parents)
    assert [info.message for info in found][:1] == ["Merge"]
    assert [info.message for info in found][-3:-1] == ["Older than its parent", "First"]


# a pinned head


def test_a_write_that_lands_although_the_head_moved_is_told(repo):
    head = save(repo, "main", {"a": b"1"})
    pinned = repo.at("main", head=head.id)
    save(repo, "main", {"b": b"1"})
    with pytest.raises(HeadMoved, match=head.id[:8]):
        pinned.put("c", b"c")
    assert staged(repo) == {}
