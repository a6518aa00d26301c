"""The example for lakeFS runs on lakeFS, as often as one likes; tests/surfaces runs it on the embedded store."""

import os
import subprocess
import sys
from pathlib import Path

EXAMPLE = Path(__file__).parents[2] / "examples" / "lakefs_branches.py"


def test_the_example_for_lakefs_runs_on_lakefs(lakefs, home):
    repo = lakefs.new_repo()
    environment = os.environ | {
        "LAKECTL_SERVER_ENDPOINT_URL": lakefs.endpoint,
        "LAKECTL_CREDENTIALS_ACCESS_KEY_ID": lakefs.access_key,
        "LAKECTL_CREDENTIALS_SECRET_ACCESS_KEY": lakefs.secret_key,
    }
    for _ in range(2):
        command = [sys.executable, "-W", "error", str(EXAMPLE), f"lakefs/{repo}"]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=120)
        assert (done.returncode, done.stderr) == (0, "")
        assert "~3 changed" in done.stdout
        assert "495.0 for all three" in done.stdout
    assert [branch["id"] for branch in lakefs.request("GET", f"/repositories/{repo}/branches")["results"]] == ["main"]
