"""fsspec's own exam, all 137 tests, on each kind of mount."""

import posixpath

import pytest
from fsspec.tests.abstract import (
    AbstractCopyTests,
    AbstractFixtures,
    AbstractGetTests,
    AbstractOpenTests,
    AbstractPipeTests,
    AbstractPutTests,
)


class _Fixtures(AbstractFixtures):
    @pytest.fixture
    def fs_path(self, base):
        return base

    @pytest.fixture
    def fs(self, base):
        from datastore.fs.system import DatastoreFileSystem

        return DatastoreFileSystem()

    @pytest.fixture
    def fs_join(self):
        return posixpath.join

    @pytest.fixture
    def supports_empty_directories(self):
        return False


class TestCopy(_Fixtures, AbstractCopyTests):
    pass


class TestGet(_Fixtures, AbstractGetTests):
    pass


class TestPut(_Fixtures, AbstractPutTests):
    pass


class TestOpen(_Fixtures, AbstractOpenTests):
    pass


class TestPipe(_Fixtures, AbstractPipeTests):
    pass
