"""Where the server is and with which credentials: what the options say, else what lakectl uses."""

from base64 import b64encode
from collections.abc import Callable
from urllib.parse import urlsplit

from msgspec import Struct

from datastore.configlakectl import Lakectl, lakectl
from datastore.errors import ConfigError
from datastore.secret import Secret

__all__ = ["Login", "ambient_login", "api_url", "discover"]

_OPTIONS = "give endpoint, access_key_id and secret_access_key, or run: lakectl config"


class Login(Struct, frozen=True, kw_only=True):
    """What requests are sent with: a pair of keys, or a token.

    Attributes:
        access_key_id: Name of the key; empty with a token.
        secret: The key's secret, or the token.
        ambient: URL of the API for which lakectl's own credentials are looked up again in another process; empty if
            they came with the options, and do not travel.
    """

    access_key_id: str
    secret: Secret
    ambient: str = ""

    def header(self) -> str:
        """Return the value of the `Authorization` header, at the moment when it is sent."""
        if not self.access_key_id:
            return f"Bearer {self.secret.reveal()}"
        return "Basic " + b64encode(f"{self.access_key_id}:{self.secret.reveal()}".encode()).decode()

    def __reduce__(self) -> tuple[Callable[..., "Login"], tuple[str, ...]] | str:
        if self.ambient:
            return ambient_login, (self.ambient,)
        self.secret.__reduce_ex__(None)  # says why it does not travel
        return ""


def api_url(endpoint: str) -> str:
    """Return where the API is: an endpoint without a path has it under `/api/v1`.

    >>> api_url("https://lakefs.example.com/"), api_url("http://127.0.0.1:8000/proxy/api/v1")
    ('https://lakefs.example.com/api/v1', 'http://127.0.0.1:8000/proxy/api/v1')
    """
    address = endpoint.strip().rstrip("/")
    parts = urlsplit(address)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ConfigError("the endpoint of lakeFS is no http(s) address", hint="endpoint: https://lakefs.example.com")
    return address if parts.path else f"{address}/api/v1"


def ambient_login(url: str) -> Login:
    """Return lakectl's credentials, if they were configured for the server with this API.

    Raises:
        ConfigError: There are none, they are for another server, or of a kind that is not supported.
    """
    found = lakectl()
    if not found.endpoint or _origin(api_url(found.endpoint)) != _origin(url):
        other = f"lakectl's are for {_origin(api_url(found.endpoint))}" if found.endpoint else "lakectl has none"
        raise ConfigError(f"no credentials for lakeFS at {_origin(url)}: {other}", hint=_OPTIONS)
    return _login(found, url)


def discover(
    *,
    endpoint: str | None = None,
    access_key_id: Secret | None = None,
    secret_access_key: Secret | None = None,
    token: Secret | None = None,
) -> tuple[str, Login]:
    """Return the URL of the API and the credentials for it.

    Options come first. Lakectl's environment variables and file fill in what they leave open; its credentials only go
    to the server that they were configured for.

    Raises:
        ConfigError: Something is missing, or half of a pair is.
    """
    if (access_key_id is None) != (secret_access_key is None):
        half = "access_key_id" if secret_access_key is None else "secret_access_key"
        raise ConfigError(f"lakeFS: {half} is given without its other half", hint=_OPTIONS)
    url = api_url(endpoint or _ambient_endpoint())
    if token is not None:
        return url, Login(access_key_id="", secret=token)
    if access_key_id is not None and secret_access_key is not None:
        return url, Login(access_key_id=access_key_id.reveal(), secret=secret_access_key)
    return url, ambient_login(url)


def _ambient_endpoint() -> str:
    found = lakectl().endpoint
    if not found:
        raise ConfigError("lakeFS: nothing tells where the server is", hint=_OPTIONS)
    return found


def _login(found: Lakectl, url: str) -> Login:
    if found.session_token is not None:
        return Login(access_key_id="", secret=found.session_token, ambient=url)
    if found.access_key_id and found.secret_access_key is not None:
        return Login(access_key_id=found.access_key_id, secret=found.secret_access_key, ambient=url)
    if found.provider_type:
        problem = f"{found.source} names the credentials provider {found.provider_type!r}, which is not supported"
        raise ConfigError(f"lakeFS: {problem}", hint="give a pair of keys or a token")
    raise ConfigError(f"lakeFS: {found.source} has no credentials", hint=_OPTIONS)


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}"
