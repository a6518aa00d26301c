"""Short spellings for tests of lakeFS repos."""

from datastore.errors import Unavailable
from datastore.providers.lakefs.client import LakeFSClient
from datastore.providers.lakefs.credentials import Login, api_url
from datastore.providers.lakefs.repo import LakeFSRepo
from datastore.secret import Secret


def client_for(server) -> LakeFSClient:
    return LakeFSClient(
        api_url(server.endpoint), Login(access_key_id=server.access_key, secret=Secret(server.secret_key))
    )


def fresh(server) -> LakeFSRepo:
    return LakeFSRepo(client_for(server), server.new_repo())


class Flaky(LakeFSClient):
    """Loses the answers to some calls, or the calls: `lose` and `drop` hold what their description begins with."""

    def __init__(self, server):
        super().__init__(api_url(server.endpoint), client_for(server).login)
        self.lose: list[str] = []
        self.drop: list[str] = []
        self.fail = Unavailable("the connection broke")

    def run(self, call):
        if self._now(self.drop, call):
            raise self.fail
        result = super().run(call)
        if self._now(self.lose, call):
            raise self.fail
        return result

    @staticmethod
    def _now(beginnings, call):
        found = next((one for one in beginnings if call.request.what.startswith(one)), None)
        if found is not None:
            beginnings.remove(found)
        return found is not None
