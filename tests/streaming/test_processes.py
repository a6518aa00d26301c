"""Workers that are forked or spawned, and processes that are ended in the middle."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import datastore as ds
from tests.streaming import data

ROOT = Path(__file__).parents[2]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
OPTIONS = {"shuffle": 3, "batch_size": 16, "epochs": 2, "window": 64 << 10}


def start(*arguments, **environment):
    # From Python 3.12 on, fork warns of threads.
    command = [
        sys.executable,
        "-W",
        "error",
        "-W",
        "ignore:This process:DeprecationWarning",
        "-m",
        "tests.streaming.script",
    ]
    return subprocess.Popen(
        [*command, *arguments],
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(child):
    try:
        return *child.communicate(timeout=240), child.returncode
    except subprocess.TimeoutExpired:  # a hang: end the children, too
        os.killpg(child.pid, signal.SIGKILL)
        child.communicate()
        raise


@pytest.fixture
def table(main):
    """A committed data set on the embedded store."""
    data.parquet(main / "train")
    main.commit("Rows")
    return main / "train/"


@pytest.fixture(
    params=["embedded", *(pytest.param(name, marks=pytest.mark.servers) for name in ("versitygw", "lakefs"))]
)
def url(request, home):
    """A data set on each kind of store, known by a configuration file: secrets of a session do not travel."""
    if request.param == "embedded":
        return str(request.getfixturevalue("table"))
    server = request.getfixturevalue(request.param)
    options = {"endpoint": server.endpoint, "access_key_id": server.access_key, "secret_access_key": server.secret_key}
    if request.param == "lakefs":
        options |= {"provider": "lakefs", "repo": server.new_repo()}
    else:
        options |= {"provider": "s3", "bucket": server.new_bucket(), "region": server.region}
    lines = ["mounts:", "  data:", *(f"    {name}: {value}" for name, value in options.items())]
    (home / "datastore.yaml").write_text("\n".join(lines))
    if request.param == "lakefs":
        data.parquet("ds://data@main/train")
        ds.repo("data").branch("main").commit("Rows")
        return "ds://data@main/train/"
    data.parquet("ds://data/train")
    return "ds://data/train/"


@pytest.mark.parametrize("method", [pytest.param("fork", marks=forks), "spawn"])
def test_four_workers_read_while_their_parent_reads(url, method):
    assert finish(start(method, url)) == ("True True True [] [0, 0, 0, 0]\n", "", 0)


@forks
def test_a_forked_child_goes_on_with_the_iterator_of_its_parent(url):
    assert finish(start("inherited", url)) == ("True\n", "", 0)


def test_an_interpreter_ends_with_an_iterator_that_is_half_read(url):
    assert finish(start("abandon", url)) == ("over\n", "", 0)


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGKILL])
def test_after_a_signal_and_on_an_empty_disk_it_goes_on_from_a_small_state(table, tmp_path, ending):
    whole = [data.numbers(batch) for batch in ds.stream(table, **OPTIONS)]
    seen, state = [], tmp_path / "checkpoint.json"
    for number in range(4):
        folder = tmp_path / str(number)  # nothing else is left of the run before
        (folder / "home").mkdir(parents=True)
        child = start(
            "train", str(table), str(folder), str(state), HOME=str(folder / "home"), XDG_CACHE_HOME=str(folder)
        )
        last = number == 3
        while not last and child.stdout.readline().strip() != "20":
            assert child.poll() is None
        if not last:
            os.kill(child.pid, ending)
        _, error, status = finish(child)
        assert error == ""
        assert status == (0 if last or ending == signal.SIGTERM else -ending)
        batches = sorted(folder.glob("[01]-*"), key=lambda path: int(path.name.partition("-")[2]))
        rows = [json.loads(path.read_text()) for path in batches if path.stat().st_size]
        text = (folder / "state").read_text()
        assert len(text) <= 4096
        state.write_text(text)
        place = json.loads(text)
        done = place["epoch"] * (len(whole) // 2) + place["batch"]
        # The signal may come between a batch and its state; that batch is then given out again.
        assert len(seen) + len(rows) in {done, done + 1}
        seen = [*seen, *rows][:done]
    assert seen == whole
