import pytest


def test_status_lists_uncommitted_changes(run, garments):
    assert run("status", "garments").rows == []
    main = garments.branch("main").objects
    main.delete(["train.csv"])
    main.put("images/a.png", b"PNG, larger")
    main.put("new.csv", b"1")
    assert run("status", "garments@main").rows == [
        ["changed", "8", "images/a.png"],
        ["added", "1", "new.csv"],
        ["removed", "-20", "train.csv"],
    ]
    assert run("status", "ds://garments@main/images/").rows == [["changed", "8", "images/a.png"]]


def test_status_json(run, garments):
    garments.branch("exp").objects.put("new.csv", b"1")
    found = run("status", "garments@exp", "--json").json
    assert (found["repo"], found["branch"]) == ("garments", "exp")
    assert found["head"]["id"] == garments.branch("exp").head.id
    [change] = found["uncommitted"]
    assert (change["key"], change["kind"], change["before"], change["after"]["size"]) == ("new.csv", "added", None, 1)
    assert change["after"]["modified"].endswith("Z")


def test_status_of_a_misspelt_branch_names_the_right_one(fail, garments):
    assert "did you mean 'main'?" in fail("status", "garments@mian")


def test_diff_compares_two_refs_or_two_urls(run, garments):
    assert run("diff", "garments", "v1", "exp").rows == [["added", "4", "images/b.png"], ["changed", "5", "train.csv"]]
    urls = ("ds://garments@v1/images/", "ds://garments@exp/images/")
    assert [row[0] for row in run("diff", *urls).rows] == ["added"]


def test_diff_from_the_merge_base(run, garments):
    main = garments.branch("main")
    main.objects.put("later.csv", b"1")
    main.commit("Later")
    assert [row[2] for row in run("diff", "garments", "main", "exp").rows] == ["later.csv", "train.csv"]
    assert [row[2] for row in run("diff", "garments", "main", "exp", "--merge-base").rows] == ["train.csv"]


def test_diff_json(run, garments):
    [change] = run("diff", "garments", "main", "exp", "--json").json
    assert (change["key"], change["kind"]) == ("train.csv", "changed")
    assert (change["before"]["size"], change["after"]["size"]) == (20, 25)
    assert change["after"]["digest"].startswith("sha256:")


@pytest.mark.parametrize("sides", [("garments", "main", "exp"), ("ds://garments@main/", "ds://garments@exp/")])
def test_diff_of_a_tables_rows(run, garments, sides):
    text = run("diff", *sides, "--table", "train.csv", "--key", "sku").out
    assert "+1 added  -0 removed  ~1 changed" in text
    assert "20 → 21" in text
    assert "diff." not in text  # nothing that is Python's
    rows = run("diff", *sides, "--table", "train.csv", "--key", "sku", "--json").json
    assert (rows["added"], rows["changed"], rows["unchanged"]) == (1, 1, 1)
    assert rows["rows"][0] == {"kind": "changed", "key": {"sku": 2}, "before": {"price": 20}, "after": {"price": 21}}


def test_diff_of_a_table_without_a_key_names_one(fail, garments):
    assert "--key 'sku'" in fail("diff", "garments", "main", "exp", "--table", "train.csv")


@pytest.mark.parametrize(
    "sides", [("garments",), ("garments", "a", "b", "c"), ("garments", "main", "exp", "--key", "sku")]
)
def test_diff_says_what_it_takes(fail, garments, sides):
    assert "hint: " in fail("diff", *sides, code=2)


def test_diff_from_the_merge_base_needs_refs(fail, garments):
    assert "REPO A B" in fail("diff", "ds://garments@main/", "ds://garments@exp/", "--merge-base", code=2)


def test_log_gives_one_line_for_each_commit(run, garments):
    rows = run("log", "garments").rows
    assert [row[2:] for row in rows] == [["Ada", "Another image"], ["Ada", "First rows"], ["datastore", rows[2][3]]]
    assert rows[0][0] == garments.branch("main").head.id
    assert rows[0][1].endswith("Z")


def test_log_of_a_ref_of_a_key_and_of_a_url(run, garments):
    assert [row[3] for row in run("log", "garments@exp", "-n", 1).rows] == ["Dearer"]
    assert [row[3] for row in run("log", "garments@exp", "--key", "train.csv").rows] == ["Dearer", "First rows"]
    assert [row[3] for row in run("log", "ds://garments@exp/images/").rows] == ["Another image", "First rows"]


def test_log_by_first_parent_leaves_out_what_came_by_merge(run, garments):
    garments.merge("exp", "main", message="Bring it in")
    assert "Dearer" in run("log", "garments").out
    assert "Dearer" not in run("log", "garments", "--first-parent").out


def test_log_json_has_the_fields_of_a_commit(run, garments):
    garments.branch("main").objects.put("x", b"x")
    made = garments.branch("main").commit("Two\nlines", metadata={"lr": "3e-4"})
    [found] = run("log", "garments", "-n", 1, "--json").json
    assert found == {
        "id": made.id,
        "parents": list(made.parents),
        "author": "Ada",
        "time": made.time.isoformat().replace("+00:00", "Z"),
        "message": "Two\nlines",
        "metadata": {"lr": "3e-4"},
        "tree": made.info.tree,
    }
    assert run("log", "garments", "-n", 1).rows[0][3] == "Two …"


def test_log_of_a_misspelt_ref_names_the_right_one(fail, garments):
    assert "did you mean 'main'?" in fail("log", "garments@mian")


def test_log_with_two_keys(fail, garments):
    assert "twice" in fail("log", "ds://garments/images/", "--key", "train.csv", code=2)
