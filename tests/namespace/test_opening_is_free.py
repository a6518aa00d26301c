"""Opening a mount asks nobody anything."""

from datastore.provider import SupportsVersioning, is_versioned
from datastore.providers.memory import MemoryProvider


class Remote:
    """A repo whose properties cost a request."""

    @property
    def default_branch(self):
        raise AssertionError("asked")


def test_a_repo_is_told_by_its_class():
    verbs = {name: lambda self: None for name in vars(SupportsVersioning) if not name.startswith("_")}
    repo = type("Repo", (Remote,), {name: verb for name, verb in verbs.items() if name != "default_branch"})()
    assert is_versioned(repo)
    assert not is_versioned(Remote())
    assert not is_versioned(MemoryProvider())
