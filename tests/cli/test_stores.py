import os

import datastore as ds
from datastore.namespace import current, reset_current


def test_mounts_tells_where_the_store_is_and_keeps_secrets(run, folder):
    (folder / "datastore.yaml").write_text(f"mounts:\n  disk: {{provider: local, path: {folder}}}\n")
    ds.mount("scratch", "memory")
    rows = run("mounts").rows
    assert rows[0] == ["(store)", "embedded", "versioned", "default", f"path={os.environ['DATASTORE_STORE']}"]
    assert rows[1] == ["disk", "local", "plain", str(folder / "datastore.yaml"), f"path={folder}"]
    assert rows[2][:4] == ["scratch", "memory", "plain", "session"]
    found = run("mounts", "--json").json
    assert (found["store"], found["file"]) == (os.environ["DATASTORE_STORE"], str(folder / "datastore.yaml"))
    assert found["mounts"][0] == {
        "name": "disk",
        "provider": "local",
        "options": {"path": str(folder)},
        "source": str(folder / "datastore.yaml"),
        "versioned": False,
    }


def test_mounts_with_a_broken_configuration(fail, folder):
    (folder / "datastore.yaml").write_text("muonts: {}\n")
    assert "mounts" in fail("mounts")


def test_repos_are_made_listed_renamed_and_deleted(run, fail):
    assert run("repo", "list").rows == []
    assert run("repo", "create", "garments", "--json").json == {"name": "garments", "url": "ds://garments/"}
    assert "--exist-ok" in fail("repo", "create", "garments")
    run("repo", "create", "garments", "--exist-ok")
    assert run("repo", "rename", "garments", "clothes").rows == [["clothes"]]
    assert run("repo", "list", "--json").json == [{"name": "clothes", "url": "ds://clothes/"}]
    assert "--yes" in fail("repo", "delete", "clothes")
    assert run("repo", "list").rows == [["clothes"]]
    run("repo", "delete", "clothes", "--yes")
    assert run("repo", "list").rows == []


def test_a_misspelt_repo_is_told_before_the_question(fail, garments):
    assert "did you mean 'garments'?" in fail("repo", "delete", "garmets")
    assert "did you mean 'create'?" in fail("repo", "crate", "x", code=2)


def test_repo_alone_shows_its_help(run):
    assert "rename" in run("repo").out


def test_check_of_a_sound_store(run, garments):
    assert run("check").out == ""
    assert run("check", "--quick", "--json").json == []
    assert run("check", os.environ["DATASTORE_STORE"]).out == ""


def test_check_of_a_damaged_store_names_what_is_damaged(garments, shell):
    garments.branch("main").objects.put("large.bin", b"x" * 100_000)
    garments.branch("main").commit("Large")
    digest = garments.branch("main").objects.head("large.bin").digest.removeprefix("sha256:")
    store = current().config.store
    reset_current()
    [blob] = (path for path in store.rglob("*") if path.is_file() and path.name in {digest, digest[2:]})
    blob.chmod(0o644)
    blob.write_bytes(b"y" * 100_000)
    assert shell("check", "--quick").returncode == 0  # the size is right
    done = shell("check")
    assert done.returncode == 1
    [line] = done.stdout.decode().splitlines()
    kind, found, _, needed_by = line.split("\t")
    assert (kind, found) == ("blob", digest)
    assert "large.bin" in needed_by


def test_check_of_what_is_no_store(fail, garments, folder):
    fail("check", folder / "nothing")
    fail("check", "nosuch")
    ds.mount("disk", "local", path=str(folder))
    assert "datastore check" in fail("check", "disk")


def test_collect_tells_what_goes_and_removes_it(run, fail, garments):
    garments.create_branch("x")
    garments.branch("x").objects.put("large.bin", b"x" * 100_000)
    garments.branch("x").commit("Large")
    garments.delete_branch("x")
    garments.branch("main").objects.put("never.txt", b"never")
    garments.branch("main").reset()
    never = ["blob", "1", "5", "no commit and no uncommitted change needs it"]
    assert run("collect", "--dry-run").rows == []  # young
    assert run("collect", "--dry-run", "--grace", "0").rows == [never]
    found = run("collect", "--grace", "0", "--json").json
    assert found["removed"] == [dict(zip(("kind", "count", "bytes", "reason"), ("blob", 1, 5, never[3]), strict=True))]
    assert (found["dry_run"], found["complete"], found["young"]) == (False, True, [])
    rows = run("collect", os.environ["DATASTORE_STORE"], "--grace", "0", "--keep-deleted", "0").rows
    assert [row[0] for row in rows] == ["blob", "branch", "commit", "tree"]
    assert rows[0][2] == "100000"
    assert run("check").out == ""
    assert "24h" in fail("collect", "--grace", "tomorrow", code=2)


def test_collect_of_what_is_no_store(fail, garments, folder):
    ds.mount("disk", "local", path=str(folder))
    assert "datastore collect" in fail("collect", "disk")
