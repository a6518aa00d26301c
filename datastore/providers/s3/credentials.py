"""Where the credentials of a mount come from.

Options come first, then what the machine has: `R2_*` for R2, else botocore's chain (environment, profiles, web
identity, SSO, container, instance). Ambient credentials only go where they were configured for: AWS's to AWS, those of
a profile or an environment with an endpoint of its own to that one, and to an endpoint that the mount names, which the
trust rule has approved by then (`datastore.configtrust`).
"""

from typing import Final, Protocol

from datastore.configaws import r2_environment
from datastore.errors import ConfigError
from datastore.http.signing import Credentials
from datastore.providers.s3.chain import Chain
from datastore.providers.s3.presets import Preset
from datastore.secret import Secret

__all__ = ["CredentialSource", "Fixed", "R2Keys", "credential_source"]

_KEYS: Final = "give access_key_id and secret_access_key, as ${VARIABLE}"


class CredentialSource(Protocol):
    """Gives credentials whenever they are needed; equal to another one that looks in the same places.

    It travels in pickles without secrets, or not at all.
    """

    @property
    def origin(self) -> str:
        """Where the credentials came from, for people."""
        ...

    def get(self) -> Credentials | None:
        """Return credentials that are valid for the next minutes, or None to send requests without; may take a while.

        Raises:
            ConfigError: There are none, or what was configured is wrong.
            Forbidden: They cannot be had: a login has ended, a role may not be assumed.
            Unavailable: The service that gives them cannot be reached.
        """
        ...

    def renew(self) -> Credentials | None:
        """Look again, because a service said that they have expired."""
        ...


class Fixed:
    """Credentials that came with the options, or none at all.

    Args:
        credentials: What requests are signed with; None sends them without.
    """

    def __init__(self, credentials: Credentials | None) -> None:
        self._credentials = credentials

    @property
    def origin(self) -> str:
        """The options."""
        return "the options"

    def get(self) -> Credentials | None:
        """Return them."""
        return self._credentials

    renew = get

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fixed) and self._credentials == other._credentials

    def __hash__(self) -> int:
        return hash((Fixed, self._credentials))

    def __repr__(self) -> str:
        return f"Fixed({self._credentials.access_key_id if self._credentials else 'anonymous'})"


class R2Keys:
    """The variables `R2_ACCESS_KEY_ID` and `R2_SECRET_ACCESS_KEY`, read anew each time."""

    @property
    def origin(self) -> str:
        """The environment."""
        return "R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY"

    def get(self) -> Credentials:
        """Return them."""
        found = r2_environment()
        if not found.access_key_id or found.secret_access_key is None:
            raise ConfigError(
                "no credentials for R2: looked at the options, R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY",
                hint="set both variables, to an API token of R2 as Cloudflare's dashboard makes it",
            )
        return Credentials(access_key_id=found.access_key_id, secret_access_key=found.secret_access_key)

    renew = get

    def __eq__(self, other: object) -> bool:
        return isinstance(other, R2Keys)

    def __hash__(self) -> int:
        return hash(R2Keys)

    def __repr__(self) -> str:
        return "R2Keys()"


def credential_source(
    preset: Preset,
    endpoint: str,
    *,
    named: bool,
    region: str,
    access_key_id: Secret | str | None = None,
    secret_access_key: Secret | None = None,
    session_token: Secret | None = None,
    anonymous: bool = False,
    profile: str | None = None,
    role_arn: str | None = None,
) -> CredentialSource:
    """Return where a mount's credentials come from; nothing is looked up yet.

    Args:
        preset: The row of the service.
        endpoint: Where requests go.
        named: Whether the mount itself names that endpoint, which ambient credentials then may go to.
        region: For the service that hands out roles.
        access_key_id: Option.
        secret_access_key: Option.
        session_token: Option.
        anonymous: Option: send requests without credentials.
        profile: Option: a profile of AWS's tools.
        role_arn: Option: a role to assume with the other credentials.

    Raises:
        ConfigError: The options contradict each other, or there is nothing that may go to this endpoint.
    """
    given = _given(access_key_id, secret_access_key, session_token)
    chosen = [name for name, on in (("anonymous", anonymous), ("access_key_id", given), ("profile", profile)) if on]
    if len(chosen) > 1 or (anonymous and role_arn):
        names = " and ".join(chosen if len(chosen) > 1 else ["anonymous", "role_arn"])
        raise ConfigError(f"options {names} contradict each other", hint="keep one of them")
    if anonymous:
        return Fixed(None)
    if given is not None and role_arn is None:
        return Fixed(given)
    if preset.name == "r2" and given is None and profile is None and role_arn is None:
        return R2Keys()
    return Chain(endpoint, named=named, profile=profile, role_arn=role_arn, region=region, base=given)


def _given(key: Secret | str | None, secret: Secret | None, token: Secret | None) -> Credentials | None:
    if key is None and secret is None and token is None:
        return None
    if not key or not secret:
        missing = "secret_access_key" if key else "access_key_id"
        raise ConfigError(f"option {missing!r} is missing", hint=_KEYS)
    name = key.reveal() if isinstance(key, Secret) else key
    return Credentials(access_key_id=name, secret_access_key=secret, session_token=token or None)
