"""What several of these tests need."""

from contextlib import contextmanager

from datastore.http.observe import observed


@contextmanager
def requests_to(address):
    """Collect the requests of the block that go to one server or bucket; others may still have some on their way."""
    with observed() as seen:
        yield seen
    seen[:] = [exchange for exchange in seen if address in exchange.url]


class Wrapper:
    """A provider that passes everything on; subclasses change one thing."""

    def __init__(self, provider):
        self.provider = provider

    @property
    def capabilities(self):
        return self.provider.capabilities

    def head(self, key):
        return self.provider.head(key)

    def read(self, key, *, range=None, if_match=None):
        return self.provider.read(key, range=range, if_match=if_match)

    def put(self, key, body, **options):
        return self.provider.put(key, body, **options)

    def delete(self, keys):
        return self.provider.delete(keys)

    def list(self, prefix="", **options):
        return self.provider.list(prefix, **options)

    def close(self):
        self.provider.close()
