"""The exams that every provider sits, shipped so that providers of other packages sit them too."""

import sys
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datastore.testing.provider_suite import ProviderSuite, ReadOnlySuite
    from datastore.testing.versioning_suite import VersioningSuite
    from datastore.testing.versioning_tools import request

__all__ = ["ProviderSuite", "ReadOnlySuite", "VersioningSuite", "request"]

_EXAMS = (
    "datastore.testing.exam",
    "datastore.testing.provider_listing",
    "datastore.testing.provider_reading",
    "datastore.testing.provider_suite",
    "datastore.testing.provider_writing",
    "datastore.testing.provider_writers",
    "datastore.testing.versioning_changes",
    "datastore.testing.versioning_exchange",
    "datastore.testing.versioning_history",
    "datastore.testing.versioning_merges",
    "datastore.testing.versioning_refs",
    "datastore.testing.versioning_stress",
    "datastore.testing.versioning_tools",
)
_HOMES = {
    "ProviderSuite": "datastore.testing.provider_suite",
    "ReadOnlySuite": "datastore.testing.provider_suite",
    "VersioningSuite": "datastore.testing.versioning_suite",
    "request": "datastore.testing.versioning_tools",
}

# Outside of pytest there are only the servers, which `datastore servers up` starts where pytest is not even installed.
if "pytest" in sys.modules:
    import pytest

    # Before they are imported: a failing `assert` in them shall show its values, as in any test.
    pytest.register_assert_rewrite(*_EXAMS)


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'datastore.testing' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found
