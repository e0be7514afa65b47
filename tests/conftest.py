"""What holds for every test: an environment without settings of other people, and no way off this machine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from rud_fakes.servers import VARIABLES as SERVER_VARIABLES

from rud._ranks import VARIABLES as RANK_VARIABLES

# Not rud_fakes.servers, which hands on to it: that one is imported above, too early for pytest to rewrite its asserts.
pytest_plugins = ["rud_conformance.servers"]

FOREIGN = (
    "AWS_", "S3_", "GCS_", "GOOGLE_", "STORAGE_EMULATOR_", "CLOUDSDK_", "COMPOSER_SFTP_",
    "RUD_", "SLURM_", "OMPI_", "PMI_", "JSM_NAMESPACE_",
)  # fmt: skip
PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

settings.register_profile(
    "ci", derandomize=True, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("deep", settings.get_profile("ci"), derandomize=False, max_examples=2000, print_blob=True)
# For the other Pythons of .ci/run: fewer of the same examples.
settings.register_profile("light", settings.get_profile("ci"), max_examples=25)
# A --hypothesis-profile on the command line comes later and wins.
settings.load_profile("ci")


def _clear_environment() -> None:
    """Before any test module is imported, so that child processes inherit it too."""
    for name in list(os.environ):
        if name in SERVER_VARIABLES:
            continue
        if name.startswith(FOREIGN) or name in RANK_VARIABLES or name.lower() in PROXIES or name == "PYTEST_ADDOPTS":
            del os.environ[name]
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = "*"
    # Or botocore and google-auth, without credentials, ask a machine of the cloud for some.
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["NO_GCE_CHECK"] = "true"
    os.environ["CLOUDSDK_CONFIG"] = os.devnull


_clear_environment()

# A shell that starts a test run in the background has it ignore Ctrl-C, and every child of it, too.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

LOOPBACK = ("localhost", "::1", "", None)
_left_the_machine: list[str] = []


def _is_here(host: object) -> bool:
    name = host.decode("ascii", "replace") if isinstance(host, bytes) else host
    return name in LOOPBACK or (isinstance(name, str) and name.startswith("127."))


def _guard(event: str, arguments: tuple[object, ...]) -> None:
    """An audit hook: whatever in this process resolves a name or addresses a socket comes by here first."""
    if not event.startswith("socket."):
        return
    if event in ("socket.connect", "socket.sendto", "socket.sendmsg"):
        address = arguments[1]
        # A text or bytes is a path (AF_UNIX); what is no pair of host and port (netlink) does not leave either.
        host = address[0] if isinstance(address, tuple) and len(address) in (2, 4) else None
    elif event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"):
        host = arguments[0]
    else:
        return
    if isinstance(host, str | bytes) and not _is_here(host):
        _left_the_machine.append(f"{event} of {host!r}")
        raise PermissionError(f"tests stay on this machine: {event} of {host!r} was refused")


sys.addaudithook(_guard)


@pytest.fixture(autouse=True)
def left_the_machine() -> Iterator[list[str]]:
    """Fails a test during which anything but loopback was asked for, even when the code under test hides it."""
    _left_the_machine.clear()
    yield _left_the_machine
    asked, _left_the_machine[:] = list(_left_the_machine), []
    assert not asked, f"tests stay on this machine, but this one asked for: {asked}"
