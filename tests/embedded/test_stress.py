"""Many processes at once, some of them killed; DATASTORE_STRESS=10000 makes as many commits."""

import os

import pytest

from datastore.testing.store_stress import stress

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")]

COMMITS = int(os.environ.get("DATASTORE_STRESS", "300"))


def test_processes_that_write_commit_merge_and_collect_lose_nothing(tmp_path):
    outcome = stress(tmp_path / "stress", commits=COMMITS)
    print(outcome)
    assert outcome.problems == []
    assert outcome.done["commit"] >= COMMITS


def test_processes_that_are_killed_lose_nothing_that_they_were_told(tmp_path):
    outcome = stress(tmp_path / "stress", commits=COMMITS, kills=COMMITS // 15)
    print(outcome)
    assert outcome.problems == []
    assert outcome.kills > 0
