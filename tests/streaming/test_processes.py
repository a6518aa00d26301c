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
        stdin=subprocess.PIPE,
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


@pytest.mark.slow
def test_after_sigterm_then_sigkill_then_an_empty_disk_it_goes_on_from_a_small_state(url, tmp_path, home):
    whole = [data.numbers(batch) for batch in ds.stream(url, **OPTIONS)]
    seen, state = [], tmp_path / "checkpoint.json"
    config = home / "datastore.yaml"
    for number, ending in enumerate([signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, None]):
        folder = tmp_path / str(number)  # nothing but the state is left of the run before, and the configuration
        (folder / "home").mkdir(parents=True)
        places = {"HOME": str(folder / "home"), "XDG_CACHE_HOME": str(folder), "TMPDIR": str(folder)}
        if config.exists():
            places["DATASTORE_CONFIG"] = str(config)
        child = start("train", url, str(folder), str(state), **places)
        while ending and child.stdout.readline().strip() != "20":
            assert child.poll() is None, child.stderr.read()
        if ending:
            os.kill(child.pid, ending)
        _, error, status = finish(child)
        assert error == ""
        assert status == (-signal.SIGKILL if ending == signal.SIGKILL else 0)
        batches = sorted(folder.glob("[01]-*"), key=lambda path: int(path.name.partition("-")[2]))
        rows = [json.loads(path.read_text()) for path in batches if path.stat().st_size]
        text = (folder / "state").read_text()
        assert len(text.encode()) <= 4096
        state.write_text(text)
        place = json.loads(text)
        done = place["epoch"] * (len(whole) // 2) + place["batch"]
        # The signal may come between a batch and its state; that batch is then given out again.
        assert len(seen) + len(rows) in {done, done + 1}
        seen = [*seen, *rows][:done]
    assert seen == whole


def test_two_ranks_in_processes_of_their_own_and_a_commit_in_between_train_on_the_same_rows(url):
    at = str(ds.stream(url).url)  # what a launcher passes on; of a bucket, which has no commits, the same URL
    if at == url:
        pytest.skip("a bucket has no commits; without torch.distributed its ranks are refused")
    ranks = [start("rank", at, RANK="0", WORLD_SIZE="2")]
    assert ranks[0].stdout.readline() == "begun\n"
    branch = ds.repo(ds.url(url).mount).branch("main")
    data.frame(70).to_parquet(branch / "train/0.parquet")
    branch.commit("Other rows")
    ranks.append(start("rank", at, RANK="1", WORLD_SIZE="2"))
    for rank in ranks:
        rank.stdin.write("go on\n")
        rank.stdin.flush()
    ended = [finish(rank) for rank in ranks]
    assert [(error, status) for _, error, status in ended] == [("", 0)] * 2
    shares = [json.loads(out.splitlines()[-1]) for out, _, _ in ended]
    whole = [data.numbers(batch) for batch in ds.stream(at, **OPTIONS)]
    assert [shares[place % 2][place // 2] for place in range(len(whole))] == whole
