"""Links to data that stays in another mount: from a URL to the entries that a branch gets, and from these to bytes."""

from collections.abc import Iterable, Iterator

from msgspec import structs

from datastore.bridging import SupportsAddress, SupportsOutsideLinks
from datastore.errors import NotFound, UnsupportedOperation
from datastore.history import objects_at
from datastore.names import check_key, content_type_of
from datastore.namespace import Namespace, Target
from datastore.provider import Provider, SupportsLink
from datastore.threads import fan_out
from datastore.transfer import stream_object
from datastore.urls import Location
from datastore.values import Link, ObjectInfo

__all__ = ["entries", "link", "materialize"]


def link(namespace: Namespace, branch: Provider, *, url: str, prefix: str) -> None:
    """Put entries for all that is at a URL onto a branch; see `Branch.link`."""
    if not isinstance(branch, SupportsOutsideLinks):
        raise UnsupportedOperation("this store cannot link to data outside", hint="ds.sync or `datastore cp` copies it")
    source = _pinned(namespace.link_target(namespace.url(url)))
    infos = list(entries(objects_at(source.provider, source.key), source, prefix=prefix))
    if not infos:
        raise NotFound(f"there is no object under {url!r}", hint="list the folder above it")
    outside = [info for info in infos if source.versioned is None or not _taken_over(branch, info)]
    if outside:
        branch.link_outside(outside)


def materialize(branch: Provider, prefix: str) -> None:
    """Copy the bytes of all links under a prefix into the store; see `Branch.materialize`."""
    links = (info.key for page in branch.list(prefix) for info in page.objects if info.link is not None)

    def bring_in(key: str) -> None:
        stream_object(branch, key, branch, key)

    # Their sources are elsewhere, as a rule, whatever the branch itself is.
    for _ in fan_out(bring_in, list(links), local=False):
        pass


def entries(objects: Iterable[tuple[str, ObjectInfo]], source: Target, *, prefix: str) -> Iterator[ObjectInfo]:
    """Yield the entries for objects, each given with the rest of its key.

    An object that is named by itself keeps its name under the prefix. A content type that followed from the extension
    follows the new one.
    """
    folder = f"{prefix.rstrip('/')}/" if prefix.rstrip("/") else ""
    provider = source.provider
    for rest, info in objects:
        key = check_key(folder + (rest or info.key.rpartition("/")[2]))
        followed = info.content_type == content_type_of(info.key)
        if info.link is None:
            pin = Link(
                url=str(Location(source.name, source.ref, info.key)),
                etag=info.etag,
                address=provider.address(info.key) if isinstance(provider, SupportsAddress) else "",
            )
        else:  # a link to a link leads where that one does
            pin = info.link
        yield structs.replace(
            info,
            key=key,
            commit=None,
            content_type=content_type_of(key) if followed else info.content_type,
            link=pin,
        )


def _taken_over(branch: Provider, info: ObjectInfo) -> bool:
    """Whether the bytes are in this very store, in another repo: then nothing outside is needed."""
    return isinstance(branch, SupportsLink) and branch.link(info, info.key) is not None


def _pinned(target: Target) -> Target:
    """Return the target at the commit that its ref names now: uncommitted bytes could not be found again."""
    if target.versioned is None or target.ref is None:
        return target
    commit = target.versioned.commit_of(target.ref).id
    return structs.replace(target, ref=commit, provider=target.versioned.at(commit))
