"""What the tests of transfers have in common."""

from contextlib import contextmanager

from datastore.http.observe import observed
from datastore.namespace import current

MIB = 1 << 20


def fill(folder, files):
    """Write files, by name."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def tree(folder):
    """What is in a folder: bytes by name, also of what is hidden."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def objects(url):
    """What is under a URL: bytes by name."""
    target = current().target(current().url(url))
    found = {}
    for page in target.provider.list(target.key):
        for info in page.objects:
            with target.provider.read(info.key) as reader:
                found[info.key[len(target.key) :]] = reader.read()
    return found


def provider_of(url):
    """The provider of a URL."""
    return current().target(current().url(url)).provider


@contextmanager
def counted():
    """Count the requests of a block, by method."""
    with observed() as seen:
        yield (methods := {})
    for exchange in seen:
        methods[exchange.method] = methods.get(exchange.method, 0) + 1
