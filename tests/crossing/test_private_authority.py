"""A service whose certificate is from a private authority: SSL_CERT_FILE lets us in, and nothing else does."""

import os
import subprocess
import sys

import pytest

ROUND_TRIP = """
import pandas as pd

frame = pd.DataFrame({"sku": [1, 2, 3], "price": [120.0, 180.0, None]})
frame.to_parquet("ds://secure/coats.parquet")
frame.to_csv("ds://secure/parts/coats.csv", index=False)
pd.testing.assert_frame_equal(pd.read_parquet("ds://secure/coats.parquet"), frame)
pd.testing.assert_frame_equal(pd.read_csv("ds://secure/parts/coats.csv"), frame)
print(pd.read_parquet("ds://secure/coats.parquet", columns=["price"])["price"].sum())
"""


@pytest.fixture
def run(versitygw_tls, home):
    """Runs a program in a process of its own, in which `ds://secure/` is a bucket behind that certificate."""
    lines = [
        "mounts:",
        "  secure:",
        "    provider: s3",
        f"    endpoint: {versitygw_tls.endpoint}",
        f"    bucket: {versitygw_tls.new_bucket()}",
        f"    access_key_id: {versitygw_tls.access_key}",
        f"    secret_access_key: {versitygw_tls.secret_key}",
    ]
    (home / "datastore.yaml").write_text("\n".join(lines))

    def run(program, **variables):
        environment = {name: value for name, value in os.environ.items() if not name.startswith("SSL_CERT_")}
        command = [sys.executable, "-W", "error", "-c", program]
        environment |= {"DATASTORE_CONFIG": str(home / "datastore.yaml"), **variables}
        return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)

    return run


def test_pandas_goes_there_and_back_with_the_file_of_the_authority(run, versitygw_tls):
    done = run(ROUND_TRIP, SSL_CERT_FILE=str(versitygw_tls.ca_file))
    assert (done.stdout.strip(), done.stderr) == ("300.0", "")


@pytest.mark.parametrize("verb", ["pd.read_parquet(url)", "pd.DataFrame({'a': [1]}).to_parquet(url)"])
def test_without_it_nothing_is_sent_and_the_way_out_is_named(run, verb):
    done = run(f"import pandas as pd; url = 'ds://secure/a.parquet'; {verb}")
    assert done.returncode == 1
    said = done.stderr[done.stderr.rindex("datastore.errors.") :]
    assert said.startswith("datastore.errors.SecurityError")
    assert "certificate" in said
    assert "SSL_CERT_FILE" in said


def test_a_file_that_is_not_there_is_named(run, home):
    done = run("import datastore as ds; ds.filesystem().ls('ds://secure/')", SSL_CERT_FILE=str(home / "missing.pem"))
    assert done.returncode == 1
    assert "missing.pem" in done.stderr[done.stderr.rindex("datastore.errors.") :]
