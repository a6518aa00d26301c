"""The exams that every provider sits, shipped so that providers of other packages sit them too."""

import pytest

# Before they are imported: a failing `assert` in them shall show its values, as in any test.
pytest.register_assert_rewrite(
    "datastore.testing.exam",
    "datastore.testing.provider_listing",
    "datastore.testing.provider_reading",
    "datastore.testing.provider_suite",
    "datastore.testing.provider_writing",
    "datastore.testing.provider_writers",
    "datastore.testing.versioning_changes",
    "datastore.testing.versioning_history",
    "datastore.testing.versioning_merges",
    "datastore.testing.versioning_refs",
    "datastore.testing.versioning_stress",
    "datastore.testing.versioning_tools",
)

from datastore.testing.provider_suite import ProviderSuite, ReadOnlySuite  # noqa: E402 - see above
from datastore.testing.versioning_suite import VersioningSuite  # noqa: E402
from datastore.testing.versioning_tools import request  # noqa: E402

__all__ = ["ProviderSuite", "ReadOnlySuite", "VersioningSuite", "request"]
