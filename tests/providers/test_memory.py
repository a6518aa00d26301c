"""The provider in memory: the exam, and what is shared between its handles."""

import pytest

from datastore.providers.memory import MemoryProvider, Options, open_mount
from datastore.registry import open_provider
from datastore.testing import ProviderSuite


class TestMemory(ProviderSuite):
    @pytest.fixture
    def provider(self):
        return MemoryProvider()


def test_it_can_do_everything_and_nothing_in_it_is_final():
    capabilities = MemoryProvider().capabilities
    assert (capabilities.create, capabilities.match, capabilities.attributes, capabilities.digests) == (True,) * 4
    assert (capabilities.writable, capabilities.local, capabilities.immutable) == (True, True, False)


def test_mounts_of_one_name_share_their_objects():
    one = open_mount(Options(name="test-shared"))
    one.put("a", b"1")
    assert open_provider("memory", {"name": "test-shared"}, where="mount 'x'").head("a").size == 1
    assert list(open_mount(Options(name="test-other")).list()) == []
    one.close()
    assert open_mount(Options(name="test-shared")).head("a").size == 1


def test_a_rewritten_object_has_the_old_identity_and_a_new_etag():
    provider = MemoryProvider()
    first, second = provider.put("a", b"1"), provider.put("a", b"1")
    assert first.identity == second.identity == first.digest
    assert first.etag != second.etag
