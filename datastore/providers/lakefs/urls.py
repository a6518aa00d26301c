"""Signed URLs of objects: kept for as long as they are good, asked for when they are needed, or some time before.

A signed URL is a secret that ends to be valid after some minutes. Of many objects that are read in the order of their
keys, URLs come ahead, up to a thousand with one request, while those before them are in use.
"""

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from datastore.calls import Call
from datastore.errors import HeadMoved
from datastore.http.engine import engine
from datastore.providers.lakefs.answers import ObjectPage, ObjectStats, decoded
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.entries import address_of, leads_to, place_of
from datastore.providers.lakefs.learned import Ahead, SignedUrl
from datastore.values import ObjectInfo

if TYPE_CHECKING:
    from datastore.providers.lakefs.client import Query

__all__ = ["forget_url", "goes_direct", "keep_url", "signed_url"]

EARLY: Final = 15.0
"""Seconds before its end from which on a URL is not used any more, as lakectl does it."""
_DEFAULT_LIFE: Final = 60.0
_MOST_AHEAD: Final = 1000
_FASTER: Final = 8
_LAST: Final = chr(0x10FFFF)


def goes_direct(client: LakeFSClient) -> bool:
    """Tell whether bytes go straight to and from the object store, as far as the server can sign for it."""
    return client.config().storage_config.pre_sign_support if client.presign == "auto" else client.presign


def keep_url(client: LakeFSClient, repo: str, stats: ObjectStats) -> str | None:
    """Keep the signed URL that came with an object in place of its address; return the address if the URL tells it."""
    expires = stats.physical_address_expiry or time.time() + _DEFAULT_LIFE + EARLY
    url = stats.physical_address
    address = address_of(url, namespace=client.repository(repo).storage_namespace)
    client.learned.urls.put(address or _by_name(repo, stats.path, stats.checksum), SignedUrl(url, expires))
    return address


def signed_url(client: LakeFSClient, repo: str, ref: str, info: ObjectInfo) -> str:
    """Return a URL that leads to the bytes of an info: one that is kept, or a new one.

    Raises:
        HeadMoved: The key has other bytes by now.
    """
    state = client.learned.ahead.get((repo, ref)) or Ahead()
    known = _kept(client, repo, info)
    if known is None and (coming := _coming(state, info.key)) is not None:
        _keep_all(client, repo, ref, state, coming())
        known = _kept(client, repo, info)
    if known is None:
        _ask(client, repo, ref, state, info.key)
        known = _kept(client, repo, info)
    if known is None:
        raise HeadMoved(f"object {info.key!r} of {repo}@{ref} has other bytes by now", hint="read it again")
    state.used += 1
    client.learned.ahead.put((repo, ref), state)
    return known


def _kept(client: LakeFSClient, repo: str, info: ObjectInfo) -> str | None:
    place = place_of(info)
    if place is None:
        return None
    for name in (place.address, _by_name(repo, info.key, info.etag)):
        known = client.learned.urls.get(name)
        if known is not None and known.expires - time.time() > EARLY and leads_to(known.url, place.address):
            return known.url
    return None


def forget_url(client: LakeFSClient, repo: str, info: ObjectInfo) -> None:
    """Drop a URL that was refused."""
    place = place_of(info)
    if place is not None:
        client.learned.urls.drop(place.address)
        client.learned.urls.drop(_by_name(repo, info.key, info.etag))


def _by_name(repo: str, key: str, checksum: str) -> str:
    return f"{repo}\n{key}\n{checksum}"


def _goes_through(state: Ahead, key: str) -> bool:
    """Tell whether somebody reads all objects: keys come in order, and use most of what was asked for."""
    return bool(state.asked) and key > state.key and state.used * 2 >= state.asked


def _coming(state: Ahead, key: str) -> Callable[[], ObjectPage] | None:
    """Return what is on its way, if it is wanted: not in a forked process, where it will never arrive."""
    coming, state.coming = state.coming, None
    return coming if state.process == os.getpid() and _goes_through(state, key) else None


def _ask(client: LakeFSClient, repo: str, ref: str, state: Ahead, key: str) -> None:
    if _goes_through(state, key):
        _keep_all(client, repo, ref, state, client.run(_page_call(client, repo, ref, _just_before(key), state.asked)))
    else:
        query: Query = {"path": key, "presign": True, "user_metadata": False}
        path = ["repositories", repo, "refs", ref, "objects", "stat"]
        what = f"ask for the URL of object {key!r} of {repo}@{ref}"
        keep_url(
            client, repo, client.run(client.call("GET", path, what=what, query=query, finish=decoded(ObjectStats)))
        )
        state.key, state.asked, state.used = key, 1, 0


def _keep_all(client: LakeFSClient, repo: str, ref: str, state: Ahead, page: ObjectPage) -> None:
    """Keep URLs that came ahead, and have those behind them sent."""
    for row in page.results:
        keep_url(client, repo, row)
    sure = state.asked > 1  # those that were asked for before were used, and it was more than one
    state.asked, state.used = max(len(page.results), 1), 0
    if page.results:
        state.key = page.results[0].path
    if sure and page.pagination.has_more:
        call = _page_call(client, repo, ref, page.pagination.next_offset, state.asked)
        future = engine().submit(call.request)
        state.coming, state.process = lambda: call.finish(future.result()), os.getpid()


def _page_call(client: LakeFSClient, repo: str, ref: str, after: str | None, last: int) -> Call[ObjectPage]:
    amount = min(last * _FASTER, _MOST_AHEAD)
    query: Query = {"after": after, "amount": amount, "presign": True, "user_metadata": False}
    path = ["repositories", repo, "refs", ref, "objects", "ls"]
    return client.call("GET", path, what=f"ask for URLs of {repo}@{ref}", query=query, finish=decoded(ObjectPage))


def _just_before(key: str) -> str | None:
    """Return a text between this key and every key that is likely to come before it; listings start behind it.

    >>> _just_before("a/7") < "a/7", _just_before("a/7") > "a/6.png"
    (True, True)
    """
    last = ord(key[-1]) - 1
    if last < 0:
        return key[:-1] or None
    return key[:-1] + chr(0xD7FF if 0xD800 <= last <= 0xDFFF else last) + _LAST
