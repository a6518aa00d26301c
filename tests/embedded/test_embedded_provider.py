import pytest

from datastore.embedded.store import EmbeddedStore
from datastore.testing import ProviderSuite, ReadOnlySuite
from datastore.testing.versioning_tools import save


@pytest.fixture
def store(tmp_path):
    store = EmbeddedStore(tmp_path / "store")
    yield store
    assert list(store.check()) == []
    store.close()


class TestBranch(ProviderSuite):
    @pytest.fixture
    def provider(self, store):
        return store.create_repo("exam").at("main")


class TestBranchWithCommittedObjectsUnderneath(ProviderSuite):
    """The branch is as empty as a fresh one, but by tombstones."""

    @pytest.fixture
    def provider(self, store):
        repo = store.create_repo("exam")
        taken = dict.fromkeys(("a", "a.txt", "a/b", "b", "b/c/d", "folder/x", "shared/0", "z"), b"committed")
        save(repo, "main", taken)
        repo.at("main").delete(list(taken))
        return repo.at("main")


class TestRefsThatCannotBeWritten(ReadOnlySuite):
    @pytest.fixture(params=["v1", "main@", "main~0", "id", "short id", "protected", "read-only store"])
    def read_only(self, store, request):  # pytest's request
        repo = store.create_repo("exam")
        made = save(repo, "main", {"a.txt": b"hello"})
        repo.create_tag("v1", "main")
        if request.param == "protected":
            repo.protect("main")
            yield repo.at("main")
        elif request.param == "read-only store":
            other = EmbeddedStore(store.path, read_only=True)
            yield other.repo("exam").at("main")
            other.close()
        else:
            yield repo.at({"id": made.id, "short id": made.id[:8]}.get(request.param, request.param))
