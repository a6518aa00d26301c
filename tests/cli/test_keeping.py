import os
from pathlib import Path

from datastore.namespace import reset_current


def test_a_store_is_backed_up_and_restored(run, fail, garments, folder):
    made = run("backup", str(folder / "backup"), "--json").json
    assert (made["files"] > 0, made["problems"]) == (True, [])
    assert run("backup", str(folder / "backup"), "--json").json["files"] == 0
    assert run("check", str(folder / "backup")).out == ""
    assert (
        run("restore-backup", str(folder / "backup"), str(folder / "new"), "--json").json["store_id"]
        == made["store_id"]
    )
    assert run("check", str(folder / "new")).out == ""
    assert "already" in fail("restore-backup", str(folder / "backup"), str(folder / "new"))
    assert "empty" in fail("backup", str(folder / "new"))


def test_a_store_without_its_index_is_repaired(run, fail, garments, folder, shell):
    index = Path(os.environ["DATASTORE_STORE"]) / "meta.db"
    reset_current()
    index.unlink()
    assert "datastore repair" in fail("repo", "list")
    done = shell("repair", "--dry-run")
    assert (done.returncode, b"would be made anew" in done.stdout) == (1, True)
    rows = run("repair").rows
    assert rows[0][:3] == ["store", "meta.db", "is missing"]
    assert run("repo", "list").rows == [["garments"]]
    assert run("repair").rows == []


def test_what_cannot_be_repaired_is_told(run, fail, garments, folder, shell):
    assert "embedded" in fail("repair", "s3")
