"""Handles that travel to a spawned worker read the same bytes there, and take no secret along."""

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys

import pandas as pd
import pytest

import datastore as ds
from datastore.namespace import reset_current
from tests.api.helpers import read, write

SECRET = "planted-secret-4711"


def _describe(handle):
    """What a worker sees of a handle: kind, a text that names it, and bytes read through it."""
    if isinstance(handle, ds.Repo):
        url = handle.branch("main") / "a.csv"
    elif isinstance(handle, str):
        url = handle
    else:
        url = handle / "a.csv"
    return type(handle).__name__, str(handle), pd.read_csv(url).to_csv(index=False)


def _write(branch):
    branch.objects.put("worker.csv", b"id\n1\n")
    return branch.commit("By the worker")


@pytest.fixture(scope="module")
def spawned():
    """One worker process at a time, started like those of a data loader."""
    return multiprocessing.get_context("spawn")


def in_worker(context, function, *arguments):
    with context.Pool(1) as pool:
        return pool.apply_async(function, arguments).get(60)


def test_handles_read_the_same_bytes_in_a_spawned_worker(repo, main, spawned):
    commit = main.head
    write(main, {"a.csv": "id\n7\n"})  # uncommitted: what a branch shows is not what its commit has
    handles = [repo, main, commit, main / "a.csv", repo.at(commit) / "a.csv"]
    with spawned.Pool(1) as pool:
        there = pool.map_async(_describe, handles).get(60)
    assert there == [_describe(handle) for handle in handles]
    assert [text for *_, text in there] == ["id\n7\n"] * 2 + ["id,n\n1,one\n2,two\n"] + [
        "id\n7\n",
        "id,n\n1,one\n2,two\n",
    ]


def test_a_worker_writes_and_commits_through_a_branch(main, spawned):
    commit = in_worker(spawned, _write, main)
    assert commit == main.head
    assert commit.message == "By the worker"
    assert read(main, "worker.csv") == "id\n1\n"


def test_a_worker_with_another_environment_sees_the_same_store(repo, main, place, monkeypatch, spawned):
    data = pickle.dumps([repo, main, main.head])
    monkeypatch.setenv("DATASTORE_STORE", str(place / "elsewhere"))
    reset_current()
    found_repo, found_main, found_commit = pickle.loads(data)
    assert found_main.head == found_commit
    assert read(found_main, "a.csv").startswith("id,n")
    assert [branch.name for branch in found_repo.branches()] == ["main"]
    assert not (place / "elsewhere").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_handles_are_equal_after_the_journey(repo, main, protocol):
    log = repo.log()
    for handle in (repo, main, main.head, main / "a.csv", repo.at("main")):
        back = pickle.loads(pickle.dumps(handle, protocol))
        assert back == handle
        assert type(back) is type(handle)
        assert hash(back) == hash(handle)
    assert list(pickle.loads(pickle.dumps(log, protocol))) == list(log)


def test_a_handle_of_nothing_travels_too(place):
    back = pickle.loads(pickle.dumps(ds.Repo("nowhere").branch("main")))
    assert back == ds.Repo("nowhere").branch("main")
    assert not (place / "store").exists()


@pytest.mark.parametrize("what", ["repo", "branch", "commit"])
def test_another_store_under_the_path_is_told(repo, main, place, what):
    handle = {"repo": repo, "branch": main, "commit": main.head}[what]
    data = pickle.dumps(handle)
    reset_current()
    shutil.rmtree(place / "store")
    write(ds.create_repo("garments").branch("main"), {"a.csv": "id\n666\n"})
    with pytest.raises(ds.IntegrityError, match="another store"):
        pickle.loads(data)


def test_a_secret_in_a_session_mount_travels_nowhere(repo, main, monkeypatch, place):
    """A mount of a provider that takes a password; its name may travel, what it is may not."""
    monkeypatch.syspath_prepend(str(place))
    (place / "vault_for_tests.py").write_text(VAULT)
    register_vault(place)
    program = f"""
import io, json, logging, pickle, sys
log = io.StringIO()
logging.basicConfig(level=logging.DEBUG, stream=log)
import datastore as ds
ds.mount("safe", "vault", password={SECRET!r}, place="here")
repo = ds.repo("garments")
main = repo.branch("main")
handles = [repo, main, main.head, repo.log(), main / "a.csv", ds.filesystem(), ds.mounts()]
found = [pickle.dumps(handle, protocol).hex() for handle in handles for protocol in (0, 5)]
texts = [repr(handle) for handle in handles]
texts += [handle._repr_html_() for handle in handles if hasattr(handle, "_repr_html_")]
try:
    ds.mount("safe", "vault", password="other", place="here")
except ds.AlreadyExists as error:
    texts += [str(error), repr(error), *error.__notes__, pickle.dumps(error).hex()]
try:
    ds.mount("safe-2", "vault", password={SECRET!r}, plaec="here")
except ds.ConfigError as error:
    texts += [str(error), repr(error), *error.__notes__]
print(json.dumps([found, texts, log.getvalue()]))
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found, texts, log = json.loads(done.stdout)
    assert len(found) == 14
    for text in (*texts, log, *map(_bytes_of, found)):
        assert SECRET not in text
    # Where the secret is missing, the mount says so instead of trying without.
    back = pickle.loads(bytes.fromhex(found[1]))
    assert back.branches()
    with pytest.raises(ds.ConfigError, match="password"):
        back._namespace.target("ds://safe/x")


def _bytes_of(text):
    return bytes.fromhex(text).decode("latin-1")


VAULT = '''
"""A provider that takes a password."""
from msgspec import Struct
from datastore.providers.memory import MemoryProvider
from datastore.secret import Secret


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    password: Secret
    place: str


def open_mount(options):
    assert options.password.reveal() == "planted-secret-4711"
    return MemoryProvider()
'''


def register_vault(place):
    """Install the provider as a package would: by an entry point."""
    info = place / "vault_for_tests-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: vault-for-tests\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[datastore.providers]\nvault = vault_for_tests\n")
