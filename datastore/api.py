"""The functions of `import datastore as ds`: the process's own namespace, by name."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from datastore.errors import AlreadyExists
from datastore.history import Diff, listing_diff, objects_at
from datastore.namespace import MountInfo, current
from datastore.repository import Repo
from datastore.urls import to_url

if TYPE_CHECKING:
    from datastore.fs.system import DatastoreFileSystem

__all__ = ["create_repo", "delete_repo", "diff", "filesystem", "mount", "mounts", "repo", "repos", "url"]

url = to_url


def create_repo(name: str, *, exist_ok: bool = False) -> Repo:
    """Make a repo in the embedded store, and the store with it if it is the first.

    Args:
        name: 3 to 63 of a-z, 0-9 and `-`.
        exist_ok: Give back the repo that is there.

    Raises:
        AlreadyExists: A repo or mount has the name.
        ValidationError: Not a name for a repo.
    """
    namespace = current()
    namespace.check_free(name)
    try:
        namespace.store.create_repo(name)
    except AlreadyExists:
        if not exist_ok:
            raise
    return Repo(name, namespace=namespace)


def repo(name: str) -> Repo:
    """Return a repo, or a mount of a versioned provider, by name.

    Raises:
        NotFound: Nothing has the name; says which are near.
        UnsupportedOperation: The mount has no versions.
    """
    found = Repo(name)
    found.versioned  # noqa: B018 - a typo is told here, not at the first verb
    return found


def repos() -> list[Repo]:
    """Return the repos of the embedded store, by name."""
    namespace = current()
    return [Repo(name, namespace=namespace) for name in namespace.store.repos()]


def delete_repo(name: str) -> None:
    """Delete a repo of the embedded store with its branches, tags and uncommitted changes. This cannot be undone."""
    current().store.delete_repo(name)


def mount(name: str, /, provider: str, **options: object) -> MountInfo:
    """Give a provider a name for this process, as the `mounts` section of a configuration file does.

    Args:
        name: 1 to 63 of a-z, 0-9 and `-`.
        provider: `local`, `memory`, `embedded`, or one that a package brings.
        options: The provider's own.

    Raises:
        AlreadyExists: The name stands for something else.
        ConfigError: Unknown provider or option; says which are near.
    """
    return current().mount(name, provider, **options)


def mounts() -> list[MountInfo]:
    """Return the mounts: those of the configuration and those made by `mount`."""
    return current().mounts()


def diff(a: str, b: str) -> Diff:
    """Return what differs between two URLs: the objects that they name, and all that is under them.

    Refs of one repo are compared commit by commit, which costs what changed. Anything else is listed on both sides; the
    keys of the changes then count from the two URLs.

    Raises:
        NotFound: There is nothing at a URL, or, for two refs of one repo, at neither.
    """
    namespace = current()
    left, right = namespace.target(to_url(a)), namespace.target(to_url(b))
    title = f"{to_url(a)}..{to_url(b)}"
    if left.versioned and right.versioned and left.name == right.name and left.key == right.key:
        found = Repo(left.name).diff(left.ref or "", right.ref or "", prefix=left.key)
        folder = _folder(left.key)
        changes = [change for change in found if change.key == left.key or change.key.startswith(folder)]
        if not changes:
            next(objects_at(right.provider, right.key), None)  # nothing changed, or is nothing there?
        return Diff(changes, title=title, sides=found.sides)
    return Diff(
        listing_diff(left.provider, right.provider, keys=(left.key, right.key)),
        title=title,
        sides=(left.provider, right.provider),
        prefixes=(_folder(left.key), _folder(right.key)),
    )


def _folder(key: str) -> str:
    return key if not key or key.endswith("/") else f"{key}/"


def filesystem(at: str | Mapping[str, str] | None = None) -> "DatastoreFileSystem":
    """Return the fsspec file system of `ds://`.

    Args:
        at: Pins: `"garments@main=<commit id>"`, or a mapping of several; reads of that ref then see that commit.
    """
    import fsspec

    text = (
        at if isinstance(at, str) or at is None else ",".join(f"{ref}={commit}" for ref, commit in sorted(at.items()))
    )
    return fsspec.filesystem("ds", **({} if text is None else {"pins": text}))
