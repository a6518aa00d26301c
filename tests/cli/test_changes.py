import pytest


def test_commit_answers_with_the_commit(run, garments):
    garments.branch("exp").objects.put("x.csv", b"1")
    [[commit, time, author, message]] = run("commit", "garments@exp", "-m", "Add x").rows
    assert (commit, author, message) == (garments.branch("exp").head.id, "Ada", "Add x")
    assert time.endswith("Z")


def test_commit_keeps_metadata(run, garments):
    garments.branch("main").objects.put("x.csv", b"1")
    made = run("commit", "garments", "-m", "Add x", "--meta", "lr=3e-4", "--meta", "note=a=b", "--json").json
    assert made["metadata"] == {"lr": "3e-4", "note": "a=b"}


def test_commit_of_nothing(run, fail, garments):
    assert "--empty skip" in fail("commit", "garments", "-m", "Nothing")
    assert run("commit", "garments", "-m", "Nothing", "--empty", "skip").rows[0][3] == "Another image"
    assert run("commit", "garments", "-m", "Nothing", "--empty", "allow").rows[0][3] == "Nothing"


def test_commit_without_a_message_or_with_half_a_pair(fail, garments):
    assert "--message" in fail("commit", "garments", code=2)
    assert "--meta name=value" in fail("commit", "garments", "-m", "x", "--meta", "lr", code=2)


def test_commit_takes_no_key(fail, garments):
    assert "write garments@main" in fail("commit", "ds://garments@main/train.csv", "-m", "x", code=2)


def test_merge_brings_in_and_squashes(run, garments):
    made = run("merge", "garments", "exp", "-m", "Bring it in", "--json").json
    assert (made["message"], made["parents"][1]) == ("Bring it in", garments.branch("exp").head.id)
    run("branch", "garments", "more", "--base", "v1")
    made = run("merge", "garments", "main", "more", "--squash", "--json").json
    assert made["parents"] == [garments.commit_of("v1").id]


@pytest.fixture
def conflict(garments):
    main = garments.branch("main")
    main.objects.put("train.csv", b"sku,price\n")
    main.commit("No rows")


def test_merge_with_a_conflict_names_the_keys_and_the_ways_out(run, fail, garments, conflict):
    told = fail("merge", "garments", "exp")
    assert "'train.csv'" in told
    assert "--choose KEY=source" in told
    assert "--strategy dest-wins" in told
    assert run("log", "garments", "-n", 1).rows[0][3] == "No rows"


@pytest.mark.parametrize(
    ("options", "side"),
    [
        (["--choose", "train.csv=source"], "exp"),
        (["--choose", "train.csv=dest"], "main~1"),
        (["--strategy", "source-wins"], "exp"),
        (["--strategy", "dest-wins"], "main~1"),
    ],
)
def test_merge_settles_a_conflict_as_told(run, garments, conflict, options, side):
    run("merge", "garments", "exp", *options)
    digests = [garments.versioned.at(ref).head("train.csv").digest for ref in ("main", side)]
    assert digests[0] == digests[1]


def test_merge_of_what_is_there(run, fail, garments):
    run("merge", "garments", "exp")
    fail("merge", "garments", "exp")
    run("merge", "garments", "exp", "--empty", "skip")


def test_merge_with_a_side_that_is_none(fail, garments):
    fail("merge", "garments", "exp", "--choose", "train.csv=theirs")
    assert "source-wins" in fail("merge", "garments", "exp", "--strategy", "ours", code=2)


def test_reset_drops_changes_and_says_how_many(run, fail, garments):
    main = garments.branch("main").objects
    for key in ("images/a.png", "images/c.png", "x.csv", "x.csv.bak"):
        main.put(key, b"changed")
    assert "this drops 4 uncommitted changes of garments@main" in fail("reset", "garments")
    assert "this drops 2 uncommitted changes" in fail("reset", "garments", "images/")
    assert "this drops 1 uncommitted change of" in fail("reset", "garments", "--key", "x.csv")
    assert len(garments.branch("main").uncommitted()) == 4
    assert run("reset", "garments", "--key", "x.csv", "--yes").out == "dropped 1 uncommitted change\n"
    assert run("reset", "garments", "images/", "--yes", "--json").json == {"dropped": 2}
    assert [change.key for change in garments.branch("main").uncommitted()] == ["x.csv.bak"]
    run("reset", "garments@main", "-y")
    assert run("reset", "garments").out == "dropped 0 uncommitted changes\n"


def test_reset_takes_a_prefix_or_a_key(fail, garments):
    assert "together" in fail("reset", "garments", "images/", "--key", "x", code=2)


def test_restore_takes_an_object_or_a_prefix_from_a_ref(run, garments):
    main = garments.branch("main")
    main.objects.put("train.csv", b"broken")
    assert run("restore", "ds://garments/train.csv").out == "1 object changed\n"
    assert main.objects.read("train.csv").read() == b"sku,price\n1,10\n2,20\n"
    assert run("restore", "ds://garments/images/", "--from", "v1", "--json").json == {"changed": 1}
    assert main.uncommitted().removed == ["images/b.png"]


def test_restore_of_a_key_that_is_not_there(fail, garments):
    assert "trian.csv" in fail("restore", "ds://garments/trian.csv", "--from", "v1")


def test_revert_and_cherry_pick(run, garments):
    [[_, _, _, message]] = run("cherry-pick", "garments", "exp").rows
    assert message == "Dearer"
    assert run("diff", "garments", "main", "exp").rows == []
    made = run("revert", "garments", "main", "-m", "Cheaper", "--json").json
    assert (made["message"], "reverts" in made["metadata"]) == ("Cheaper", True)
    assert run("diff", "garments", "main", "main~2").rows == []


def test_revert_of_a_parent_that_is_none(fail, garments):
    assert "--parent 1" in fail("revert", "garments", "main", "--parent", "2")
    fail("cherry-pick", "garments", "nosuch")
