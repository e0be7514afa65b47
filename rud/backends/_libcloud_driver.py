"""Making a driver of libcloud: which one, where it goes, and as whom."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from rud._spec import nearest
from rud.backends._libcloud_providers import is_known
from rud.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Access:
    """The arguments that decide which driver it is, where it goes and as whom. The variables of the environment are
    read when a driver is made, so that no secret is copied from them."""

    provider: str
    key_environ: str | None
    secret_environ: str | None
    provider_kwargs: Mapping[str, Any] = field(repr=False)

    def check(self) -> None:
        """``ConfigurationError`` for what can be told without a request."""
        need_library()
        if not is_known(self.provider):
            _check_provider(self.provider)
        key = self.provider_kwargs.get("key") or self._credential("key", self.key_environ)
        self._credential("secret", self.secret_environ)
        if not key:
            raise ConfigurationError(
                f"libcloud's provider {self.provider!r} needs a key: give provider_kwargs={{'key': …}} or key_environ"
            )
        region = self.provider_kwargs.get("region")
        if self.provider == "s3" and region is not None:
            _check_region(region)
        if self.provider == "google_storage":
            _check_google(str(key), self.provider_kwargs)

    def driver(self) -> Any:
        """A new one; ``ConfigurationError`` for whatever libcloud refuses."""
        from libcloud.storage.providers import get_driver

        credentials = {
            "key": self._credential("key", self.key_environ),
            "secret": self._credential("secret", self.secret_environ),
        }
        arguments: dict[str, Any] = {name: value for name, value in credentials.items() if value is not None}
        arguments.update(self.provider_kwargs)
        try:
            make: Any = get_driver(self.provider)  # which class of many, only it knows
            return make(**arguments)
        except Exception as error:
            said = f"{type(error).__name__}: {getattr(error, 'value', None) or error}"
            for secret in (arguments.get("secret"), arguments.get("token")):
                said = said.replace(str(secret), "***") if secret else said
            raise ConfigurationError(f"libcloud's driver of {self.provider!r} cannot be made: {said}") from error

    def credentials_from(self) -> str:
        """Where the credentials come from, in words."""
        if "key" in self.provider_kwargs:
            return "backend_kwargs (provider_kwargs)"
        return f"the environment ({self.key_environ})"

    def _credential(self, name: str, variable: str | None) -> str | None:
        """What ``variable`` holds, unless ``provider_kwargs`` go before it."""
        if variable is None or name in self.provider_kwargs:
            return None
        if not os.environ.get(variable):
            raise ConfigurationError(
                f"{name}_environ names the variable {variable!r}, which is not set: export it before the run starts"
            )
        return os.environ[variable]


def need_library() -> None:
    """``ConfigurationError`` unless libcloud is installed; it is not imported yet."""
    if importlib.util.find_spec("libcloud") is None:
        raise ConfigurationError(
            "the store of 'libcloud' URIs needs apache-libcloud, which is not installed: pip install apache-libcloud"
        )


def _check_provider(provider: str) -> None:
    from libcloud.storage.providers import DRIVERS

    if provider not in DRIVERS:
        known = sorted(map(str, DRIVERS))
        raise ConfigurationError(
            f"libcloud has no provider {provider!r}{nearest(provider, known)}; it has: {', '.join(known)}"
        )


def _check_google(key: str, given: Mapping[str, Any]) -> None:
    if {"host", "port"} & given.keys():
        raise ConfigurationError(
            "libcloud's provider 'google_storage' takes no host and no port; proxy_url is what leads it elsewhere"
        )
    if not (key.startswith("GOOG") or "@" in key or {"auth_type", "credential_file"} & given.keys()):
        # libcloud would open a browser, and wait for it without end.
        raise ConfigurationError(
            "the key of libcloud's provider 'google_storage' is the access id of an HMAC key, which begins with GOOG, "
            "or the address of a service account"
        )


def _check_region(region: object) -> None:
    from libcloud.storage.drivers.s3 import REGION_TO_HOST_MAP

    known = sorted(REGION_TO_HOST_MAP)
    if region not in known:
        raise ConfigurationError(
            f"libcloud's provider 's3' knows no region {region!r}{nearest(str(region), known)}; it knows: "
            f"{', '.join(known)}"
        )
