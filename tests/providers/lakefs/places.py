"""Clients and repos for the tests of lakeFS."""

from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.credentials import Login, api_url
from datastore.providers.lakefs.repo import LakeFSRepo
from datastore.secret import Secret
from datastore.values import CommitRequest


def client_for(server, *, endpoint=None, **options) -> LakeFSClient:
    """A client of a server; `endpoint` if something stands in between."""
    login = Login(access_key_id=server.access_key, secret=Secret(server.secret_key))
    return LakeFSClient(api_url(endpoint or server.endpoint), login, **options)


def repo_on(server, **options) -> LakeFSRepo:
    """A new repo."""
    return LakeFSRepo(client_for(server, **options), server.new_repo())


def committed(repo: LakeFSRepo, objects: dict[str, bytes]):
    """Put objects on main, commit, and return the provider of the commit."""
    main = repo.at("main")
    for key, data in objects.items():
        main.put(key, data)
    request = CommitRequest(message="Write", author="test", op_id=f"op-{repo.name}-{len(objects)}")
    return repo.at(repo.commit("main", request).id)
