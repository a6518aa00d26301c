"""The store beside a model, through every verb in any order.

DATASTORE_STRESS=n makes n times as many walks, longer ones, other ones each time.
"""

import os

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from datastore.testing.store_machine import StoreMachine

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="starts processes by fork")]

STRESS = int(os.environ.get("DATASTORE_STRESS", "0"))


def test_the_store_does_what_the_model_does_whatever_happens(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    walks = settings(
        max_examples=40 * max(STRESS, 1),
        stateful_step_count=40 if not STRESS else 60,
        derandomize=not STRESS,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(StoreMachine, settings=walks)
