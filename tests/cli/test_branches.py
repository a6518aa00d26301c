def test_branch_lists_and_makes(run, garments):
    head = garments.branch("main").head.id
    assert run("branch", "garments", "fix").rows == [["fix", head, ""]]
    assert run("branch", "garments", "old", "--base", "v1", "--json").json == {
        "name": "old",
        "head": garments.commit_of("v1").id,
        "hidden": False,
        "protected": False,
        "default": False,
    }
    assert [row[0] for row in run("branch", "garments").rows] == ["exp", "fix", "main", "old"]
    assert [branch["name"] for branch in run("branch", "garments", "--json").json if branch["default"]] == ["main"]


def test_branch_that_is_there(run, fail, garments):
    assert "--exist-ok" in fail("branch", "garments", "exp")
    run("branch", "garments", "exp", "--exist-ok")


def test_a_hidden_branch_is_listed_only_where_asked_for(run, garments):
    run("branch", "garments", "secret", "--hidden")
    assert "secret" not in run("branch", "garments").out
    assert "secret" in run("branch", "garments", "--hidden").out


def test_a_deleted_branch_comes_back(run, garments):
    head = garments.branch("exp").head.id
    assert run("branch", "garments", "exp", "--delete", "--json").json == {"deleted": "exp"}
    assert [row[0] for row in run("branch", "garments").rows] == ["main"]
    assert run("branch", "garments", "exp", "--undelete").rows == [["exp", head, ""]]


def test_a_protected_branch_is_not_deleted(run, fail, garments):
    assert run("branch", "garments", "exp", "--protect").rows[0][2] == "protected"
    assert "datastore branch REPO exp --unprotect" in fail("branch", "garments", "exp", "--delete")
    run("branch", "garments", "exp", "--unprotect")
    run("branch", "garments", "exp", "--delete")


def test_options_of_branch_that_do_not_go_together(fail, garments):
    assert "together" in fail("branch", "garments", "exp", "--delete", "--protect", code=2)
    assert "together" in fail("branch", "garments", "exp", "--delete", "--base", "v1", code=2)
    assert "name" in fail("branch", "garments", "--delete", code=2)


def test_branch_takes_a_repo_and_no_ref(fail, garments):
    assert "write garments" in fail("branch", "garments@main", code=2)


def test_tag_lists_makes_and_deletes(run, garments):
    assert run("tag", "garments").rows == [["v1", garments.commit_of("v1").id]]
    assert run("tag", "garments", "v2").rows == [["v2", garments.branch("main").head.id]]
    assert run("tag", "garments", "v0", "main~1", "--json").json == {
        "name": "v0",
        "commit": garments.commit_of("v1").id,
    }
    run("tag", "garments", "v2", "--delete")
    assert [tag["name"] for tag in run("tag", "garments", "--json").json] == ["v0", "v1"]


def test_a_tag_never_moves(fail, garments):
    assert "'v1'" in fail("tag", "garments", "v1", "exp")


def test_a_tag_is_deleted_by_its_name_alone(fail, garments):
    assert "NAME --delete" in fail("tag", "garments", "--delete", code=2)
    assert "did you mean 'v1'?" in fail("tag", "garments", "v11", "--delete")
