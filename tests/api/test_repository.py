"""Repos and branches as a notebook uses them."""

import subprocess
import sys
from datetime import UTC, date, datetime, timedelta, timezone

import pandas as pd
import pytest

import datastore as ds
from datastore.repository import Branch, Repo
from tests.api.helpers import keys, read, write


def blobs(place):
    """What the store holds of bytes: files outside of the index, with their sizes."""
    return sorted((path.name, path.stat().st_size) for path in (place / "store").rglob("*") if "blobs" in path.parts)


# ------------------------------------------------------------------------------------------------------------ branches


def test_a_branch_begins_at_the_head_of_its_base_without_its_uncommitted_changes(repo, main):
    write(main, {"a.csv": "changed", "new.csv": "1"})
    exp = repo.create_branch("exp")
    assert exp.head == main.head
    assert keys(exp) == ["a.csv", "b.csv", "img/1.png"]
    assert read(exp, "a.csv").startswith("id,n")
    assert len(exp.uncommitted()) == 0


@pytest.mark.parametrize("base", ["main", "main@", "main~1", "v1", "commit", "branch"])
def test_a_branch_begins_at_any_ref(repo, main, base):
    first = main.head
    repo.create_tag("v1", first)
    write(main, {"a.csv": "2"})
    second = main.commit("Second")
    wanted = first if base in {"main~1", "v1"} else second
    given = {"commit": second, "branch": main}.get(base, base)
    assert repo.create_branch("exp", given).head == wanted


def test_creating_a_branch_again_is_an_error_unless_asked_for(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"a.csv": "kept"})
    with pytest.raises(ds.AlreadyExists, match="exp"):
        repo.create_branch("exp")
    again = repo.create_branch("exp", exist_ok=True)
    assert again == exp
    assert read(again, "a.csv") == "kept"


def test_exist_ok_does_not_take_a_tag_for_a_branch(repo, main):
    repo.create_tag("v1", "main")
    with pytest.raises(ds.AlreadyExists, match="v1"):
        repo.create_branch("v1", exist_ok=True)


def test_branches_are_listed_by_name_without_the_hidden_ones(repo):
    repo.create_branch("zeta")
    repo.create_branch("alpha")
    repo.create_branch("secret", hidden=True)
    assert [branch.name for branch in repo.branches()] == ["alpha", "main", "zeta"]
    assert [branch.name for branch in repo.branches(hidden=True)] == ["alpha", "main", "secret", "zeta"]
    assert repo.branch().name == "main"


def test_a_deleted_branch_comes_back_with_its_uncommitted_changes(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "committed"})
    exp.commit("c")
    write(exp, {"d.csv": "not committed"})
    repo.delete_branch("exp")
    assert [branch.name for branch in repo.branches()] == ["main"]
    with pytest.raises(ds.NotFound):
        keys(exp)
    back = repo.undelete_branch("exp")
    assert (read(back, "c.csv"), read(back, "d.csv")) == ("committed", "not committed")
    assert back.uncommitted().added == ["d.csv"]


def test_the_default_branch_cannot_be_deleted(repo, main):
    with pytest.raises(ds.Forbidden, match="default"):
        repo.delete_branch("main")
    assert keys(main)


@pytest.mark.parametrize("verb", ["commit", "head", "uncommitted", "reset", "delete", "base", "write", "list"])
def test_a_typo_in_a_branch_names_the_nearest_one_and_makes_nothing(repo, main, verb):
    wrong = repo.branch("mian")
    calls = {
        "commit": lambda: wrong.commit("x"),
        "head": lambda: wrong.head,
        "uncommitted": wrong.uncommitted,
        "reset": wrong.reset,
        "delete": lambda: repo.delete_branch("mian"),
        "base": lambda: repo.create_branch("exp", "mian"),
        "write": lambda: pd.DataFrame({"a": [1]}).to_csv(wrong / "a.csv"),
        "list": lambda: keys(wrong),
    }
    with pytest.raises(ds.NotFound) as caught:
        calls[verb]()
    assert "mian" in str(caught.value)
    assert "main" in (caught.value.hint or "")
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


@pytest.mark.parametrize("name", ["exp/1", "", "-x", "a b", "main@", "main~1", "f" * 64])
def test_a_name_that_is_none_for_a_branch_is_refused(repo, main, name):
    with pytest.raises(ds.ValidationError):
        repo.create_branch(name)
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]


# ---------------------------------------------------------------------------------------------------------------- tags


def test_a_tag_names_a_commit_for_good(repo, main):
    first = main.head
    assert repo.create_tag("v1", "main").commit == first.id
    assert repo.create_tag("v1", first).commit == first.id  # a notebook runs twice
    write(main, {"a.csv": "2"})
    main.commit("Second")
    with pytest.raises(ds.AlreadyExists, match="v1"):
        repo.create_tag("v1", "main")
    assert [(tag.name, tag.commit) for tag in repo.tags()] == [("v1", first.id)]
    assert repo.commit_of("v1") == first


def test_a_tag_cannot_be_written_to(repo, main):
    repo.create_tag("v1", main)
    with pytest.raises(ds.Forbidden, match="tag"):
        pd.DataFrame({"a": [1]}).to_csv(repo.url("a.csv", ref="v1"))
    with pytest.raises(ds.ValidationError, match="not a branch"):
        _ = repo.branch("v1").head


def test_a_deleted_tag_is_gone(repo, main):
    repo.create_tag("v1", main)
    repo.delete_tag("v1")
    assert list(repo.tags()) == []
    with pytest.raises(ds.NotFound, match="v1"):
        repo.delete_tag("v1")


# ------------------------------------------------------------------------------------------------------------- commits


def test_a_commit_carries_what_was_said_of_it(repo, main, monkeypatch):
    before = main.head
    write(main, {"a.csv": "2"})
    made = main.commit("Second", metadata={"run": "12", "note": "a\nb"})
    assert made == main.head
    assert made.message == "Second"
    assert made.parents == (before.id,)
    assert dict(made.metadata) == {"run": "12", "note": "a\nb"}
    assert made.author
    assert made.time.utcoffset() == timedelta(0)
    assert abs(datetime.now(UTC) - made.time) < timedelta(minutes=5)
    assert len(main.uncommitted()) == 0


@pytest.mark.parametrize(("ref", "wanted"), [("main", 1), ("main@", 1), ("main~1", 0), ("main^", 0), ("v1", 0)])
def test_refs_name_commits(repo, main, ref, wanted):
    first = main.head
    repo.create_tag("v1", first)
    write(main, {"a.csv": "2"})
    second = main.commit("Second")
    assert repo.commit_of(ref) == (first, second)[wanted]


def test_a_commit_is_named_by_eight_digits_but_not_by_seven(repo, main):
    head = main.head
    assert repo.commit_of(head.id[:8]) == repo.commit_of(head.id) == head
    with pytest.raises(ds.NotFound):
        repo.commit_of(head.id[:7])


def test_nothing_to_commit(repo, main):
    head = main.head
    with pytest.raises(ds.NothingToCommit, match="main"):
        main.commit("Nothing")
    assert main.commit("Nothing", empty="skip") == head
    assert main.head == head
    made = main.commit("Nothing", empty="allow")
    assert made.parents == (head.id,)
    assert len(made.diff()) == 0


def test_writing_the_same_bytes_again_is_nothing_to_commit(main):
    write(main, {"b.csv": read(main, "b.csv")})
    assert len(main.uncommitted()) == 0
    with pytest.raises(ds.NothingToCommit):
        main.commit("Same")


def test_nothing_to_commit_names_the_commit_that_took_mine(repo, main):
    write(main, {"mine.csv": "1"})
    program = "import datastore; datastore.repo('garments').branch('main').commit('By somebody else')"
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)
    with pytest.raises(ds.NothingToCommit, match=main.head.id[:8]):
        Repo("garments").branch("main").commit("Mine")


@pytest.mark.parametrize("message", ["", "  \n"])
def test_a_commit_needs_a_message(main, message):
    write(main, {"a.csv": "2"})
    with pytest.raises(ds.ValidationError, match="message"):
        main.commit(message)
    assert main.uncommitted().changed == ["a.csv"]


@pytest.mark.parametrize("metadata", [{"run": 12}, {1: "a"}, {"a": "x" * 70_000}, "text"])
def test_metadata_is_text(main, metadata):
    write(main, {"a.csv": "2"})
    with pytest.raises(ds.ValidationError):
        main.commit("Second", metadata=metadata)
    assert main.uncommitted().changed == ["a.csv"]


def test_wrong_values_of_options_are_named(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("c")
    head = main.head
    for call in (
        lambda: main.commit("x", empty="skipp"),
        lambda: repo.merge("exp", empty="never"),
        lambda: repo.merge("exp", strategy="ours"),
        lambda: repo.merge("exp", choose={"c.csv": "theirs"}),
    ):
        with pytest.raises(ds.ValidationError, match=r"skipp|never|ours|theirs") as caught:
            call()
        assert caught.value.hint
    assert main.head == head


# ------------------------------------------------------------------------------------------------------ log, time, diff


def test_log_is_newest_first_and_by_key(repo, main):
    write(main, {"a.csv": "2"})
    second = main.commit("Second")
    write(main, {"img/2.png": "2"})
    third = main.commit("Third")
    assert [commit.message for commit in repo.log()][:3] == ["Third", "Second", "First rows"]
    assert [commit.id for commit in main.log(limit=1)] == [third.id]
    assert [commit.message for commit in repo.log(key="a.csv")] == ["Second", "First rows"]
    assert [commit.message for commit in repo.log(key="img")] == ["Third", "First rows"]
    assert repo.log(second)[0].message == "Second"
    assert list(repo.log(limit=0)) == []


def test_log_by_first_parent_leaves_out_what_came_in_by_merges(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("On exp")
    repo.merge(exp, message="Merged")
    assert "On exp" in [commit.message for commit in repo.log()]
    assert [commit.message for commit in repo.log(first_parent=True)][:2] == ["Merged", "First rows"]


def test_a_log_is_a_sequence_and_a_frame(main):
    log = main.log()
    assert log[0] == main.head
    assert [commit.id for commit in log[:1]] == [main.head.id]
    frame = log.to_pandas()
    assert list(frame["id"]) == [commit.id for commit in log]
    assert frame["message"][0] == "First rows"


def test_diff_compares_commits_and_not_uncommitted_changes(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"a.csv": "2", "b.csv": None, "c.csv": "1"})
    assert len(repo.diff("main", "exp")) == 0
    exp.commit("Changes")
    found = repo.diff(main, exp)
    assert (found.added, found.removed, found.changed) == (["c.csv"], ["b.csv"], ["a.csv"])
    back = repo.diff("exp", "main")
    assert (back.added, back.removed, back.changed) == (["b.csv"], ["c.csv"], ["a.csv"])
    assert list(found.to_pandas()["kind"]) == ["changed", "removed", "added"]


def test_diff_from_the_merge_base_shows_only_one_side(repo, main):
    exp = repo.create_branch("exp")
    base = main.head
    write(exp, {"exp.csv": "1"})
    exp.commit("exp")
    write(main, {"main.csv": "1"})
    main.commit("main")
    assert repo.diff("main", "exp").removed == ["main.csv"]
    found = repo.diff("main", "exp", merge_base=True)
    assert [(change.key, change.kind) for change in found] == [("exp.csv", "added")]
    assert repo.merge_base("main", "exp") == base


def test_diff_under_a_prefix(repo, main):
    write(main, {"img/2.png": "2", "z.csv": "1"})
    main.commit("More")
    assert repo.diff("main~1", "main", prefix="img/").added == ["img/2.png"]


def test_a_diff_compares_the_rows_of_a_table(repo, main):
    write(main, {"a.csv": "id,n\n1,uno\n3,three\n"})
    main.commit("Rows")
    found = repo.diff("main~1", "main").table("a.csv", key="id")
    assert dict(found.counts) == {"added": 1, "removed": 1, "changed": 1}


def test_a_commit_tells_what_it_changed(main):
    write(main, {"a.csv": "2"})
    assert main.commit("Second").diff().changed == ["a.csv"]


def test_repo_at_a_ref_is_a_pinned_url(repo, main):
    first = main.head
    url = repo.at("main")
    write(main, {"a.csv": "id\n9\n"})
    main.commit("Second")
    assert isinstance(url, ds.DatasetURL)
    assert url.ref == first.id
    assert list(pd.read_csv(url / "a.csv")["id"]) == [1, 2]
    assert repo.at(first) == repo.at("main~1") == repo.at(first.id[:8]) == url


def test_repo_at_a_time(repo, main, monkeypatch):
    first = main.head
    write(main, {"a.csv": "2"})
    second = main.commit("Second")
    assert second.time > first.time
    assert repo.at(second.time).ref == second.id
    assert repo.at(second.time - timedelta(microseconds=1)).ref == first.id
    assert repo.at(datetime.now(UTC) + timedelta(days=1)).ref == second.id
    assert repo.at(first.time, branch="main").ref == first.id


def test_a_naive_time_is_local(repo, main):
    time = main.head.time
    local = time.astimezone().replace(tzinfo=None)
    assert repo.at(local).ref == main.head.id
    assert repo.at(pd.Timestamp(local)).ref == main.head.id
    elsewhere = time.astimezone(timezone(timedelta(hours=-7)))
    assert repo.at(elsewhere).ref == repo.at(pd.Timestamp(elsewhere)).ref == main.head.id
    with pytest.raises(ds.ValidationError, match="branch"):
        repo.at("main", branch="main")


def test_a_time_before_the_first_commit_is_an_error_that_says_so(repo, main):
    with pytest.raises(ds.NotFound, match=r"main.*2001"):
        repo.at(datetime(2001, 1, 1))  # noqa: DTZ001 - naive on purpose
    with pytest.raises(ds.NotFound, match="2001"):
        repo.at(datetime(2001, 1, 1, tzinfo=UTC))


def test_merged_commits_count_from_their_merge(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    work = exp.commit("On exp")
    merged = repo.merge(exp)
    assert repo.at(work.time).ref != work.id  # at that time, main did not have it
    assert repo.at(merged.time).ref == merged.id
    assert repo.at(work.time, branch="exp").ref == work.id


@pytest.mark.parametrize("ref", [None, 5, date(2020, 1, 1), b"main"])
def test_what_cannot_be_a_ref_is_named(repo, main, ref):
    for call in (repo.at, repo.commit_of, lambda ref: repo.diff("main", ref), lambda ref: repo.create_branch("x", ref)):
        with pytest.raises(ds.ValidationError, match="ref"):
            call(ref)


def test_a_branch_or_commit_of_another_repo_is_refused(repo, main):
    other = ds.create_repo("other-repo")
    exp, own = other.create_branch("exp"), repo.create_branch("exp")
    write(own, {"c.csv": "1"})
    own.commit("c")
    for ref in (exp, exp.head):
        for call in (repo.merge, repo.commit_of, repo.at, lambda ref: repo.create_branch("x", ref)):
            with pytest.raises(ds.ValidationError, match="other-repo"):
                call(ref)
    assert repo.log()[0].message == "First rows"


# --------------------------------------------------------------------------------------------------------------- merge


@pytest.fixture
def conflicting(repo, main):
    """Branch exp and main both changed a.csv; exp also added c.csv."""
    exp = repo.create_branch("exp")
    write(exp, {"a.csv": "exp", "c.csv": "1"})
    exp.commit("On exp")
    write(main, {"a.csv": "main"})
    main.commit("On main")
    return exp


def test_a_merge_has_both_parents(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    work = exp.commit("On exp")
    before = main.head
    merged = repo.merge("exp", metadata={"by": "me"})
    assert merged.parents == (before.id, work.id)
    assert "exp" in merged.message
    assert merged.metadata["by"] == "me"
    assert read(main, "c.csv") == "1"


def test_a_squashed_merge_has_one_parent(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("On exp")
    before = main.head
    merged = repo.merge(exp, main, squash=True, message="Squashed")
    assert merged.parents == (before.id,)
    assert [commit.message for commit in repo.log()][:2] == ["Squashed", "First rows"]


def test_merging_twice(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("On exp")
    merged = repo.merge("exp")
    with pytest.raises(ds.NothingToCommit, match="exp"):
        repo.merge("exp")
    assert repo.merge("exp", empty="skip") == merged
    assert repo.merge(exp, main, empty="skip", squash=True) == merged
    assert main.head == merged


def test_a_conflict_names_keys_and_both_sides_and_changes_nothing(repo, main, conflicting):
    head = main.head
    with pytest.raises(ds.MergeConflict, match=r"a\.csv") as caught:
        repo.merge("exp")
    assert caught.value.paths == ["a.csv"]
    [conflict] = caught.value.conflicts
    assert (conflict.source.size, conflict.dest.size) == (3, 4)
    assert conflict.base.size == len("id,n\n1,one\n2,two\n")
    assert main.head == head
    assert len(main.uncommitted()) == 0
    assert "c.csv" not in keys(main)


def test_conflicts_are_values_before_any_merge(repo, main, conflicting):
    assert [conflict.key for conflict in repo.conflicts("exp")] == ["a.csv"]
    assert [conflict.key for conflict in repo.conflicts(conflicting, main)] == ["a.csv"]
    assert list(repo.conflicts("main~1", "exp")) == []


@pytest.mark.parametrize(("options", "text"), [
    ({"strategy": "source-wins"}, "exp"),
    ({"strategy": "dest-wins"}, "main"),
    ({"choose": {"a.csv": "source"}}, "exp"),
    ({"choose": {"a.csv": "dest"}}, "main"),
    ({"choose": {"a.csv": "dest"}, "strategy": "source-wins"}, "main"),
])  # fmt: skip
def test_a_conflict_is_settled_by_strategy_or_choice(repo, main, conflicting, options, text):
    repo.merge("exp", **options)
    assert read(main, "a.csv") == text
    assert read(main, "c.csv") == "1"


def test_a_merge_into_uncommitted_changes_is_refused_and_names_them(repo, main, conflicting):
    write(main, {"mine.csv": "1"})
    with pytest.raises(ds.UncommittedChanges, match=r"mine\.csv") as caught:
        repo.merge("exp", strategy="source-wins")
    assert caught.value.keys == ("mine.csv",)
    assert main.uncommitted().added == ["mine.csv"]


def test_uncommitted_changes_of_the_source_are_not_merged(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("c")
    write(exp, {"d.csv": "1"})
    repo.merge(exp)
    assert "c.csv" in keys(main)
    assert "d.csv" not in keys(main)


@pytest.mark.parametrize("into", ["v1", "main@", "main~1", "mian"])
def test_only_a_branch_can_be_merged_into(repo, main, into):
    exp = repo.create_branch("exp")
    repo.create_tag("v1", "main")
    write(exp, {"c.csv": "1"})
    exp.commit("c")
    with pytest.raises((ds.NotFound, ds.Forbidden, ds.ValidationError)) as caught:
        repo.merge("exp", into)
    assert into in str(caught.value)


# ----------------------------------------------------------------------------------------- revert, pick, restore, reset


def test_revert_commits_the_opposite(repo, main):
    before = read(main, "a.csv")
    write(main, {"a.csv": "bad", "c.csv": "bad"})
    bad = main.commit("Bad")
    write(main, {"d.csv": "good"})
    main.commit("Good")
    undone = main.revert(bad)
    assert read(main, "a.csv") == before
    assert keys(main) == ["a.csv", "b.csv", "d.csv", "img/1.png"]
    assert undone.metadata["reverts"] == bad.id
    assert "Bad" in undone.message
    with pytest.raises(ds.NothingToCommit):
        main.revert(bad.id[:8])


def test_revert_of_a_merge(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("c")
    write(main, {"d.csv": "1"})
    main.commit("d")
    merged = repo.merge(exp)
    main.revert(merged, message="Without exp")
    assert keys(main) == ["a.csv", "b.csv", "d.csv", "img/1.png"]
    assert main.head.message == "Without exp"
    with pytest.raises(ds.ValidationError, match="parent 3"):
        main.revert(merged, parent=3)


def test_cherry_pick_takes_one_commit(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    exp.commit("c")
    write(exp, {"d.csv": "1"})
    wanted = exp.commit("d", metadata={"run": "7"})
    picked = main.cherry_pick(wanted)
    assert keys(main) == ["a.csv", "b.csv", "d.csv", "img/1.png"]
    assert (picked.message, picked.parents[0]) == ("d", repo.commit_of("main~1").id)
    assert dict(picked.metadata) == {"run": "7", "cherry-picked-from": wanted.id}


def test_restore_brings_an_object_or_a_prefix_back_uncommitted(repo, main):
    before = read(main, "a.csv")
    write(main, {"a.csv": "2", "img/1.png": "2", "img/2.png": "2"})
    main.commit("Second")
    assert main.restore("a.csv", "main~1") == 1
    assert read(main, "a.csv") == before
    assert main.uncommitted().changed == ["a.csv"]
    assert main.restore("img/", repo.commit_of("main~1")) == 2
    assert keys(main, "img/") == ["img/1.png"]
    assert main.restore("a.csv") == 1  # from its own head
    assert read(main, "a.csv") == "2"
    with pytest.raises(ds.NotFound, match="zzz"):
        main.restore("zzz", "main~1")


def test_reset_drops_uncommitted_changes(main):
    def change():
        write(main, {"a.csv": "2", "img/1.png": "2", "img/2.png": "2", "img2/1.png": "2"})

    change()
    assert main.reset(key="a.csv") == 1
    assert [change.key for change in main.uncommitted()] == ["img/1.png", "img/2.png", "img2/1.png"]
    assert main.reset("img/") == 2
    assert [change.key for change in main.uncommitted()] == ["img2/1.png"]
    change()
    assert main.reset() == 4
    assert len(main.uncommitted()) == 0
    assert main.reset() == 0


def test_reset_of_both_a_prefix_and_a_key_is_refused(main):
    write(main, {"a.csv": "2"})
    with pytest.raises(ds.ValidationError, match="key"):
        main.reset("img/", key="a.csv")
    assert main.uncommitted().changed == ["a.csv"]


# ------------------------------------------------------------------------------------------------------ rename and copy


def test_rename_and_copy_move_no_bytes(main, place):
    main.objects.put("big.bin", bytes(range(256)) * 1000)
    main.commit("Big")
    before = blobs(place)
    assert before
    digest = main.objects.head("big.bin").digest
    main.rename("big.bin", "new/big.bin")
    main.copy("new/big.bin", "copy.bin")
    assert "big.bin" not in keys(main)
    assert main.objects.head("new/big.bin").digest == main.objects.head("copy.bin").digest == digest
    main.commit("Renamed")
    assert blobs(place) == before


def test_renaming_to_the_same_key_loses_nothing(main):
    main.rename("a.csv", "a.csv")
    main.copy("b.csv", "b.csv")
    assert len(main.uncommitted()) == 0
    assert read(main, "a.csv").startswith("id,n")


@pytest.mark.parametrize("verb", ["rename", "copy"])
def test_renaming_what_is_not_there_or_to_a_bad_key_changes_nothing(main, verb):
    with pytest.raises(ds.NotFound, match=r"a\.cvs") as caught:
        getattr(main, verb)("a.cvs", "new.csv")
    assert "a.csv" in caught.value.hint
    for bad in ("x/../y", "a::b", ""):
        with pytest.raises(ds.ValidationError):
            getattr(main, verb)("a.csv", bad)
    with pytest.raises(ds.NotFound):
        getattr(main, verb)("zzz", "zzz")
    assert len(main.uncommitted()) == 0


def test_a_renamed_repo_keeps_everything(repo, main):
    head = main.head
    renamed = repo.rename("clothes")
    assert renamed.branch("main").head.id == head.id
    assert [found.name for found in ds.repos()] == ["clothes"]
    with pytest.raises(ds.NotFound, match="garments"):
        keys(main)
    ds.create_repo("shoes")
    ds.mount("scratch", "memory")
    for taken in ("shoes", "scratch", "local"):
        with pytest.raises(ds.AlreadyExists, match=taken):
            renamed.rename(taken)
    with pytest.raises(ds.ValidationError):
        renamed.rename("No Name")
    assert keys(renamed.branch("main"))


# ------------------------------------------------------------------------------------------------------------- protect


def test_a_protected_branch_takes_changes_only_by_merge_and_revert(repo, main):
    exp = repo.create_branch("exp")
    write(exp, {"c.csv": "1"})
    work = exp.commit("c")
    main.protect()
    with pytest.raises(ds.Forbidden, match="protected"):
        write(main, {"a.csv": "2"})
    with pytest.raises(ds.Forbidden, match="protected"):
        main.cherry_pick(work)
    with pytest.raises(ds.Forbidden, match="protected"):
        main.commit("x", empty="allow")
    merged = repo.merge(exp)
    assert main.head == merged
    main.revert(merged)
    assert "c.csv" not in keys(main)
    main.protect(on=False)
    write(main, {"a.csv": "2"})
    assert main.commit("Free again").message == "Free again"


# ------------------------------------------------------------------------------------------------------------- handles


def test_handles_are_free_and_create_nothing(place):
    handle = Repo("nowhere")
    branch = Branch(handle, "main")
    assert branch / "a b/#1.csv" == "ds://nowhere@main/a b/#1.csv"
    assert handle.url("x.csv") == "ds://nowhere/x.csv"
    assert handle.url() == "ds://nowhere/"
    assert handle.url(ref="v1") == "ds://nowhere@v1/"
    assert not (place / "store").exists()
    with pytest.raises(ds.NotFound, match="nowhere"):
        handle.branches()
    assert not (place / "store").exists()


def test_equal_handles_are_equal(repo, main):
    assert Repo("garments") == repo
    assert Repo("garments").branch("main") == main
    assert repo.branch("main") != repo.branch("exp")
    assert len({repo, Repo("garments")}) == len({main, repo.branch("main")}) == 1
    assert repo.commit_of("main") == main.head
    assert len({repo.commit_of("main"), main.head}) == 1


def test_a_notebook_can_be_run_again(place):
    def notebook():
        repo = ds.create_repo("garments", exist_ok=True)
        main = repo.branch("main")
        write(main, {"a.csv": "id\n1\n"})
        main.commit("Rows", empty="skip")
        exp = repo.create_branch("exp", exist_ok=True)
        write(exp, {"a.csv": "id\n1\n2\n"})
        exp.commit("More rows", empty="skip")
        with repo.experiment("dedupe", resume="allow") as experiment:
            write(experiment.branch, {"b.csv": "id\n1\n"})
            experiment.commit("b", empty="skip")
        with repo.transaction(message="Together") as tx:
            write(tx.branch, {"c.csv": "1", "d.csv": "1"})
        repo.create_tag("v1", "main")
        return repo

    first = notebook()
    log = [commit.id for commit in first.log()]
    assert [commit.id for commit in notebook().log()] == log
    # merging comes last in a notebook; its second run finds everything there
    merged = first.merge("exp", empty="skip")
    assert first.merge("exp", empty="skip") == merged
