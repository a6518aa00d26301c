"""The exam's part on history: log and diff."""

import pytest

from datastore.errors import NotFound
from datastore.provider import SupportsVersioning
from datastore.testing.versioning_tools import JSON, NOTED, commit, kinds, messages, request, save, write

__all__ = ["HistoryExam"]


class HistoryExam:
    """Log (whole, by key, first parent) and two-dot diffs."""

    # log

    def test_log_is_newest_first(self, versioned: SupportsVersioning) -> None:
        made = [save(versioned, "main", {"a": b"%d" % number}, message=f"Number {number}") for number in range(5)]
        found = list(versioned.log("main"))
        assert found[:5] == made[::-1]
        assert [info.parents for info in found] == [(before.id,) for before in found[1:]] + [()]
        assert messages(versioned, "main~2") == ["Number 2", "Number 1", "Number 0"]

    def test_log_stops_at_its_limit(self, versioned: SupportsVersioning) -> None:
        for number in range(4):
            save(versioned, "main", {"a": b"%d" % number}, message=f"Number {number}")
        assert messages(versioned, limit=2) == ["Number 3", "Number 2"]
        assert messages(versioned, limit=0) == []
        assert len(list(versioned.log("main", limit=99))) == 5

    def test_log_has_children_before_parents(self, versioned: SupportsVersioning) -> None:
        for name in ("one", "two"):
            versioned.create_branch(name, "main")
            for number in range(3):
                save(versioned, name, {f"{name}-{number}": b""})
            save(versioned, "main", {f"main-{name}": b""})
            versioned.merge(name, "main", request(f"Merge {name}"))
        versioned.merge("main", "one", request("Back"))
        found = [info.id for info in versioned.log("one")]
        assert len(found) == len(set(found)) == 12
        place = {commit_id: at for at, commit_id in enumerate(found)}
        assert all(place[info.id] < place[parent] for info in versioned.log("one") for parent in info.parents)

    def test_log_along_first_parents(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"b": b"b"}, message="On exp")
        save(versioned, "main", {"a": b"a"}, message="On main")
        versioned.merge("exp", "main", request("Merge exp"))
        assert messages(versioned, first_parent=True) == ["Merge exp", "On main"]
        assert sorted(messages(versioned)) == ["Merge exp", "On exp", "On main"]
        assert messages(versioned, first_parent=True, limit=1) == ["Merge exp"]

    def test_log_of_a_key(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1", "b": b"1"}, message="Both")
        save(versioned, "main", {"b": b"2"}, message="Only b")
        save(versioned, "main", {"a": b"2"}, message="Only a")
        save(versioned, "main", {"a": None}, message="Without a")
        save(versioned, "main", {"a": b"1"}, message="With a")
        assert messages(versioned, key="a") == ["With a", "Without a", "Only a", "Both"]
        assert messages(versioned, key="b") == ["Only b", "Both"]
        assert messages(versioned, key="a", limit=2) == ["With a", "Without a"]
        assert messages(versioned, key="never-there") == []

    def test_log_of_a_prefix(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"img/1": b"1"}, message="Under it")
        save(versioned, "main", {"img.txt": b"1"}, message="Beside it")
        save(versioned, "main", {"img/sub/2": b"1"}, message="Deep under it")
        assert messages(versioned, key="img/") == messages(versioned, key="img") == ["Deep under it", "Under it"]
        assert messages(versioned, key="img/sub/") == ["Deep under it"]

    def test_log_of_a_key_leaves_out_merges_that_brought_nothing(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1", "b": b"1"}, message="Base")
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"a": b"2"}, message="Change a")
        save(versioned, "main", {"b": b"2"}, message="Change b")
        versioned.merge("exp", "main", request("Merge"))
        assert messages(versioned, key="a") == ["Change a", "Base"]
        assert messages(versioned, key="b") == ["Change b", "Base"]
        assert messages(versioned, key="a", first_parent=True) == ["Merge", "Base"]

    def test_log_of_a_key_has_merges_that_decided_something(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a/1": b"1", "a/2": b"1"}, message="Base")
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"a/1": b"2"}, message="One")
        save(versioned, "main", {"a/2": b"2"}, message="Two")
        versioned.merge("exp", "main", request("Merge"))
        assert sorted(messages(versioned, key="a/")) == ["Base", "Merge", "One", "Two"]
        assert sorted(messages(versioned, key="a/1")) == ["Base", "One"]

    def test_log_of_an_unknown_ref(self, versioned: SupportsVersioning) -> None:
        with pytest.raises(NotFound, match="mian"):
            list(versioned.log("mian"))

    # diff

    def test_diff_goes_from_a_to_b(self, versioned: SupportsVersioning) -> None:
        old = save(versioned, "main", {"changed": b"old", "removed": b"r", "same": b"s"})
        new = save(versioned, "main", {"changed": b"newer", "removed": None, "added": b"a"})
        there = {change.key: change for change in versioned.diff(old.id, new.id)}
        assert list(there) == sorted(there) == ["added", "changed", "removed"]
        assert kinds(there.values()) == {"added": "added", "changed": "changed", "removed": "removed"}
        before, after = there["changed"].before, there["changed"].after
        assert before is not None
        assert after is not None
        assert (before.size, before.commit, after.size, after.commit) == (3, old.id, 5, new.id)
        back = kinds(versioned.diff(new.id, old.id))
        assert back == {"added": "removed", "changed": "changed", "removed": "added"}
        assert list(versioned.diff(new.id, "main")) == []

    def test_diff_is_between_states_not_since_the_fork(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"theirs": b"1"})
        save(versioned, "main", {"ours": b"1"})
        assert kinds(versioned.diff("main", "exp")) == {"ours": "removed", "theirs": "added"}

    def test_diff_under_a_prefix(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a/1": b"1", "a/2": b"2", "a.txt": b"1", "b": b"1"})
        assert list(kinds(versioned.diff("main~1", "main", prefix="a/"))) == ["a/1", "a/2"]
        assert list(kinds(versioned.diff("main~1", "main", prefix="a"))) == ["a.txt", "a/1", "a/2"]
        assert list(versioned.diff("main~1", "main", prefix="c")) == []

    def test_diff_compares_content_type_and_metadata(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"a", "b.txt": b"b"})
        versioned.at("main").put("a.txt", b"a", attributes=JSON)
        versioned.at("main").put("b.txt", b"b", attributes=NOTED)
        commit(versioned, "main", "Attributes")
        one, two = versioned.diff("main~1", "main")
        assert one.before is not None
        assert one.after is not None
        assert two.after is not None
        assert (one.before.content_type, one.after.content_type) == ("text/plain", "application/json")
        assert (two.kind, two.after.metadata) == ("changed", {"note": "checked"})

    def test_diff_does_not_compare_time(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        for branch in ("main", "exp"):
            save(versioned, branch, {"a": b"same bytes, written at another time"})
        assert list(versioned.diff("main", "exp")) == []

    def test_diff_of_many(self, versioned: SupportsVersioning) -> None:
        write(versioned.at("main"), {f"k/{number:03}": b"%d" % number for number in range(300)})
        commit(versioned, "main", "Many")
        save(versioned, "main", {"k/007": b"bond", "k/150": None, "k/2995": b"new"})
        assert kinds(versioned.diff("main~1", "main")) == {"k/007": "changed", "k/150": "removed", "k/2995": "added"}
