"""Many processes at once, some of them killed; DATASTORE_STRESS=n makes n times as many commits."""

import os

import pytest

from datastore.testing.store_stress import stress

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")]

ROUNDS = max(int(os.environ.get("DATASTORE_STRESS", "0")), 1)


def test_processes_that_write_commit_merge_and_collect_lose_nothing(tmp_path):
    outcome = stress(tmp_path / "stress", commits=300 * ROUNDS)
    print(outcome)
    assert outcome.problems == []
    assert outcome.done["commit"] >= 300 * ROUNDS


def test_processes_that_are_killed_lose_nothing_that_they_were_told(tmp_path):
    outcome = stress(tmp_path / "stress", commits=200 * ROUNDS, kills=20 * ROUNDS)
    print(outcome)
    assert outcome.problems == []
    assert outcome.kills > 0
