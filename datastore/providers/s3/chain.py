"""Ambient AWS credentials, looked up by botocore and kept fresh.

botocore is imported when the first credentials are needed, and not at all where the environment has them. Keys that end
are renewed five minutes before, by one thread at a time, while the others go on with those that are still good.
"""

import copy
import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from datastore.configaws import aws_environment
from datastore.errors import ConfigError, DatastoreError, Forbidden, Unavailable, nearest
from datastore.http.signing import Credentials
from datastore.providers.s3.presets import is_aws
from datastore.secret import Secret

__all__ = ["Chain"]

_EARLY: Final = 300.0  # facts/reliability.md §4.6: refresh 5 minutes early
_LAST_MOMENT: Final = 20.0
# Looking everywhere in vain takes seconds, and each of a thousand requests would do it.
_PAUSE: Final = 5.0
_LOOKED_AT: Final = "looked at the options, AWS_ACCESS_KEY_ID, {profile}, web identity, SSO, container, instance"
_KEYS: Final = "give access_key_id and secret_access_key, as ${VARIABLE}"


class _State:
    """What one process knows; a forked child begins a new one, because the lock may have been held."""

    def __init__(self, current: Credentials | None = None) -> None:
        self.pid = os.getpid()
        self.lock = threading.Lock()
        self.current = current
        self.found: Any = None
        self.looked = -_PAUSE
        self.failure: DatastoreError | None = None


class Chain:
    """botocore's chain of credentials, or one profile, or a role that is assumed with them.

    Args:
        endpoint: Where the credentials are to be sent.
        named: Whether the mount names that endpoint.
        profile: Of AWS's tools; None for theirs of choice.
        role_arn: Role to assume.
        region: Region of the service that hands out roles.
        base: Keys to assume the role with, instead of the chain.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        named: bool,
        profile: str | None = None,
        role_arn: str | None = None,
        region: str = "us-east-1",
        base: Credentials | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._named = named
        self._profile = profile
        self._role = role_arn
        self._region = region
        self._base = base
        self._state = _State()

    @property
    def origin(self) -> str:
        """What botocore found them in: `sso`, `shared-credentials-file`, …; the environment, if it was not asked."""
        method = getattr(self._state.found, "method", None) or "environment"
        return f"AWS's {method}" + (f" of profile {self._profile!r}" if self._profile else "")

    def get(self) -> Credentials:
        """Return credentials that are good for some minutes; errors as `CredentialSource.get`."""
        state = self._of_this_process()
        if state.current is not None and _left(state.current) > _EARLY:
            return state.current
        usable = state.current is not None and _left(state.current) > _LAST_MOMENT
        if not state.lock.acquire(blocking=not usable):
            return state.current  # pyright: ignore[reportReturnType] - usable, and another thread is at it
        try:
            if state.current is None or _left(state.current) <= _EARLY:
                self._look_up(state, keep=usable)
            return state.current  # pyright: ignore[reportReturnType] - set, or it was raised
        finally:
            state.lock.release()

    def renew(self) -> Credentials:
        """Look everywhere again, unless another thread has just done so."""
        state = self._of_this_process()
        with state.lock:
            if state.current is None or time.monotonic() - state.looked > _PAUSE:
                state.found = None
                self._look_up(state, keep=False)
            return state.current  # pyright: ignore[reportReturnType] - set, or it was raised

    def _of_this_process(self) -> _State:
        if self._state.pid != os.getpid():
            self._state = _State(self._state.current)
        return self._state

    def _look_up(self, state: _State, *, keep: bool) -> None:
        recent = time.monotonic() - state.looked < _PAUSE
        if recent and keep:
            return
        if recent and state.failure is not None:
            raise copy.copy(state.failure)
        state.failure = None
        try:
            state.current = self._found(state)
        except DatastoreError as error:
            state.failure = error
            if not keep:
                raise
        finally:
            state.looked = time.monotonic()

    def _found(self, state: _State) -> Credentials:
        environment = aws_environment()
        if self._base is None and self._profile is None and self._role is None and environment.secret_access_key:
            self._check_destination(environment.endpoint, "the environment")
            return Credentials(
                access_key_id=environment.access_key_id,
                secret_access_key=environment.secret_access_key,
                session_token=environment.session_token,
            )
        with _translated(self._profile or environment.profile, self._role):
            if state.found is None:
                state.found = self._ask_botocore(environment.endpoint)
            frozen = state.found.get_frozen_credentials()
        # Not public, and the same since it was made; without it keys would only be renewed once they are refused.
        expiry: Any = getattr(state.found, "_expiry_time", None)
        return Credentials(
            access_key_id=frozen.access_key,
            secret_access_key=Secret(frozen.secret_key),
            session_token=Secret(frozen.token) if frozen.token else None,
            expires_us=int(expiry.timestamp() * 1_000_000) if expiry else None,
        )

    def _ask_botocore(self, endpoint: str) -> Any:
        """Return botocore's object for the credentials."""
        session: Any = import_module("botocore.session").Session(profile=self._profile)
        if self._base is not None:
            found: Any = import_module("botocore.credentials").Credentials(*_revealed(self._base))
        else:
            name = f"profile {session.profile or 'default'!r}"
            self._check_destination(endpoint or _endpoint_of_profile(session), name)
            found = session.get_credentials()
            if found is None:
                raise ConfigError(
                    f"no AWS credentials: {_LOOKED_AT.format(profile=name)}",
                    hint=f"run: aws configure, or aws sso login; or {_KEYS}; or anonymous: true for public objects",
                )
        return _with_role(session, found, role=self._role, region=self._region) if self._role else found

    def _check_destination(self, configured: str, whose: str) -> None:
        """Raise `ConfigError` if these credentials were not meant for this endpoint."""
        if self._named:
            return
        here = _origin(self._endpoint)
        if configured and _origin(configured) != here:
            raise ConfigError(
                f"the credentials of {whose} are configured for {_origin(configured)}, not for {here}",
                hint=f"name the endpoint in the mount, or {_KEYS}",
            )
        if not configured and not is_aws(self._endpoint):
            raise ConfigError(f"no credentials for {here}: those of {whose} are AWS's, and not sent there", hint=_KEYS)

    def _places(self) -> tuple[object, ...]:
        return self._endpoint, self._named, self._profile, self._role, self._region, self._base

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Chain) and self._places() == other._places()

    def __hash__(self) -> int:
        return hash((Chain, self._endpoint, self._profile, self._role))

    def __repr__(self) -> str:
        return f"Chain({_origin(self._endpoint)}, profile={self._profile}, role_arn={self._role})"

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_state": None}  # keys that came with the options refuse to be pickled

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _state=_State())


def _left(credentials: Credentials) -> float:
    """Return the seconds that they are still valid."""
    return float("inf") if credentials.expires_us is None else credentials.expires_us / 1e6 - time.time()


def _revealed(credentials: Credentials) -> tuple[str, str, str | None]:
    token = credentials.session_token
    return credentials.access_key_id, credentials.secret_access_key.reveal(), token.reveal() if token else None


def _with_role(session: Any, found: Any, *, role: str, region: str) -> Any:
    module: Any = import_module("botocore.credentials")

    def client(service: str, **options: Any) -> Any:
        return session.create_client(service, region_name=region, **options)

    fetcher = module.AssumeRoleCredentialFetcher(client, found, role, extra_args={"RoleSessionName": "datastore"})
    return module.DeferredRefreshableCredentials(fetcher.fetch_credentials, "assume-role")


def _endpoint_of_profile(session: Any) -> str:
    """Return where S3 is for a profile: its section of services first, as AWS's tools have it."""
    scoped: Any = session.get_scoped_config()
    services: Any = session.full_config.get("services", {}).get(scoped.get("services"), {})
    return services.get("s3", {}).get("endpoint_url") or scoped.get("endpoint_url") or ""


def _origin(url: str) -> str:
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}"


@contextmanager
def _translated(profile: str | None, role: str | None) -> Generator[None]:
    """Turn botocore's errors into ours; what a process or service printed is not quoted, it may hold secrets."""
    errors: Any = import_module("botocore.exceptions")
    login_errors = (errors.SSOError, errors.TokenRetrievalError, errors.NoAuthTokenError)
    login = f"aws sso login{f' --profile {profile}' if profile else ''}"
    try:
        yield
    except errors.ProfileNotFound as error:
        known: list[str] = import_module("botocore.session").Session().available_profiles
        raise ConfigError(
            f"AWS's shared files have no profile {profile!r}", hint=nearest(profile or "", known, what="profiles")
        ) from error
    except login_errors as error:
        raise Forbidden(f"the SSO login of profile {profile or 'default'!r} has ended", hint=f"run: {login}") from error
    except errors.ClientError as error:
        code = error.response.get("Error", {}).get("Code", "an error")
        raise Forbidden(
            f"AWS did not hand out {f'the role {role}' if role else 'credentials'}: {code}",
            hint="ask who may assume it; `aws sts get-caller-identity` tells who you are",
        ) from error
    except (errors.HTTPClientError, errors.ConnectionError, errors.MetadataRetrievalError) as error:
        raise Unavailable(
            f"the service that hands out AWS credentials cannot be reached ({type(error).__name__})"
        ) from error
    except (errors.CredentialRetrievalError, RuntimeError) as error:
        raise Forbidden(
            f"AWS credentials cannot be had ({type(error).__name__})",
            hint=f"run: aws sts get-caller-identity; it tells why. Then {login}, if that is how you log in",
        ) from None
    except errors.BotoCoreError as error:
        if isinstance(error, getattr(errors, "LoginError", ())):
            raise Forbidden("the AWS login has ended", hint="run: aws login") from error
        raise ConfigError(f"AWS credentials: {error}", hint="correct it, or run: aws configure") from error
