"""What the tests of several engines need."""

import threading
from collections import Counter
from contextlib import contextmanager

import pandas as pd

import datastore as ds
from datastore.fs.system import DatastoreFileSystem
from datastore.namespace import current
from tests.filesystem.helpers import requests_to

FRAME = pd.DataFrame({"a": range(1000), "k": [f"k{n % 4}" for n in range(1000)], "f": [n / 3 for n in range(1000)]})


def committed(base):
    """Commit what is on a branch, and return the path of that commit; a bucket stays what it is."""
    name, at, ref = base.partition("@")
    return f"{name}@{ds.repo(name).branch(ref).commit('rows').id}" if at else base


def change(path, data):
    """Write as somebody else does: by another instance."""
    DatastoreFileSystem(skip_instance_cache=True).pipe_file(path, data)


@contextmanager
def instances(monkeypatch, verb):
    """Collect the instances that serve a verb in the block, and the threads in which they do."""
    original = getattr(DatastoreFileSystem, verb)
    seen, threads = set(), set()

    def watched(self, *args, **kwargs):
        seen.add(id(self))
        threads.add(threading.get_ident())
        return original(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(DatastoreFileSystem, verb, watched)
        yield seen, threads


@contextmanager
def requests():
    """Count the requests to the bucket behind the mount "data" in the block, by method."""
    counted = Counter()
    with requests_to(f"/{current().target('data/x').provider.bucket_name}") as seen:
        yield counted
    counted.update(exchange.method for exchange in seen)
