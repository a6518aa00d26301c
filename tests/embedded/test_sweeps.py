"""Each system call of the store's work as the last one of its process, or as the one that the disk refuses.

By default a part of the calls is tried; DATASTORE_SWEEP=all tries each. `pytest -s` shows the numbers.
"""

import os

import pytest

from datastore.testing.store_scenarios import SCENARIOS
from datastore.testing.store_sweep import missing, sweep

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(missing()), reason=f"the sweeps cannot run: {missing()}"),
]

ALL = os.environ.get("DATASTORE_SWEEP") == "all"
STORIES = {scenario.name: scenario for scenario in SCENARIOS}
POINTS = {"kill": 6, "ENOSPC": 3, "EIO": 3}
"""Of each story; spread over its length."""


def swept(tmp_path, name, fault, **how):
    found = sweep(STORIES[name], fault, folder=tmp_path, **(how if ALL else {"most": POINTS[fault], **how}))
    print(found)
    assert found.failures == []
    assert found.recovered == found.points > 0
    return found


@pytest.mark.parametrize("name", STORIES)
def test_death_at_a_system_call_loses_nothing_acknowledged_and_needs_no_repair(tmp_path, name):
    swept(tmp_path, name, "kill")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", STORIES)
def test_a_full_disk_is_a_typed_error_that_changes_nothing_and_passes(tmp_path, name, lasting):
    found = swept(tmp_path, name, "ENOSPC", lasting=lasting)
    # strace counts for each thread, so that one that hits a worker may hit the main thread where it only opens a file.
    # And where a new file could not be opened for writing, SQLite has opened it for reading, without a word.
    assert set(found.errors) <= {"Unavailable", "IntegrityError", "Forbidden"}


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
@pytest.mark.parametrize("name", STORIES)
def test_a_failing_disk_is_a_typed_error_that_changes_nothing_and_passes(tmp_path, name, lasting):
    swept(tmp_path, name, "EIO", lasting=lasting)
