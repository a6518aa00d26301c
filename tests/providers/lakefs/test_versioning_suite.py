"""The exam of versioned stores, the same file that the embedded store sits."""

import pytest

from datastore.testing import VersioningSuite
from tests.providers.lakefs.versioned import fresh


class TestLakeFS(VersioningSuite):
    @pytest.fixture
    def versioned(self, lakefs):
        return fresh(lakefs)


class TestLakeFSWithItsOwnDisk(VersioningSuite):
    """Nothing is signed there, and everything passes through the server."""

    @pytest.fixture
    def versioned(self, lakefs_local):
        return fresh(lakefs_local)
