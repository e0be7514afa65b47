"""Each quirk that switches a case off is still one: a test here that fails is a server that was mended.

Then the quirk goes from ``rud_conformance.quirks``, and its cases are switched on.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from rud_conformance import _progress, run
from rud_conformance._servers import Signed, server_at
from rud_conformance.command import main
from rud_conformance.quirks import MOTO, VERSITYGW, Quirk, is_path, known
from rud_conformance.registry import case_of, cases
from rud_fakes.s3 import S3Server
from rud_fakes.servers import Moto, S3Address, Versitygw

from tests.support.s3 import Place, address_of, new_place

QUIRKS = (*VERSITYGW, *MOTO)


def test_every_quirk_names_cases() -> None:
    """Each has an id of its own, and names cases that there are; what they are told by names both."""
    ids = [quirk.id for quirk in QUIRKS]

    assert len(ids) == len(set(ids))
    assert {case for quirk in QUIRKS for case in quirk.cases} <= {case.id for case in cases()}
    assert all(quirk.id in known(quirk)[case] for quirk in QUIRKS for case in quirk.cases)


def shows(quirk: Quirk, place: Place, prefix: str = "") -> None:
    client = place.client()
    try:
        found = quirk.shows(Signed(client, place.bucket, prefix))
    finally:
        client.close()
    assert found, f"{quirk.server} is mended: {quirk.defect!r} is gone, and so should {quirk.id} be"


@pytest.mark.parametrize("prefix", ["", "/some/where"], ids=["at the root", "below"])
@pytest.mark.parametrize("quirk", VERSITYGW, ids=lambda one: one.id)
def test_versitygw(quirk: Quirk, prefix: str, rud_versitygw: Versitygw) -> None:
    """Its request is still answered as it should not be, at the root of a bucket and below a prefix."""
    shows(quirk, new_place(rud_versitygw.address), prefix)


@pytest.mark.parametrize("quirk", MOTO, ids=lambda one: one.id)
def test_moto(quirk: Quirk, rud_moto: Moto) -> None:
    """Its request is still answered as it should not be."""
    shows(quirk, new_place(rud_moto.address))


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``rud conformance`` with few cases, of which some fail by the server."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    chosen = [case_of(one) for one in ("N05", "N08", "X01")]
    monkeypatch.setattr(_progress, "cases", lambda profile: chosen)
    monkeypatch.setitem(run.FLOORS, "smoke", 1)


def command(address: S3Address, *arguments: str) -> int:
    place = new_place(address)
    given = json.dumps(address.backend_kwargs)
    code = main([f"s3://{place.bucket}/below", "--backend-kwargs", given, *arguments])
    assert "<KeyCount>0<" in address.ask("GET", f"/{place.bucket}?list-type=2")[1]
    return code


@pytest.mark.usefixtures("trial")
def test_the_command_knows_the_server(rud_versitygw: Versitygw, capsys: pytest.CaptureFixture[str]) -> None:
    """A server that says who it is: what it gets wrong is seen, told by name, and no failure; nothing of it stays."""
    assert command(rud_versitygw.address) == 0
    said = capsys.readouterr().out
    assert "the server is versitygw, which was just seen to get wrong" in said
    assert "N05 quirk: versitygw-dots: versitygw 1.8.0 (posix): segments of dots are resolved" in said
    assert "1 pass, 2 quirk" in said or "2 quirk, 1 pass" in said


@pytest.mark.usefixtures("trial")
def test_the_command_is_told_otherwise(rud_versitygw: Versitygw, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``--server none`` the same store fails; a required case that is a quirk is too little."""
    assert command(rud_versitygw.address, "--server", "none") == 1
    assert "N05 fail" in capsys.readouterr().out
    assert command(rud_versitygw.address, "--require", "N05") == 3
    assert "N05 is required, and ended as quirk" in capsys.readouterr().out


@pytest.mark.usefixtures("trial")
def test_a_server_that_is_better_than_it_is_known_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    """What is taken for a versitygw and shows none of its defects is tried by every case."""
    with S3Server("bucket") as server:
        assert command(address_of(server), "--server", "versitygw") == 0
    said = capsys.readouterr().out
    assert "versitygw-dots does not show here: its cases are tried" in said
    assert "3 pass;" in said


@pytest.mark.usefixtures("trial")
def test_only_s3_has_servers(capsys: pytest.CaptureFixture[str]) -> None:
    """``--server`` for a store of another kind is refused before anything is written."""
    assert main(["memory://nothing", "--server", "moto"]) == 2
    assert "--server moto is for s3 URIs" in capsys.readouterr().out


def test_who_a_server_is(rud_moto: Moto) -> None:
    """It is known by what it calls itself; a stranger, and one that does not answer, is nobody."""
    assert server_at(rud_moto.url) == "moto"
    with S3Server("bucket") as server:
        assert server_at(server.url) is None
    assert server_at(server.url) is None


def test_what_versitygw_keeps() -> None:
    """Keys that are no paths of files are drawn by no generated case there."""
    assert all(map(is_path, ("a", "a/b", "a.b", "s" * 255)))
    assert not any(map(is_path, ("a//b", "/a", "a/", "a/../b", "s" * 256, "a\x01")))
