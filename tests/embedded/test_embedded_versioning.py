import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.testing import VersioningSuite


class TestEmbedded(VersioningSuite):
    @pytest.fixture
    def versioned(self, tmp_path):
        store = EmbeddedStore(tmp_path / "store")
        yield store.create_repo("exam")
        assert list(store.check()) == []
        store.close()
