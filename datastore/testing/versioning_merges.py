"""The exam's part on bringing changes together: merge, revert, cherry-pick."""

from collections.abc import Mapping
from typing import Any

import pytest

from datastore.errors import MergeConflict, NotFound, NothingToCommit, UncommittedChanges, ValidationError
from datastore.provider import SupportsVersioning
from datastore.testing.versioning_tools import contents, kinds, messages, request, save, staged

__all__ = ["MergesExam"]

Objects = Mapping[str, bytes | None]


def _forked(versioned: SupportsVersioning, *, base: Objects, exp: Objects, main: Objects) -> None:
    """Make `exp` and `main` go different ways from a common base."""
    save(versioned, "main", base, message="Base")
    versioned.create_branch("exp", "main")
    save(versioned, "exp", exp, message="On exp")
    save(versioned, "main", main, message="On main")


class MergesExam:
    """Three-way merges with everything that they refuse."""

    def test_merge_of_both_sides(self, versioned: SupportsVersioning) -> None:
        _forked(
            versioned,
            base={"both/1": b"1", "both/2": b"2", "del-exp": b"", "del-main": b"", "same": b"s"},
            exp={"both/1": b"exp", "del-exp": None, "new-exp": b"e"},
            main={"both/2": b"main", "del-main": None, "new-main": b"m"},
        )
        untouched = versioned.at("main").head("same")
        merged = versioned.merge("exp", "main", request("Merge exp", metadata={"why": "test"}))
        assert merged.parents == (versioned.commit_of("main~1").id, versioned.commit_of("exp").id)
        assert (merged.message, merged.author, merged.metadata["why"]) == ("Merge exp", "Ada", "test")
        assert versioned.commit_of("main") == merged
        expected = {"both/1": b"exp", "both/2": b"main", "new-exp": b"e", "new-main": b"m", "same": b"s"}
        assert contents(versioned.at("main")) == expected
        after = versioned.at("main").head("same")
        assert (after.etag, after.modified_us) == (untouched.etag, untouched.modified_us)
        assert messages(versioned, "exp", limit=1) == ["On exp"]
        assert staged(versioned) == {}

    def test_merge_into_a_branch_that_stood_still(self, versioned: SupportsVersioning) -> None:
        base = save(versioned, "main", {"a": b"1"})
        versioned.create_branch("exp", "main")
        theirs = save(versioned, "exp", {"a": b"2", "b": b"b"})
        merged = versioned.merge("exp", "main", request("Merge exp"))
        assert merged.parents == (base.id, theirs.id)
        assert contents(versioned.at("main")) == {"a": b"2", "b": b"b"}
        assert list(versioned.diff("exp", "main")) == []

    def test_merge_of_what_both_did_alike(self, versioned: SupportsVersioning) -> None:
        both: Objects = {"new": b"same bytes", "old": b"same change", "gone": None}
        _forked(
            versioned,
            base={"old": b"1", "gone": b"g"},
            exp={**both, "only-exp": b"e"},
            main={**both, "only-main": b"m"},
        )
        versioned.merge("exp", "main", request())
        expected = {"new": b"same bytes", "old": b"same change", "only-exp": b"e", "only-main": b"m"}
        assert contents(versioned.at("main")) == expected

    def test_any_ref_can_be_the_source(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        first = save(versioned, "exp", {"a": b"1"})
        save(versioned, "exp", {"b": b"1"})
        versioned.create_tag("v1", "exp")
        versioned.merge("exp~1", "main", request())
        assert contents(versioned.at("main")) == {"a": b"1"}
        assert versioned.commit_of("main^2") == first
        versioned.merge("v1", "main", request())
        assert contents(versioned.at("main")) == {"a": b"1", "b": b"1"}

    def test_uncommitted_changes_of_the_source_stay_there(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"a": b"1"})
        versioned.at("exp").put("b", b"uncommitted")
        versioned.merge("exp", "main", request())
        assert contents(versioned.at("main")) == {"a": b"1"}
        assert staged(versioned, "exp") == {"b": "added"}

    def test_uncommitted_changes_of_dest_are_in_the_way(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"b": b"b"}, main={"c": b"c"})
        versioned.at("main").put("mine.txt", b"uncommitted")
        head = versioned.commit_of("main")
        for verb in (
            lambda: versioned.merge("exp", "main", request()),
            lambda: versioned.revert("main", "main", request()),
            lambda: versioned.cherry_pick("main", "exp", request()),
        ):
            with pytest.raises(UncommittedChanges, match=r"mine\.txt") as caught:
                verb()
            assert list(caught.value.keys) == ["mine.txt"]
        assert versioned.commit_of("main") == head
        assert contents(versioned.at("main"))["mine.txt"] == b"uncommitted"

    def test_merging_again_brings_nothing(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"b": b"b"}, main={"c": b"c"})
        merged = versioned.merge("exp", "main", request())
        for source in ("exp", "main", "main~1", merged.id):
            with pytest.raises(NothingToCommit, match="main"):
                versioned.merge(source, "main", request())
        assert versioned.commit_of("main") == merged

    def test_the_same_op_id_merges_once(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"b": b"b"}, main={"c": b"c"})
        asked = request("Merge exp")
        merged = versioned.merge("exp", "main", asked)
        assert versioned.merge("exp", "main", asked) == merged
        assert versioned.commit_of("main") == merged

    def test_a_squash_leaves_the_source_out_of_the_parents(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"b": b"b"}, main={"c": b"c"})
        before = versioned.commit_of("main")
        merged = versioned.merge("exp", "main", request("All of exp"), squash=True)
        assert merged.parents == (before.id,)
        assert contents(versioned.at("main")) == {"a": b"1", "b": b"b", "c": b"c"}
        assert messages(versioned) == ["All of exp", "On main", "Base"]

    def test_going_on_after_a_merge(self, versioned: SupportsVersioning) -> None:
        """The merge is the new base: what was merged before does not conflict again."""
        _forked(versioned, base={"a": b"1"}, exp={"a": b"exp"}, main={"c": b"c"})
        versioned.merge("exp", "main", request())
        save(versioned, "main", {"a": b"main after the merge"})
        save(versioned, "exp", {"b": b"exp after the merge"})
        versioned.merge("exp", "main", request())
        assert contents(versioned.at("main"))["a"] == b"main after the merge"
        base = versioned.merge_base("exp", "main")
        assert base is not None
        assert base.id == versioned.commit_of("exp").id

    def test_merge_base(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"b": b"b"}, main={"c": b"c"})
        fork = versioned.commit_of("main~1")
        assert versioned.merge_base("exp", "main") == versioned.merge_base("main", "exp") == fork
        assert versioned.merge_base("main", "main~1") == fork
        assert versioned.merge_base("main", "main") == versioned.commit_of("main")

    def test_criss_cross(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"x": b"1"}, exp={"exp": b"e"}, main={"main": b"m"})
        theirs, ours = versioned.commit_of("exp"), versioned.commit_of("main")
        versioned.merge(theirs.id, "main", request("Exp into main"))
        versioned.merge(ours.id, "exp", request("Main into exp"))
        save(versioned, "exp", {"x": b"2"})
        save(versioned, "main", {"new": b"n"})
        base = versioned.merge_base("exp", "main")
        assert base is not None
        assert base.id in {theirs.id, ours.id}
        versioned.merge("exp", "main", request("Together"))
        assert contents(versioned.at("main")) == {"exp": b"e", "main": b"m", "new": b"n", "x": b"2"}

    # conflicts

    def _conflicting(self, versioned: SupportsVersioning) -> None:
        _forked(
            versioned,
            base={"both": b"1", "del-main": b"1", "del-exp": b"1", "fine": b"1"},
            exp={"both": b"exp", "del-main": b"exp", "del-exp": None, "new": b"exp", "fine": b"exp"},
            main={"both": b"main!", "del-main": None, "del-exp": b"main!", "new": b"main!"},
        )

    def test_a_conflict_shows_three_sides_and_changes_nothing(self, versioned: SupportsVersioning) -> None:
        self._conflicting(versioned)
        head, before = versioned.commit_of("main"), contents(versioned.at("main"))
        with pytest.raises(MergeConflict, match="both") as caught:
            versioned.merge("exp", "main", request())
        assert caught.value.paths == ["both", "del-exp", "del-main", "new"]
        sizes = {
            c.key: tuple(None if side is None else side.size for side in (c.base, c.source, c.dest))
            for c in caught.value.conflicts
        }
        assert sizes == {"both": (1, 3, 5), "del-exp": (1, None, 5), "del-main": (1, 3, None), "new": (None, 3, 5)}
        assert versioned.commit_of("main") == head
        assert contents(versioned.at("main")) == before
        assert (staged(versioned), staged(versioned, "exp")) == ({}, {})

    def test_conflicts_can_be_seen_without_merging(self, versioned: SupportsVersioning) -> None:
        self._conflicting(versioned)
        with pytest.raises(MergeConflict) as caught:
            versioned.merge("exp", "main", request())
        assert list(versioned.conflicts("exp", "main")) == list(caught.value.conflicts)
        assert list(versioned.conflicts("exp", "exp~1")) == []

    @pytest.mark.parametrize(
        ("how", "expected"),
        [
            ({"strategy": "source-wins"}, {"both": b"exp", "del-main": b"exp", "fine": b"exp", "new": b"exp"}),
            ({"strategy": "dest-wins"}, {"both": b"main!", "del-exp": b"main!", "fine": b"exp", "new": b"main!"}),
            (
                {"choose": {"both": "source", "del-exp": "source", "del-main": "dest", "new": "dest"}},
                {"both": b"exp", "fine": b"exp", "new": b"main!"},
            ),
            (
                {"choose": {"new": "source"}, "strategy": "dest-wins"},
                {"both": b"main!", "del-exp": b"main!", "fine": b"exp", "new": b"exp"},
            ),
        ],
    )
    def test_ways_to_settle_conflicts(
        self, versioned: SupportsVersioning, how: dict[str, Any], expected: dict[str, bytes]
    ) -> None:
        self._conflicting(versioned)
        merged = versioned.merge("exp", "main", request(), **how)
        assert contents(versioned.at("main")) == expected
        assert len(merged.parents) == 2

    def test_what_was_not_chosen_stays_a_conflict(self, versioned: SupportsVersioning) -> None:
        self._conflicting(versioned)
        head = versioned.commit_of("main")
        with pytest.raises(MergeConflict) as caught:
            versioned.merge("exp", "main", request(), choose={"both": "source", "del-exp": "dest"})
        assert caught.value.paths == ["del-main", "new"]
        assert versioned.commit_of("main") == head

    @pytest.mark.parametrize("how", [{"strategy": "ours"}, {"choose": {"both": "exp"}}])
    def test_unknown_sides_are_refused(self, versioned: SupportsVersioning, how: dict[str, Any]) -> None:
        self._conflicting(versioned)
        head = versioned.commit_of("main")
        with pytest.raises(ValidationError, match=r"ours|exp"):
            versioned.merge("exp", "main", request(), **how)
        assert versioned.commit_of("main") == head

    def test_merge_with_unknown_refs(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        save(versioned, "exp", {"a": b"a"})
        for source, into in (("epx", "main"), ("exp", "mian")):
            with pytest.raises(NotFound):
                versioned.merge(source, into, request())
        assert messages(versioned) == []

    # revert

    def test_revert(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1", "b": b"1"})
        bad = save(versioned, "main", {"a": b"bad", "b": None, "c": b"bad"})
        later = save(versioned, "main", {"d": b"later"})
        undone = versioned.revert("main", bad.id, request("Undo"))
        assert undone.parents == (later.id,)
        assert contents(versioned.at("main")) == {"a": b"1", "b": b"1", "d": b"later"}
        versioned.revert("main", undone.id, request("Redo"))
        assert contents(versioned.at("main")) == {"a": b"bad", "c": b"bad", "d": b"later"}

    @pytest.mark.parametrize(("parent", "expected"), [(1, {"a": b"1", "main": b"m"}), (2, {"a": b"1", "exp": b"e"})])
    def test_revert_of_a_merge(self, versioned: SupportsVersioning, parent: int, expected: dict[str, bytes]) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"exp": b"e"}, main={"main": b"m"})
        merged = versioned.merge("exp", "main", request())
        versioned.revert("main", merged.id, request("Undo"), parent=parent)
        assert contents(versioned.at("main")) == expected

    def test_revert_of_what_was_changed_since(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1", "b": b"1"})
        save(versioned, "main", {"a": b"2", "b": b"2"})
        head = save(versioned, "main", {"a": b"3"})
        with pytest.raises(MergeConflict) as caught:
            versioned.revert("main", "main~1", request())
        assert caught.value.paths == ["a"]
        assert versioned.commit_of("main") == head

    def test_revert_of_what_is_undone_already(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1"})
        bad = save(versioned, "main", {"a": b"2"})
        versioned.revert("main", bad.id, request())
        with pytest.raises(NothingToCommit):
            versioned.revert("main", bad.id, request())

    @pytest.mark.parametrize("parent", [0, 2, -1])
    def test_a_parent_that_is_not_there(self, versioned: SupportsVersioning, parent: int) -> None:
        head = save(versioned, "main", {"a": b"1"})
        for verb in (versioned.revert, versioned.cherry_pick):
            with pytest.raises(ValidationError, match="parent"):
                verb("main", head.id, request(), parent=parent)
        assert versioned.commit_of("main") == head

    # cherry-pick

    def test_cherry_pick(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1", "b": b"1"}, exp={"a": b"exp"}, main={"c": b"c"})
        picked = save(versioned, "exp", {"b": None, "new": b"n"})
        before = versioned.commit_of("main")
        made = versioned.cherry_pick("main", picked.id, request("Pick"))
        assert made.parents == (before.id,)
        assert contents(versioned.at("main")) == {"a": b"1", "c": b"c", "new": b"n"}
        assert kinds(versioned.diff("main~1", "main")) == {"b": "removed", "new": "added"}

    def test_cherry_pick_of_a_merge(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"exp": b"e"}, main={"main": b"m"})
        versioned.create_branch("stable", "main~1")
        merged = versioned.merge("exp", "main", request())
        versioned.cherry_pick("stable", merged.id, request("What exp brought"))
        assert contents(versioned.at("stable")) == {"a": b"1", "exp": b"e"}
        versioned.cherry_pick("stable", merged.id, request("What main brought"), parent=2)
        assert contents(versioned.at("stable")) == {"a": b"1", "exp": b"e", "main": b"m"}

    def test_cherry_pick_that_conflicts(self, versioned: SupportsVersioning) -> None:
        _forked(versioned, base={"a": b"1"}, exp={"a": b"exp"}, main={"a": b"main"})
        head = versioned.commit_of("main")
        with pytest.raises(MergeConflict) as caught:
            versioned.cherry_pick("main", "exp", request())
        assert caught.value.paths == ["a"]
        assert versioned.commit_of("main") == head

    def test_cherry_pick_of_what_is_there_already(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1"})
        with pytest.raises(NothingToCommit):
            versioned.cherry_pick("main", head.id, request())
