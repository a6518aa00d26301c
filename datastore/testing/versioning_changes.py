"""The exam's part on uncommitted changes: who sees them, what becomes of them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from datastore.errors import AlreadyExists, NotFound, NothingToCommit, ValidationError
from datastore.provider import (
    Provider,
    SupportsCopy,
    SupportsImport,
    SupportsLink,
    SupportsPutMany,
    SupportsVersioning,
)
from datastore.testing.versioning_tools import (
    JSON,
    NOTED,
    commit,
    contents,
    keys,
    messages,
    names,
    request,
    save,
    staged,
    write,
)
from datastore.values import CREATE

__all__ = ["ChangesExam"]


class ChangesExam:
    """Staging, commit, reset, restore, and bytes that the store has already."""

    # who sees uncommitted changes

    def test_bytes_see_uncommitted_changes(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"old", "b.txt": b"gone soon"})
        main = versioned.at("main")
        write(main, {"a.txt": b"new", "b.txt": None, "c.txt": b"more"})
        assert contents(main) == {"a.txt": b"new", "c.txt": b"more"}
        assert main.head("a.txt").size == 3
        with pytest.raises(NotFound):
            main.head("b.txt")
        with pytest.raises(NotFound):
            main.read("b.txt")

    def test_names_do_not_see_uncommitted_changes(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a.txt": b"old"})
        write(versioned.at("main"), {"a.txt": b"new", "c.txt": b"more"})
        versioned.create_tag("v1", "main")
        versioned.create_branch("copy", "main")
        assert versioned.commit_of("main") == versioned.commit_of("v1") == versioned.commit_of("copy") == head
        assert contents(versioned.at("v1")) == contents(versioned.at("copy")) == {"a.txt": b"old"}
        assert list(versioned.diff("copy", "main")) == []
        assert next(iter(versioned.log("main"))).id == head.id
        assert staged(versioned, "copy") == {}
        assert staged(versioned) == {"a.txt": "changed", "c.txt": "added"}

    def test_at_sign_shows_only_what_is_committed(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"old", "b.txt": b"b"})
        write(versioned.at("main"), {"a.txt": b"new", "b.txt": None, "c.txt": b"more"})
        assert contents(versioned.at("main@")) == {"a.txt": b"old", "b.txt": b"b"}

    def test_every_handle_sees_what_another_one_staged(self, versioned: SupportsVersioning) -> None:
        one, two = versioned.at("main"), versioned.at("main")
        one.put("a.txt", b"1")
        assert contents(two) == {"a.txt": b"1"}
        two.delete(["a.txt"])
        assert contents(one) == {}

    def test_objects_say_which_commit_they_come_from(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a.txt": b"a"})
        main = versioned.at("main")
        main.put("b.txt", b"b")
        # On a branch that is a second question, which a remote store need not ask; of a commit it is always told.
        for commits in ({key: main.head(key).commit for key in ("a.txt", "b.txt")}, _commits(main)):
            assert commits["b.txt"] is None
            assert commits["a.txt"] in {head.id, None}
        assert _commits(versioned.at("main@")) == _commits(versioned.at(head.id)) == {"a.txt": head.id}

    def test_listing_with_delimiter_over_staged_and_committed(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a/1": b"", "a/2": b"", "b/1": b"", "b/2": b"", "c": b"", "e": b""})
        main = versioned.at("main")
        write(main, {"a/1": None, "a/2": None, "b/1": None, "b/0": b"", "d/x/1": b"", "e": None, "f": b""})
        assert names(main) == (["c", "f"], ["b/", "d/"])
        assert names(main, "b/") == (["b/0", "b/2"], [])
        assert names(main, start_after="b/") == (["c", "f"], ["d/"])
        assert keys(main) == ["b/0", "b/2", "c", "d/x/1", "f"]
        assert keys(main, "a/") == []
        assert names(versioned.at("main@")) == (["c", "e"], ["a/", "b/"])

    def test_a_prefix_is_no_object(self, versioned: SupportsVersioning) -> None:
        versioned.at("main").put("a/1", b"")
        for key in ("a", "a/"):
            with pytest.raises(NotFound):
                versioned.at("main").head(key)

    def test_a_reader_keeps_its_bytes_when_the_object_is_overwritten(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.bin": b"old" * 100})
        main = versioned.at("main")
        with main.read("a.bin") as committed:
            main.put("a.bin", b"new" * 200)
            with main.read("a.bin") as uncommitted:
                main.delete(["a.bin"])
                assert uncommitted.read() == b"new" * 200
            commit(versioned, "main", "Delete a")
            assert committed.read() == b"old" * 100

    # what counts as a change

    def test_the_same_again_is_no_change(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"a", "b.txt": b"b"})
        main = versioned.at("main")
        main.put("a.txt", b"a")
        assert staged(versioned) == {}
        main.put("a.txt", b"other")
        assert staged(versioned) == {"a.txt": "changed"}
        main.put("a.txt", b"a")
        write(main, {"b.txt": None})
        write(main, {"b.txt": b"b", "c.txt": b"c"})
        write(main, {"c.txt": None, "never-there.txt": None})
        assert staged(versioned) == {}
        with pytest.raises(NothingToCommit):
            commit(versioned, "main", "Nothing")

    def test_content_type_and_metadata_are_part_of_a_change(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"a", "b.txt": b"b"})
        main = versioned.at("main")
        main.put("a.txt", b"a", attributes=JSON)
        main.put("b.txt", b"b", attributes=NOTED)
        assert staged(versioned) == {"a.txt": "changed", "b.txt": "changed"}
        commit(versioned, "main", "Attributes")
        assert main.head("a.txt").content_type == "application/json"
        assert main.head("b.txt").metadata == {"note": "checked"}

    def test_whether_there_are_uncommitted_changes(self, versioned: SupportsVersioning) -> None:
        assert not versioned.has_uncommitted("main")
        write(versioned.at("main"), {"a.txt": b"a"})
        assert versioned.has_uncommitted("main")
        commit(versioned, "main", "Commit")
        assert not versioned.has_uncommitted("main")
        write(versioned.at("main"), {"a.txt": None})
        assert versioned.has_uncommitted("main")
        versioned.reset("main")
        assert not versioned.has_uncommitted("main")
        with pytest.raises(NotFound):
            versioned.has_uncommitted("missing")

    def test_uncommitted_gives_both_sides_in_key_order(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a/1": b"1", "b/1": b"old", "c": b"c"})
        write(versioned.at("main"), {"c": None, "b/1": b"newer", "a/2": b"2"})
        added, changed, removed = versioned.uncommitted("main")
        assert (added.key, added.kind, added.before) == ("a/2", "added", None)
        assert added.after is not None
        assert changed.before is not None
        assert changed.after is not None
        assert (changed.key, changed.before.size, changed.after.size) == ("b/1", 3, 5)
        assert (removed.key, removed.kind, removed.after) == ("c", "removed", None)
        assert staged(versioned, prefix="b/") == {"b/1": "changed"}

    # commit

    def test_a_commit_keeps_what_it_was_given(self, versioned: SupportsVersioning) -> None:
        before = versioned.commit_of("main")
        versioned.at("main").put("a.txt", b"a")
        asked = request("First\n\nWith a body, ü and 😀.", author="Ada <ada@example.com>", metadata={"run": "12"})
        made = versioned.commit("main", asked)
        assert (made.message, made.author, made.metadata) == (asked.message, asked.author, {"run": "12"})
        assert made.parents == (before.id,)
        assert len(made.id) == 64
        assert abs(datetime.now(UTC) - made.time) < timedelta(hours=1)
        assert versioned.commit_of("main") == versioned.commit_of(made.id) == made
        assert contents(versioned.at(made.id)) == contents(versioned.at("main@")) == {"a.txt": b"a"}
        assert staged(versioned) == {}

    def test_nothing_to_commit(self, versioned: SupportsVersioning) -> None:
        head = versioned.commit_of("main")
        with pytest.raises(NothingToCommit, match="main"):
            commit(versioned, "main", "Nothing")
        assert versioned.commit_of("main") == head

    def test_an_empty_commit_where_it_is_wanted(self, versioned: SupportsVersioning) -> None:
        head = save(versioned, "main", {"a.txt": b"a"})
        made = versioned.commit("main", request("Mark", allow_empty=True))
        assert made.parents == (head.id,)
        assert list(versioned.diff(head.id, made.id)) == []

    @pytest.mark.parametrize("message", ["", "  \n"])
    def test_a_commit_needs_a_message(self, versioned: SupportsVersioning, message: str) -> None:
        versioned.at("main").put("a.txt", b"a")
        with pytest.raises(ValidationError):
            versioned.commit("main", request(message))
        assert staged(versioned) == {"a.txt": "added"}

    def test_the_same_op_id_gives_the_same_commit(self, versioned: SupportsVersioning) -> None:
        versioned.at("main").put("a.txt", b"a")
        asked = request("Once")
        made = versioned.commit("main", asked)
        versioned.at("main").put("b.txt", b"later")
        assert versioned.commit("main", asked) == made
        assert staged(versioned) == {"b.txt": "added"}
        assert messages(versioned) == ["Once"]

    def test_a_commit_on_an_unknown_branch_names_the_nearest(self, versioned: SupportsVersioning) -> None:
        with pytest.raises(NotFound, match="mian") as caught:
            commit(versioned, "mian", "Typo")
        assert "'main'" in str(caught.value.hint)

    # reset

    def test_reset_of_everything(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"a", "b.txt": b"b"})
        write(versioned.at("main"), {"a.txt": b"changed", "b.txt": None, "c.txt": b"c"})
        assert versioned.reset("main") == 3
        assert contents(versioned.at("main")) == {"a.txt": b"a", "b.txt": b"b"}
        assert versioned.reset("main") == 0

    def test_reset_of_a_key_and_of_a_prefix(self, versioned: SupportsVersioning) -> None:
        write(versioned.at("main"), {"a": b"", "a/1": b"", "a/2": b"", "ab": b"", "b": b""})
        assert versioned.reset("main", key="a") == 1
        assert versioned.reset("main", prefix="a/") == 2
        assert versioned.reset("main", key="never-there") == 0
        assert keys(versioned.at("main")) == ["ab", "b"]

    def test_reset_leaves_other_branches_alone(self, versioned: SupportsVersioning) -> None:
        versioned.create_branch("other", "main")
        for branch in ("main", "other"):
            versioned.at(branch).put("a", b"a")
        versioned.reset("main")
        assert (staged(versioned), staged(versioned, "other")) == ({}, {"a": "added"})

    # restore

    def test_restore_of_a_key(self, versioned: SupportsVersioning) -> None:
        old = save(versioned, "main", {"a.txt": b"old", "b.txt": b"b"})
        save(versioned, "main", {"a.txt": b"new"})
        assert versioned.restore("main", "a.txt", old.id) == 1
        assert staged(versioned) == {"a.txt": "changed"}
        assert contents(versioned.at("main")) == {"a.txt": b"old", "b.txt": b"b"}
        assert versioned.restore("main", "a.txt", old.id) == 0

    def test_restore_of_a_deleted_key(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.txt": b"a"})
        save(versioned, "main", {"a.txt": None})
        assert versioned.restore("main", "a.txt", "main~1") == 1
        assert contents(versioned.at("main")) == {"a.txt": b"a"}

    def test_restore_of_a_prefix(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a/1": b"1", "a/2": b"2", "b": b"b", "a.txt": b"beside"})
        versioned.create_tag("v1", "main")
        save(versioned, "main", {"a/1": b"changed", "a/2": None, "a/3": b"new", "b": b"changed", "a.txt": b"changed"})
        assert versioned.restore("main", "a/", "v1") == 3
        assert contents(versioned.at("main"), "a/") == {"a/1": b"1", "a/2": b"2"}
        assert staged(versioned) == {"a/1": "changed", "a/2": "added", "a/3": "removed"}

    def test_restore_of_what_is_nowhere_names_it(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"train.csv": b"a"})
        with pytest.raises(NotFound, match=r"tarin\.csv") as caught:
            versioned.restore("main", "tarin.csv", "main")
        assert "train.csv" in str(caught.value.hint)
        with pytest.raises(NotFound, match="folder/"):
            versioned.restore("main", "folder/", "main")
        assert staged(versioned) == {}

    # bytes that are there already

    def test_a_link_to_another_branch_takes_over_the_bytes(self, versioned: SupportsVersioning) -> None:
        save(versioned, "main", {"a.csv": b"x,y\n" * 1000})
        versioned.create_branch("other", "main~1")
        source, other = versioned.at("main").head("a.csv"), versioned.at("other")
        if not isinstance(other, SupportsLink):
            pytest.skip("this provider cannot link")
        linked = other.link(source, "taken/over.csv")
        assert linked is not None
        assert (linked.key, linked.identity, linked.size) == ("taken/over.csv", source.identity, source.size)
        assert contents(other) == {"taken/over.csv": b"x,y\n" * 1000}
        assert staged(versioned, "other") == {"taken/over.csv": "added"}

    def test_a_copy_takes_over_bytes_and_attributes(self, versioned: SupportsVersioning) -> None:
        main = versioned.at("main")
        if not isinstance(main, SupportsCopy):
            pytest.skip("this provider cannot copy")
        main.put("a.csv", b"x,y", attributes=NOTED)
        copied = main.copy("a.csv", "b.txt")
        assert (copied.key, copied.metadata, copied.content_type) == ("b.txt", {"note": "checked"}, "text/plain")
        assert copied.identity == main.head("a.csv").identity
        commit(versioned, "main", "Both")
        assert contents(versioned.at("main@")) == {"a.csv": b"x,y", "b.txt": b"x,y"}

    def test_an_import_stages_all_files_or_none(self, versioned: SupportsVersioning, tmp_path: Path) -> None:
        main = versioned.at("main")
        if not isinstance(main, SupportsImport):
            pytest.skip("this provider cannot import files")
        files = [(tmp_path / f"{number}.txt", f"in/{number}.txt") for number in range(20)]
        for number, (path, _) in enumerate(files):
            path.write_bytes(b"%d" % number)
        with pytest.raises(FileNotFoundError):
            main.import_files([*files, (tmp_path / "missing.txt", "in/missing.txt")])
        with pytest.raises(ValidationError):
            main.import_files([*files, (files[0][0], "in//bad")])
        assert staged(versioned) == {}
        infos = main.import_files(files)
        assert {info.key: info.content_type for info in infos} == {key: "text/plain" for _, key in files}
        assert contents(main) == {key: b"%d" % number for number, (_, key) in enumerate(files)}

    def test_many_are_put_in_one_step_or_none(self, versioned: SupportsVersioning) -> None:
        main = versioned.at("main")
        if not isinstance(main, SupportsPutMany):
            pytest.skip("this provider puts one object at a time")
        many = {f"many/{number:03}.txt": b"%d" % number * 10 for number in range(100)}
        objects = [(key, data, NOTED) for key, data in many.items()]
        main.put("many/050.txt", b"there")
        with pytest.raises(AlreadyExists):
            main.put_many(objects, mode=CREATE)
        with pytest.raises(ValidationError):
            main.put_many([*objects, ("many//bad", b"", None)])
        assert contents(main) == {"many/050.txt": b"there"}
        infos = main.put_many(objects)
        assert [(info.key, info.content_type, dict(info.metadata)) for info in infos] == [
            (key, "text/plain", dict(NOTED.metadata)) for key in many
        ]
        commit(versioned, "main", "Many")
        assert contents(versioned.at("main@")) == many


def _commits(provider: Provider) -> dict[str, str | None]:
    """Return the commit of each object in a listing."""
    return {info.key: info.commit for page in provider.list() for info in page.objects}
