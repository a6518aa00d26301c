"""Keeps tests away from the stores of whoever runs them, and gives pairs of repos to bring commits from and to."""

import pytest

from datastore.embedded.store import EmbeddedStore
from tests.places import isolate
from tests.replicating.bare import BareRepo


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    isolate(monkeypatch, tmp_path)
    return tmp_path


@pytest.fixture
def stores(tmp_path):
    """Two stores, in which nothing is shared."""
    made = [EmbeddedStore(tmp_path / name) for name in ("here", "there")]
    yield made
    for store in made:
        store.close()


@pytest.fixture
def here(stores):
    return stores[0].create_repo("garments")


@pytest.fixture(params=["embedded", "bare"])
def there(request, stores):
    """The other repo: of a store that offers everything, or nothing beyond the contract."""
    made = stores[1].create_repo("garments")
    return BareRepo(made) if request.param == "bare" else made
