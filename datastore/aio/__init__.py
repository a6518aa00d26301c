"""`datastore` for code that runs in an event loop: the same names, awaited.

    from datastore import aio

    repo = aio.repo("garments")
    commit = await repo.branch("main").commit("First rows")
    path = await aio.resolve(commit / "img/")

Everything that asks a store is a coroutine, what gives one thing after the other is an asynchronous iterator, and what
is used in a `with` block is used in an `async with` block. Handles are free, and made without waiting. The work is done
by threads; importing this starts none.
"""

from datastore.aio import functions
from datastore.aio.caches import Cache
from datastore.aio.functions import *  # noqa: F403 - a table of names, written by tools/twins.py
from datastore.aio.handles import Branch, Experiment, Repo, Transaction
from datastore.aio.objects import Objects
from datastore.aio.reader import Reader
from datastore.aio.running import call
from datastore.aio.streams import Stream
from datastore.api import filesystem, mount, url

__all__ = [
    "Branch",
    "Cache",
    "Experiment",
    "Objects",
    "Reader",
    "Repo",
    "Stream",
    "Transaction",
    "call",
    "filesystem",
    "mount",
    "url",
]
__all__ += functions.__all__
