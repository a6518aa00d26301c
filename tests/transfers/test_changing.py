"""Files that somebody writes to while they are on their way: an error, or one state of them; never a mixture."""

import os

import pytest

import datastore as ds
from datastore.providers.lakefs import sending
from datastore.steady import Steady
from datastore.streams import FileReader
from tests.transfers.helpers import MIB, fill, objects, tree

SIZES = [10_000, 3 * MIB, 20 * MIB]


def write(path, *, at, data=b"!"):
    """Write into a file as somebody else does, with a time that is another one for certain."""
    with open(path, "r+b") as file:  # noqa: PTH123
        file.seek(at)
        file.write(data)
    os.utime(path, ns=(1, 1 + os.stat(path).st_size))  # noqa: PTH116


@pytest.fixture
def changed(monkeypatch):
    """Files are written to just after somebody has looked at them in order to put them."""
    original = Steady.of.__func__

    def of(cls, fd, name):
        found = original(cls, fd, name)
        write(name, at=0)
        return found

    monkeypatch.setattr(Steady, "of", classmethod(of))


@pytest.mark.parametrize("size", SIZES)
def test_07_a_file_that_changes_is_an_error_or_sent_as_it_is_then(there, place, changed, size):
    folder = fill(place / "src", {"a.bin": os.urandom(size)})
    try:
        ds.upload(folder, there)
    except ds.IntegrityError as error:
        assert "changed while it was read" in error.message  # noqa: PT017
        assert objects(there) == {}
    else:
        assert objects(there) == tree(folder)


@pytest.mark.parametrize("size", SIZES)
def test_the_embedded_store_takes_none_of_it(main, place, changed, size):
    main.objects.put("raw/a.bin", b"old")
    folder = fill(place / "src", {"a.bin": os.urandom(size), "b.bin": b"1"})
    with pytest.raises(ds.IntegrityError, match="changed while it was read"):
        ds.upload(folder, main / "raw/")
    assert objects(main / "raw/") == {"a.bin": b"old"}


class _Writes:
    """A callback that writes to a file when its first bytes have arrived."""

    def __init__(self, path):
        self.path = path

    def set_size(self, size):
        pass

    def relative_update(self, inc=1):
        pass

    def close(self):
        pass

    def branched(self, *_, **__):
        class Child(_Writes):
            def relative_update(self, inc=1):
                write(self.path, at=0, data=b"?" * 100)

        return Child(self.path)


def test_07_parts_of_two_states_are_never_put_together(cloud, place):
    folder = fill(place / "src", {"a.bin": os.urandom(40 * MIB)})
    with pytest.raises(ds.IntegrityError, match="changed while it was read"):
        ds.upload(folder, "ds://cloud/raw/", callback=_Writes(folder / "a.bin"))
    assert objects("ds://cloud/raw/") == {}
    ds.upload(folder, "ds://cloud/raw/")
    assert objects("ds://cloud/raw/") == tree(folder)


@pytest.mark.servers
def test_07_parts_on_a_server_with_branches(lake, place, changed, monkeypatch):
    monkeypatch.setattr(sending, "ONE_PUT", 10 * MIB)
    folder = fill(place / "src", {"a.bin": os.urandom(20 * MIB)})
    with pytest.raises(ds.IntegrityError, match="changed while it was read"):
        ds.upload(folder, lake)
    assert objects(lake) == {}


@pytest.mark.parametrize("size", [10_000, 20 * MIB])
def test_a_local_copy_is_of_one_state(place, monkeypatch, size):
    folder = fill(place / "src", {"a.bin": os.urandom(size)})
    for verb in ("send", "_fill"):
        original = getattr(FileReader, verb)

        def between(self, *args, original=original):
            count = original(self, *args)
            write(folder / "a.bin", at=0)
            return count

        monkeypatch.setattr(FileReader, verb, between)
    with pytest.raises(ds.IntegrityError, match="changed in place"):
        ds.sync(folder, place / "copy")
    assert tree(place / "copy") == {}
