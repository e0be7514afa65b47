"""The servers that no run of the tests needs: where they are installed, they come up and let in whom they should."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from rud_fakes.servers import AzureAddress, Azurite, Minio, Sshd, minio, sshd
from rud_fakes.servers._child import Child, answers

from tests.support.processes import is_running


def test_minio_keeps_its_objects(rud_minio: Minio, tmp_path: Path) -> None:
    """An object survives SIGKILL of the server; a wrong secret is refused; what it made goes with it."""
    with minio(tmp_path) as server:
        assert server.address.ask("PUT", "/bucket/k", b"content")[0] == 200
        server.kill()
        server.start()

        assert server.address.ask("GET", "/bucket/k") == (200, "content")
        assert replace(server.address, secret_key="another").ask("GET", "/bucket/k")[0] == 403
    assert tmp_path.is_dir()
    with minio() as server:
        folder = Path(server._folder)
        assert folder.is_dir()
    assert not folder.exists()


def test_azurite_lets_in_whoever_has_the_key(rud_azurite: Azurite, rud_prefix: str) -> None:
    """A blob is stored and read by the shared key, another key is refused, and neither is shown."""
    address, path = rud_azurite.address, f"/bucket/{rud_prefix}/k"
    assert address.ask("PUT", path, b"content", x_ms_blob_type="BlockBlob")[0] == 201

    assert address.ask("GET", path) == (200, "content")
    assert replace(address, key="AAAA").ask("GET", path)[0] == 403
    assert address.key in rud_azurite.environment["AZURE_STORAGE_CONNECTION_STRING"]
    assert address.key not in repr(address)


def test_a_request_to_azure_is_signed_as_documented() -> None:
    """The signature is that of Azure's own worked example of a request with query parameters."""
    address = AzureAddress("http://127.0.0.1:1", "myaccount", "AAAA")
    headers = {"x-ms-date": "Fri, 26 Jun 2015 23:39:12 GMT", "x-ms-version": "2015-02-21"}
    target = "/myaccount/mycontainer?restype=container&comp=metadata&timeout=20"
    expected = (
        "GET\n\n\n\n\n\n\n\n\n\n\n\nx-ms-date:Fri, 26 Jun 2015 23:39:12 GMT\nx-ms-version:2015-02-21\n"
        "/myaccount/myaccount/mycontainer\ncomp:metadata\nrestype:container\ntimeout:20"
    )

    assert address._to_sign("GET", target, 0, headers) == expected


def sftp(server: Sshd, commands: str, command: str = "sftp") -> subprocess.CompletedProcess[str]:
    line = [command, *server.address.options, *(["-b", "-"] if command == "sftp" else []), "127.0.0.1"]
    return subprocess.run(line, input=commands, capture_output=True, text=True, check=False, timeout=60)


def test_sshd_offers_files_and_nothing_else(rud_sshd: Sshd, rud_prefix: str, tmp_path: Path) -> None:
    """A session begins in the folder of the buckets, by its key and with the server's own known; there is no shell."""
    (tmp_path / "k").write_text("content", encoding="utf-8")
    done = sftp(rud_sshd, f"put {tmp_path / 'k'} bucket/{rud_prefix}\nls bucket/{rud_prefix}\n")

    assert (done.returncode, done.stdout.split()[-1]) == (0, f"bucket/{rud_prefix}"), done.stdout + done.stderr
    assert (rud_sshd.address.folder / "bucket" / rud_prefix).read_text(encoding="utf-8") == "content"
    refused = sftp(rud_sshd, "", "ssh")
    assert (refused.returncode, "sftp connections only" in refused.stdout) == (1, True), refused.stdout + refused.stderr


def test_sshd_keeps_its_keys(rud_sshd: Sshd, tmp_path: Path) -> None:
    """Over kill and start it has the same port, keys and files; another server's key lets nobody in."""
    with sshd(tmp_path) as server:
        assert sftp(server, "mkdir bucket/k\n").returncode == 0
        before, pid = server.address, server.pid
        server.kill()
        assert not is_running(pid)
        server.start()

        assert server.address == before
        assert sftp(server, "ls bucket\n").stdout.split()[-1] == "bucket/k"
        assert "Permission denied" in sftp_with(server, rud_sshd.address.key_file).stderr


def sftp_with(server: Sshd, key: Path) -> subprocess.CompletedProcess[str]:
    options = [part.replace(str(server.address.key_file), str(key)) for part in server.address.options]
    line = ["sftp", *options, "-b", "/dev/null", "127.0.0.1"]
    return subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=60)


WEB = """
import http.server, sys
statuses = iter([503, 503, 200])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(next(statuses))
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


def test_a_child_is_ready_when_it_says_so() -> None:
    """A server that listens and cannot serve yet is asked until it can."""
    child = Child("web", lambda port: [sys.executable, "-c", WEB, str(port)], os.environ, ready=answers("/health"))
    child.start()
    try:
        # The next request finds no status: all that were there have been asked for.
        assert not answers("/health")(child.port)
    finally:
        child.kill()
