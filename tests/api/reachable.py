"""A provider that is in this process, and says that it is somewhere else: what hand-off objects are made of."""

from msgspec import Struct

from datastore.bridging import Connection
from datastore.providers.memory import MemoryProvider
from datastore.secret import Secret


class Options(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    endpoint: str = ""
    access_key_id: Secret | None = None
    secret_access_key: Secret | None = None
    token: Secret | None = None
    service: str = "s3"
    path_style: bool = False
    region: str = "eu-central-1"


class Reachable(MemoryProvider):
    def __init__(self, options):
        super().__init__()
        self._options = options

    def connection(self):
        options = self._options
        return Connection(
            service=options.service,
            endpoint=options.endpoint,
            region=options.region,
            access_key_id=options.access_key_id.reveal() if options.access_key_id else "",
            secret_access_key=options.secret_access_key,
            token=options.token,
            path_style=options.path_style,
        )


def open_mount(options):
    return Reachable(options)
