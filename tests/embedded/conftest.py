"""Stores that are closed when the test is over."""

import pytest

from datastore.embedded.store import EmbeddedStore


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store"


@pytest.fixture
def opened(path):
    made = []

    def open_it(where=path, **how):
        made.append(EmbeddedStore(where, **how))
        return made[-1]

    yield open_it
    for store in made:
        store.close()
