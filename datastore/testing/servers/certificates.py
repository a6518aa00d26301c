"""A certificate for 127.0.0.1 from an authority that exists for one server only."""

from pathlib import Path

from msgspec import Struct

from datastore.errors import NotFound

__all__ = ["Certificate", "issue"]


class Certificate(Struct, frozen=True):
    """Files in PEM: the authority for clients, chain and key for the server."""

    authority: Path
    chain: Path
    key: Path


def issue(folder: Path) -> Certificate:
    """Make an authority and a server certificate of it in `folder`.

    The names are those that MinIO looks for; the others take any.

    Raises:
        NotFound: The package `trustme` is not installed.
    """
    try:
        import trustme
    except ImportError as error:
        hint = "pip install 'datastore-sdk[test]'"
        raise NotFound("a server with TLS needs the package trustme", hint=hint) from error
    folder.mkdir(parents=True, exist_ok=True)
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1", "localhost")
    made = Certificate(folder / "authority.pem", folder / "public.crt", folder / "private.key")
    authority.cert_pem.write_to_path(made.authority)
    issued.private_key_pem.write_to_path(made.key)
    for number, blob in enumerate(issued.cert_chain_pems):
        blob.write_to_path(made.chain, append=number > 0)
    return made
