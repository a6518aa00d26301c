"""The exam's part on names: branches, tags, ref expressions, and what may be written through them."""

import pytest

from datastore.errors import AlreadyExists, Forbidden, HeadMoved, NotFound, ValidationError
from datastore.provider import SupportsVersioning
from datastore.testing.versioning_tools import commit, contents, keys, messages, names, request, save, staged, write

__all__ = ["RefsExam"]

_BAD_BRANCHES = [
    "",
    "exp/dedupe",
    "v1.0",
    "-x",
    "a b",
    "main@",
    "main~1",
    "ü",
    "a" * 300,
    "0123456789abcdef" * 4,
    "a\n",
]
_BAD_TAGS = ["", "a/b", ".v1", "v1.", "v1..v2", "v1.lock", "v 1", "v1~1", "v1^", "v1:x", "v1@", "-v1", "ü", "a" * 300]
_BAD_EXPRESSIONS = ["", "@", "~1", "main~x", "main^a", "main~1@", "main@{1}", "main@~1", "ma in", "main$", "main~-1"]


class RefsExam:
    """Branches, tags, protection, expressions, `at`."""

    # a fresh repo

    def test_a_fresh_repo(self, versioned: SupportsVersioning) -> None:
        head = versioned.commit_of("main")
        assert versioned.default_branch == "main"
        assert [(branch.name, branch.head) for branch in versioned.branches()] == [("main", head.id)]
        assert list(versioned.tags()) == []
        assert [info.id for info in versioned.log("main")] == [head.id]
        assert head.parents == ()
        assert keys(versioned.at("main")) == []

    # branches

    def test_a_branch_is_independent(self, versioned: SupportsVersioning) -> None:
        base = save(versioned, "main", {"a": b"1"})
        info = versioned.create_branch("exp", "main")
        assert (info.name, info.head, info.hidden) == ("exp", base.id, False)
        save(versioned, "exp", {"a": b"2"})
        save(versioned, "main", {"b": b"b"})
        assert contents(versioned.at("exp")) == {"a": b"2"}
        assert contents(versioned.at("main")) == {"a": b"1", "b": b"b"}
        assert [branch.name for branch in versioned.branches()] == ["exp", "main"]
        assert versioned.is_branch("exp")
        assert not any(versioned.is_branch(text) for text in ("exp~1", "exp@", base.id, "nope", ""))

    @pytest.mark.parametrize("base", ["main~1", "main@", "v1"])
    def test_a_branch_begins_at_any_ref(self, versioned: SupportsVersioning, base: str) -> None:
        save(versioned, "main", {"a": b"1"})
        versioned.create_tag("v1", "main")
        save(versioned, "main", {"a": b"2"})
        assert versioned.create_branch("exp", base).head == versioned.commit_of(base).id
        assert contents(versioned.at("exp")) == contents(versioned.at(base))

    def test_a_taken_name_is_refused(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        versioned.create_tag("v1", "main")
        before = save(versioned, "exp", {"a": b"a"})
        for name in ("exp", "main", "v1"):
            with pytest.raises(AlreadyExists, match=name):
                versioned.create_branch(name, "main")
        assert versioned.commit_of("exp") == before

    @pytest.mark.parametrize("name", _BAD_BRANCHES)
    def test_bad_branch_names(self, versioned: SupportsVersioning, name: str) -> None:
        with pytest.raises(ValidationError):
            versioned.create_branch(name, "main")
        assert [branch.name for branch in versioned.branches(hidden=True)] == ["main"]

    def test_an_unknown_base_creates_nothing(self, versioned: SupportsVersioning) -> None:
        with pytest.raises(NotFound, match="mian") as caught:
            versioned.create_branch("exp", "mian")
        assert "'main'" in str(caught.value.hint)
        assert not versioned.is_branch("exp")

    def test_a_hidden_branch_is_listed_where_asked_for(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("tx-1", "main", hidden=True)
        assert [branch.name for branch in versioned.branches()] == ["main"]
        assert [(b.name, b.hidden) for b in versioned.branches(hidden=True)] == [("main", False), ("tx-1", True)]
        save(versioned, "tx-1", {"a": b"a"})
        assert contents(versioned.at("tx-1")) == {"a": b"a"}
        versioned.delete_branch("tx-1")
        assert not versioned.is_branch("tx-1")

    def test_a_deleted_branch_is_gone(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        versioned.at("exp").put("a", b"a")
        handle = versioned.at("exp")
        versioned.delete_branch("exp")
        assert [branch.name for branch in versioned.branches(hidden=True)] == ["main"]
        for verb in (lambda: handle.head("a"), lambda: handle.put("b", b""), lambda: versioned.commit_of("exp")):
            with pytest.raises(NotFound):
                verb()
        with pytest.raises(NotFound):
            versioned.delete_branch("exp")
        versioned.create_branch("exp", "main")
        assert staged(versioned, "exp") == {}

    def test_the_default_branch_cannot_be_deleted(self, versioned: SupportsVersioning) -> None:
        versioned.at("main").put("a", b"a")
        with pytest.raises(Forbidden, match="default"):
            versioned.delete_branch("main")
        assert contents(versioned.at("main")) == {"a": b"a"}

    def test_a_deleted_branch_comes_back_with_its_uncommitted_changes(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        head = save(versioned, "exp", {"a": b"a", "b": b"b"})
        write(versioned.at("exp"), {"a": b"changed", "b": None, "c": b"c"})
        versioned.delete_branch("exp")
        assert versioned.undelete_branch("exp").head == head.id
        assert contents(versioned.at("exp")) == {"a": b"changed", "c": b"c"}
        assert contents(versioned.at("exp@")) == {"a": b"a", "b": b"b"}
        commit(versioned, "exp", "After all")
        assert contents(versioned.at("exp@")) == {"a": b"changed", "c": b"c"}

    def test_undelete_of_what_is_there_or_never_was(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        versioned.delete_branch("exp")
        with pytest.raises(NotFound, match="epx"):
            versioned.undelete_branch("epx")
        taken = versioned.create_branch("exp", "main")
        with pytest.raises(AlreadyExists):
            versioned.undelete_branch("exp")
        assert versioned.commit_of("exp").id == taken.head

    # protection

    def test_a_protected_branch_takes_changes_by_merge_and_revert_only(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1"})
        versioned.at("main").put("b", b"uncommitted")
        versioned.protect("main")
        main = versioned.at("main")
        for verb in (
            lambda: main.put("a", b"2"),
            lambda: main.delete(["a"]),
            lambda: versioned.commit("main", request()),
            lambda: versioned.reset("main"),
            lambda: versioned.restore("main", "a", "main~1"),
        ):
            with pytest.raises(Forbidden, match="protected"):
                verb()
        assert contents(main) == {"a": b"1", "b": b"uncommitted"}
        assert [branch.protected for branch in versioned.branches()] == [True]
        versioned.protect("main", on=False)
        versioned.reset("main")
        versioned.protect("main")
        versioned.create_branch("fix", "main")
        save(versioned, "fix", {"a": b"2"})
        merged = versioned.merge("fix", "main", request("Merge fix"))
        assert contents(main) == {"a": b"2"}
        versioned.revert("main", merged.id, request("Undo"))
        assert contents(main) == {"a": b"1"}

    def test_a_protected_branch_cannot_be_deleted(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("release", "main")
        versioned.protect("release")
        with pytest.raises(Forbidden, match="protected"):
            versioned.delete_branch("release")
        versioned.protect("release", on=False)
        versioned.delete_branch("release")
        assert not versioned.is_branch("release")

    # tags

    def test_a_tag_never_moves(self, versioned: SupportsVersioning) -> None:
        first = save(versioned, "main", {"a": b"1"})
        made = versioned.create_tag("v1.0", "main")
        assert (made.name, made.commit) == ("v1.0", first.id)
        assert versioned.create_tag("v1.0", first.id) == made
        save(versioned, "main", {"a": b"2"})
        with pytest.raises(AlreadyExists, match=r"v1\.0"):
            versioned.create_tag("v1.0", "main")
        with pytest.raises(AlreadyExists, match="main"):
            versioned.create_tag("main", "main")
        assert list(versioned.tags()) == [made]
        assert contents(versioned.at("v1.0")) == {"a": b"1"}

    def test_a_deleted_tag_is_gone(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a": b"1"})
        versioned.create_tag("v1", "main~1")
        versioned.delete_tag("v1")
        assert list(versioned.tags()) == []
        with pytest.raises(NotFound):
            versioned.commit_of("v1")
        with pytest.raises(NotFound):
            versioned.delete_tag("v1")
        assert versioned.create_tag("v1", "main").commit == versioned.commit_of("main").id

    @pytest.mark.parametrize("name", [*_BAD_TAGS, "0123456789abcdef" * 4])
    def test_bad_tag_names(self, versioned: SupportsVersioning, name: str) -> None:
        with pytest.raises(ValidationError):
            versioned.create_tag(name, "main")
        assert list(versioned.tags()) == []

    def test_a_tag_of_an_unknown_ref_is_not_made(self, versioned: SupportsVersioning) -> None:
        with pytest.raises(NotFound):
            versioned.create_tag("v1", "mian")
        assert list(versioned.tags()) == []

    # expressions

    def test_ways_to_name_a_commit(self, versioned: SupportsVersioning) -> None:
        root = versioned.commit_of("main")
        one = save(versioned, "main", {"a": b"1"})
        two = save(versioned, "main", {"a": b"2"})
        versioned.create_tag("v2", "main")
        expected = {
            two.id: two,
            two.id[:8]: two,
            two.id[:40]: two,
            "main": two,
            "main@": two,
            "v2": two,
            "main~0": two,
            "main^0": two,
            "main~": one,
            "main~1": one,
            "main^": one,
            "main^1": one,
            "v2~1": one,
            f"{two.id}~1": one,
            f"{two.id[:12]}^": one,
            "main~2": root,
            "main^^": root,
            "main~1^1": root,
            "main~1^0~1": root,
        }
        assert {text: versioned.commit_of(text) for text in expected} == expected

    def test_parents_of_a_merge(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("exp", "main")
        theirs = save(versioned, "exp", {"b": b"b"})
        ours = save(versioned, "main", {"a": b"a"})
        merged = versioned.merge("exp", "main", request("Merge"))
        assert merged.parents == (ours.id, theirs.id)
        assert [versioned.commit_of(text).id for text in ("main~1", "main^1", "main^2", "main^2~1")] == [
            ours.id,
            ours.id,
            theirs.id,
            versioned.commit_of("main~2").id,
        ]
        with pytest.raises(NotFound, match=r"\^3"):
            versioned.commit_of("main^3")

    @pytest.mark.parametrize("text", ["main~2", "main~1~1", "main^^", "main~999999"])
    def test_too_far_back(self, versioned: SupportsVersioning, text: str) -> None:
        save(versioned, "main", {"a": b"1"})
        with pytest.raises(NotFound, match="main"):
            versioned.commit_of(text)

    def test_an_unknown_ref_names_the_nearest(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("dedupe", "main")
        versioned.create_tag("release-1", "main")
        for text, near in {"mian": "main", "dedup~1": "dedupe", "relase-1": "release-1"}.items():
            with pytest.raises(NotFound) as caught:
                versioned.commit_of(text)
            assert repr(near) in str(caught.value.hint)
        for text in ("f" * 64, "ffffffff"):
            with pytest.raises(NotFound, match="ffffffff"):
                versioned.at(text).head("a")

    @pytest.mark.parametrize("text", _BAD_EXPRESSIONS)
    def test_what_is_no_expression(self, versioned: SupportsVersioning, text: str) -> None:
        with pytest.raises(ValidationError):
            versioned.commit_of(text)

    def test_at_sign_is_for_branches(self, versioned: SupportsVersioning) -> None:
        versioned.create_tag("v1", "main")
        for text in ("v1@", versioned.commit_of("main").id + "@"):
            with pytest.raises(ValidationError, match="not a branch"):
                versioned.commit_of(text)

    def test_a_branch_comes_before_a_commit_that_begins_like_it(self, versioned: SupportsVersioning) -> None:
        made = save(versioned, "main", {"a": b"1"})
        versioned.create_branch(made.id[:8], "main~1")
        assert versioned.commit_of(made.id[:8]).id == versioned.commit_of("main~1").id
        assert versioned.commit_of(made.id) == made

    # what `at` gives

    def test_only_a_branch_can_be_written_to(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1"})
        versioned.create_tag("v1", "main")
        assert versioned.at("main").capabilities.writable
        for ref in ("v1", head.id, head.id[:10], "main~0", "main@", "v1~1"):
            view = versioned.at(ref)
            assert not view.capabilities.writable
            for verb in (lambda view=view: view.put("b", b"b"), lambda view=view: view.delete(["a"])):
                with pytest.raises(Forbidden, match="cannot be written") as caught:
                    verb()
                assert ref.rstrip("@").partition("~")[0] in str(caught.value)
        assert (staged(versioned), messages(versioned)) == ({}, ["Write a"])

    def test_verbs_that_change_a_branch_want_a_branch(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1"})
        versioned.create_tag("v1", "main")
        for name in ("v1", head.id, "main~1", "main@"):
            for verb in (
                lambda name=name: versioned.commit(name, request(allow_empty=True)),
                lambda name=name: versioned.reset(name),
                lambda name=name: versioned.merge("main", name, request()),
                lambda name=name: versioned.revert(name, "main", request()),
                lambda name=name: list(versioned.uncommitted(name)),
                lambda name=name: versioned.delete_branch(name),
            ):
                with pytest.raises((NotFound, Forbidden, ValidationError)):
                    verb()
        assert messages(versioned) == ["Write a"]

    def test_only_a_commit_is_for_ever(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1", "b/1": b"1"})
        versioned.create_tag("v1", "main")
        fixed = versioned.at(head.id)
        assert fixed.capabilities.immutable
        assert not any(versioned.at(ref).capabilities.immutable for ref in ("main", "main@", "v1", "main~1"))
        save(versioned, "main", {"a": b"2", "b/1": None})
        assert contents(fixed) == {"a": b"1", "b/1": b"1"}
        assert names(fixed) == (["a"], ["b/"])
        assert {info.commit for page in fixed.list() for info in page.objects} == {head.id}

    def test_a_moving_ref_moves(self, versioned: SupportsVersioning) -> None:
        views = [versioned.at(ref) for ref in ("main", "main@", "main~1")]
        save(versioned, "main", {"a": b"1"})
        assert [contents(view) for view in views] == [{"a": b"1"}, {"a": b"1"}, {}]
        save(versioned, "main", {"a": b"2"})
        assert [contents(view) for view in views] == [{"a": b"2"}, {"a": b"2"}, {"a": b"1"}]

    def test_a_pinned_head(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a": b"1"})
        pinned = versioned.at("main", head=head.id)
        pinned.put("b", b"b")
        assert contents(pinned) == {"a": b"1", "b": b"b"}
        made = commit(versioned, "main", "Moves the head")
        for verb in (
            lambda: pinned.head("a"),
            lambda: pinned.read("a"),
            lambda: pinned.put("c", b"c"),
            lambda: pinned.delete(["a"]),
            lambda: list(pinned.list()),
        ):
            with pytest.raises(HeadMoved, match=head.id[:8]):
                verb()
        assert contents(versioned.at("main", head=made.id)) == {"a": b"1", "b": b"b"}
        assert staged(versioned) == {}
