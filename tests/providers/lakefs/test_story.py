"""The same story on the embedded store and on lakeFS: one line differs, the one that says where the repo is."""

import pickle
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

import datastore as ds
from datastore.namespace import current, reset_current
from datastore.quickstart import _Story, penguins
from tests.places import isolate


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch):
    for name in ("home", "work"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "work")
    isolate(monkeypatch, tmp_path / "home")
    monkeypatch.setenv("DATASTORE_STORE", str(tmp_path / "store"))
    reset_current()
    yield
    reset_current()


@pytest.fixture
def mounted(lakefs):
    """A repo of the server as a mount called penguins."""
    ds.mount(
        "penguins",
        provider="lakefs",
        endpoint=lakefs.endpoint,
        repo=lakefs.new_repo(),
        access_key_id=lakefs.access_key,
        secret_access_key=lakefs.secret_key,
    )
    return ds.repo("penguins")


@pytest.fixture(params=["embedded", "lakefs"])
def repo(request):
    # The one line that differs.
    if request.param == "lakefs":
        return request.getfixturevalue("mounted")
    return ds.create_repo("penguins")


pytestmark = pytest.mark.servers


def test_the_quickstart(repo, tmp_path):
    told = []
    (tmp_path / "data").mkdir()
    penguins().to_parquet(tmp_path / "data" / "penguins.parquet")
    story = _Story(repo, told.append)
    subject = story.bring_in(tmp_path / "data", example=True)
    story.branch(subject)
    story.damage(subject)
    story.undo(subject)
    good = story.keep_a_change(subject)
    story.conflict(subject, good)
    story.travel(subject)
    story.farewell(subject)
    text = "\n".join(told)
    assert "NO" not in text.split()
    assert "-3 removed  ~5 changed" in text
    assert "MergeConflict" in text
    rows = {ref: len(pd.read_parquet(repo.url("penguins.parquet", ref=ref))) for ref in ("v1", "main~1", "main@")}
    assert rows == {"v1": 344, "main~1": 343, "main@": 333}
    assert repo.branch("try").uncommitted().changed == []
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main", "try"]


def test_the_readme_s_experiment(repo):
    df = penguins()
    df.to_parquet(repo.branch("main") / "train.parquet")
    repo.branch("main").commit("All of them")
    with repo.experiment("dedupe", base="main", params={"threshold": 0.9}) as exp:
        df.dropna().to_parquet(exp / "train.parquet")
        exp.log_metrics(val_f1=0.912)
        commit = exp.commit("Only complete ones")
    assert commit.metadata["params"] == '{"threshold":0.9}'
    assert commit.metadata["metrics"] == '{"val_f1":0.912}'
    table = repo.diff("main", exp.branch).table("train.parquet", key="id")
    assert len(df) - len(df.dropna()) == 11
    assert "-11 removed" in str(table)
    exp.merge()
    assert len(pd.read_parquet(repo.url("train.parquet"))) == 333
    assert [found.message for found in repo.log(key="train.parquet")][-1] == "All of them"


def test_a_transaction_shows_all_or_nothing(repo):
    main = repo.branch("main")
    main.objects.put("kept.txt", b"1")
    main.commit("Before")
    with repo.transaction(message="Both files") as tx:
        penguins().to_csv(tx / "a.csv", index=False)
        tx.branch.objects.put("b.txt", b"b")
        assert not ds.filesystem().exists(str(main / "b.txt"))
    assert tx.commit is not None
    assert tx.commit.parents == (repo.commit_of("main~1").id,)
    assert sorted(repo.diff("main~1", "main").added) == ["a.csv", "b.txt"]
    with pytest.raises(ZeroDivisionError), repo.transaction(message="Never") as tx:
        tx.branch.objects.put("c.txt", b"c")
        1 / 0  # noqa: B018
    assert not ds.filesystem().exists(str(main / "c.txt"))
    assert [branch.name for branch in repo.branches(hidden=True)] == ["main"]
    assert [found.message for found in repo.log()][:2] == ["Both files", "Before"]


def test_a_transaction_that_conflicts_keeps_its_branch_and_changes_nothing(repo):
    main = repo.branch("main")
    main.objects.put("k", b"1")
    main.commit("Before")
    with pytest.raises(ds.MergeConflict) as caught, repo.transaction(message="Mine") as tx:
        tx.branch.objects.put("k", b"mine")
        main.objects.put("k", b"theirs")
        main.commit("Theirs")
    assert caught.value.paths == ["k"]
    hidden = [branch for branch in repo.branches(hidden=True) if branch.name != "main"]
    assert [branch.objects.read("k").read() for branch in hidden] == [b"mine"]
    assert main.objects.read("k").read() == b"theirs"
    assert any(hidden[0].name in note for note in caught.value.__notes__)


def test_work_of_an_afternoon(repo, tmp_path):
    main = repo.branch("main")
    for name in ("a", "b", "deep/c"):
        main.objects.put(f"raw/{name}.txt", name.encode())
    first = main.commit("Raw", metadata={"source": "scanner"})
    main.rename("raw/a.txt", "raw/z.txt")
    main.copy("raw/b.txt", "copies/b.txt")
    assert {change.key: change.kind for change in main.uncommitted()} == {
        "copies/b.txt": "added",
        "raw/a.txt": "removed",
        "raw/z.txt": "added",
    }
    second = main.commit("Tidy up")
    assert second.diff().added == ["copies/b.txt", "raw/z.txt"]
    assert main.restore("raw/", first) == 2
    assert main.reset("raw/") == 2
    undone = main.revert(second)
    assert undone.message == "Revert: Tidy up"
    assert repo.diff(first, "main").added == []
    repo.create_tag("v1", first)
    exp = repo.create_branch("exp", "v1")
    exp.objects.put("raw/a.txt", b"better")
    better = exp.commit("Better")
    picked = main.cherry_pick(better)
    assert picked.metadata["cherry-picked-from"] == better.id
    assert main.objects.read("raw/a.txt").read() == b"better"
    assert repo.log("main", key="raw/a.txt")[0] == picked
    repo.delete_branch("exp")
    assert repo.undelete_branch("exp").head == better
    again = pickle.loads(pickle.dumps(repo.url("raw/a.txt", ref="v1")))
    assert ds.filesystem().cat_file(str(again)) == b"a"


def test_a_url_of_a_configured_repo_is_read_by_a_process_that_does_not_import_us(lakefs, tmp_path):
    name = lakefs.new_repo()
    config = f"""mounts:
  garments:
    provider: lakefs
    endpoint: {lakefs.endpoint}
    repo: {name}
    access_key_id: {lakefs.access_key}
    secret_access_key: {lakefs.secret_key}
"""
    (tmp_path / "home" / "datastore.yaml").write_text(config)
    environment = {"DATASTORE_CONFIG": str(tmp_path / "home" / "datastore.yaml"), "HOME": str(tmp_path / "home")}
    code = (
        "import pandas as pd\n"
        "pd.DataFrame({'x': [1, 2]}).to_parquet('ds://garments@main/t.parquet')\n"
        "print(len(pd.read_parquet('ds://garments@main/t.parquet')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, env=environment
    )
    assert done.stdout.strip() == "2", done.stderr


def test_a_mount_of_all_repos(lakefs):
    ds.mount(
        "lake",
        provider="lakefs",
        endpoint=lakefs.endpoint,
        storage_namespace=lakefs.new_namespace(),
        access_key_id=lakefs.access_key,
        secret_access_key=lakefs.secret_key,
    )
    name = lakefs.new_repo()
    repo = ds.create_repo(f"lake/{name}-new")
    penguins().to_parquet(repo.branch("main") / "penguins.parquet")
    commit = repo.branch("main").commit("Penguins")
    assert str(repo.url("penguins.parquet", ref=commit)) == f"ds://lake/{name}-new@{commit.id}/penguins.parquet"
    assert len(pd.read_parquet(f"ds://lake/{name}-new@main/penguins.parquet")) == 344
    assert name in current().root("lake").repos()
    with pytest.raises(ds.NotFound, match="nope"):
        ds.repo("lake/nope-nope")
