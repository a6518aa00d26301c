"""Workers that are forked or spawned read through `ds://` while their parent does: right bytes, and everybody ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.crossing import peers

SCRIPT = Path(__file__).parent / "workers.py"
pytestmark = [pytest.mark.servers, pytest.mark.slow]
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture
def run(request, home):
    """Fills a bucket or branch of the server, and runs the script on it; each in a process of its own."""
    server = request.getfixturevalue(request.param)
    versioned = server.kind == "lakefs"
    options = {"provider": "lakefs" if versioned else "s3", **peers.options_of(server)}
    options |= {"repo": server.new_repo()} if versioned else {"bucket": server.new_bucket()}
    lines = ["mounts:", "  data:", *(f"    {name}: {value}" for name, value in options.items())]
    (home / "datastore.yaml").write_text(
        "\n".join(lines)
    )  # a session's mount with secrets would not reach a spawned one
    environment = os.environ | {"DATASTORE_CONFIG": str(home / "datastore.yaml")}
    if server.ca_file:
        environment["SSL_CERT_FILE"] = str(server.ca_file)

    def script(way):
        # From Python 3.12 on, fork warns of threads that pyarrow has started.
        command = [sys.executable, "-W", "error", "-W", "ignore:This process:DeprecationWarning", str(SCRIPT), way]
        command.append("ds://data@main/" if versioned else "ds://data/")
        child = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        try:
            return *child.communicate(timeout=240), child.returncode
        except subprocess.TimeoutExpired:  # a hang: end the children, too
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
            raise

    assert script("fill") == ("", "", 0)
    return script


@forks
@pytest.mark.parametrize("run", ["versitygw_tls", "lakefs"], indirect=True)
def test_s22_forked_workers_read_while_their_parent_reads(run):
    assert run("fork") == ("True [] 0\n", "", 0)


@pytest.mark.parametrize("run", ["versitygw_tls", "lakefs"], indirect=True)
def test_s23_spawned_workers_read_while_their_parent_reads(run):
    assert run("spawn") == ("True [] 0\n", "", 0)
