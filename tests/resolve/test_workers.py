"""Forked and spawned workers that read by `ds://`, `resolve` and `stream`, on all stores: a script of examples/."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import datastore as ds
from tests.resolve.helpers import config_of, leaks

SCRIPT = Path(__file__).parents[2] / "examples" / "training_loader.py"


@pytest.fixture(
    params=["embedded", *(pytest.param(kind, marks=pytest.mark.servers) for kind in ("versitygw", "lakefs"))]
)
def root(request, place):
    """An empty prefix on each kind of store."""
    if request.param == "embedded":
        return str(request.getfixturevalue("main") / "loader/")
    return f"{config_of(request.getfixturevalue(request.param), place / 'datastore.yaml')}loader/"


@pytest.mark.slow
@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_s22_s23_four_workers_read_the_same_in_three_ways_and_all_of_one_commit(root, method, place):
    # From Python 3.12 on, fork warns of threads that pyarrow has started.
    command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(SCRIPT), root, method]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    try:
        out, error = child.communicate(timeout=120)
    except subprocess.TimeoutExpired:  # a hang: end the workers, too
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise
    assert (error, child.returncode) == ("", 0)
    version = "the bucket"
    if ds.url(root).ref:
        version = next(commit.id for commit in ds.repo(ds.url(root).mount).log("main") if "Pictures" in commit.message)
    assert out.splitlines() == [
        f"4 workers ({method}): 100 equal pictures on disk and by URL, 4000 rows once each",
        f"all of {version[:12]}, although the branch has changed meanwhile",
    ]
    assert leaks(place / "cache") == []
    assert len(list((place / "cache" / "objects").glob("*/*"))) == 100  # nobody brought anything twice
