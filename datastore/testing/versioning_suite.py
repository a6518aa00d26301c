"""The exam of `SupportsVersioning`: one meaning of branches, commits, merges and uncommitted changes on every store."""

from datastore.testing.versioning_changes import ChangesExam
from datastore.testing.versioning_exchange import ExchangeExam
from datastore.testing.versioning_history import HistoryExam
from datastore.testing.versioning_merges import MergesExam
from datastore.testing.versioning_refs import RefsExam
from datastore.testing.versioning_stress import StressExam

__all__ = ["VersioningSuite"]


class VersioningSuite(ChangesExam, RefsExam, HistoryExam, MergesExam, ExchangeExam, StressExam):
    """The exam that every versioned store sits. Derive a test class from it and give it one fixture.

    `versioned` is a fresh repo with the default branch `main`, one commit on it, and no objects:

        class TestMyStore(VersioningSuite):
            @pytest.fixture
            def versioned(self, tmp_path: Path) -> SupportsVersioning:
                return EmbeddedStore(tmp_path / "store").create_repo("exam")

    It uses the public contract only (`datastore.provider.SupportsVersioning` and the providers that `at` gives).
    """
