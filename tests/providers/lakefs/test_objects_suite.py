"""The exam of providers: branches of a server with presigned URLs and of one without, and what cannot be written."""

import pytest

from datastore.testing import ProviderSuite, ReadOnlySuite
from tests.providers.lakefs.places import committed, repo_on


class TestBranch(ProviderSuite):
    @pytest.fixture
    def provider(self, lakefs):
        return repo_on(lakefs).at("main")


class TestBranchThroughTheServer(ProviderSuite):
    @pytest.fixture
    def provider(self, lakefs_local):
        return repo_on(lakefs_local).at("main")


class TestCommit(ReadOnlySuite):
    @pytest.fixture
    def read_only(self, lakefs):
        return committed(repo_on(lakefs), {"a.txt": b"hello"})


class TestTag(ReadOnlySuite):
    @pytest.fixture
    def read_only(self, lakefs):
        repo = repo_on(lakefs)
        committed(repo, {"a.txt": b"hello"})
        repo.create_tag("v1.0", "main")
        return repo.at("v1.0")


class TestHeadOfABranch(ReadOnlySuite):
    @pytest.fixture
    def read_only(self, lakefs):
        repo = repo_on(lakefs)
        committed(repo, {"a.txt": b"hello"})
        repo.at("main").put("uncommitted.txt", b"1")
        return repo.at("main@")
