import datastore as ds
from datastore.namespace import reset_current


def test_clone_change_push_pull_and_do_nothing_the_second_time(run, garments):
    assert run("clone", "ds://garments", "mine", "--tags").rows[0][2:] == ["Ada", "Another image"]
    assert ds.repo("mine").commit_of("v1").message == "First rows"
    run("cp", __file__, "ds://mine@main/code.py")
    run("commit", "mine", "-m", "Code")
    pushed = run("push", "mine", "--json").json
    assert (pushed["source"], pushed["dest"], pushed["objects"]) == ("ds://mine@main", "ds://garments@main", 1)
    assert garments.branch().head.id == pushed["commits"][0]
    assert run("push", "mine").rows == []
    assert run("pull", "garments", "ds://mine").rows == []
    assert run("clone", "ds://garments", "mine", "--json").json["remote"] == "ds://garments"


def test_a_branch_goes_by_its_name(run, fail, garments):
    run("clone", "ds://garments", "mine")
    run("pull", "mine@exp")
    assert ds.repo("mine").branch("exp").head.message == "Dearer"
    assert "epx" in fail("pull", "mine@epx")
    assert "epx" in fail("push", "mine@epx")
    assert "mine@main" in fail("push", "mine@main/train.csv", code=2)


def test_who_parted_is_told_what_to_do(run, fail, garments):
    run("clone", "ds://garments", "mine")
    for name in ("garments", "mine"):
        branch = ds.repo(name).branch()
        branch.objects.put(f"{name}.txt", b"1")
        branch.commit(f"By {name}")
    told = fail("push", "mine")
    assert "went different ways after commit" in told
    assert "hint: datastore fetch REPO brings" in told
    (row,) = run("fetch", "mine").rows
    assert (row[0], row[-1]) == ("origin--main", "By garments")
    run("merge", "mine", "origin--main")
    assert len(run("push", "mine").rows) == 1
    assert len(ds.diff("ds://mine", "ds://garments")) == 0


def test_without_a_remote(fail, garments):
    assert "hint: say where once: datastore push REPO URL" in fail("push", "garments")


def test_repos_of_a_mount(run, folder, garments):
    (folder / "datastore.yaml").write_text("mounts: {team: {provider: embedded, path: team}}")
    reset_current()
    assert run("repo", "create", "team/garments").rows == [["team/garments"]]
    run("push", "garments", "ds://team/garments")
    assert run("ls", "team").rows == [["ds://team/garments/"]]
    found = run("ls", "ds://team/garments@main", "--json").json
    assert [(entry["url"], entry["key"]) for entry in found] == [
        ("ds://team/garments@main/images/", "images/"),
        ("ds://team/garments@main/train.csv", "train.csv"),
    ]
    assert run("log", "team/garments@main").rows == run("log", "ds://team/garments").rows
    run("repo", "delete", "team/garments", "--yes")
    assert run("ls", "team").rows == []
