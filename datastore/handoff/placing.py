"""Files of this machine for objects: their own where they have some, else copies in the cache."""

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from datastore.bridging import SupportsLocalFiles, SupportsPaths
from datastore.cachestore.layout import disk_trouble
from datastore.cachestore.portable import portable_name, portable_names
from datastore.cachestore.store import Wanted
from datastore.handoff.choosing import Offer
from datastore.handoff.finding import Found
from datastore.namespace import Namespace
from datastore.resolution import store_of
from datastore.values import ObjectInfo

__all__ = ["Placed", "offer_of", "place"]


class Placed(Struct, frozen=True):
    """Where objects are on this machine.

    Attributes:
        folder: What the names of folders that are columns begin after.
        files: One for each object, in the same order. They are to be read only.
    """

    folder: str
    files: Sequence[str]


def offer_of(namespace: Namespace, found: Found) -> Offer:
    """Return what there is to choose from for some objects."""
    above = _own_folder(found) or str(namespace.config.cache_path)
    return Offer(format=found.format, copied=found.copied, remote=found.remote, hive=found.hive, clear="=" not in above)


def place(namespace: Namespace, found: Found) -> Placed:
    """Return a file for each object; what is not a file of this machine yet is brought into the cache.

    Copies stay until this process ends, as what `ds.resolve` gives does.
    """
    provider = found.provider
    if isinstance(provider, SupportsPaths):
        return Placed(_own_folder(found), [str(provider.path_of(info.key)) for info in found.objects])
    if found.named or not isinstance(provider, SupportsLocalFiles):
        folder, files = _copied(namespace, found, found.objects)
        return Placed(folder, files)
    own = {info.key: provider.local_file(info) for info in found.objects}
    rest = [info for info in found.objects if own[info.key] is None]
    copies = iter(_copied(namespace, found, rest)[1] if rest else ())
    return Placed("", [str(own[info.key] or next(copies)) for info in found.objects])


def _own_folder(found: Found) -> str:
    """Return the folder of objects that are files under their own names; "" for all others."""
    provider = found.provider
    if not isinstance(provider, SupportsPaths):
        return ""
    first, name = found.objects[0], found.names[0]
    path = provider.path_of(first.key)
    return str(path.parents[name.count("/")])


def _copied(namespace: Namespace, found: Found, infos: Sequence[ObjectInfo]) -> tuple[str, list[str]]:
    store = store_of(namespace)
    names = portable_names(info.key[len(found.folder) :] for info in infos)
    wanted = [Wanted(names[info.key[len(found.folder) :]], info) for info in infos]
    name = portable_name((Path(found.folder).name or found.base).replace("=", "-"))  # it must not look like a column
    with disk_trouble(store.folder.root):
        root, _ = store.get_tree(found.provider, wanted, name=name, link="auto", take=store.leases.take)
    return root, [os.path.join(root, one.name) for one in wanted]  # noqa: PTH118 - thousands in a row
