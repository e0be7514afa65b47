"""``*.symlink`` objects: followed as far as they lead to names of the same store, and no further."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rud_fakes.memory import MemoryBackend

from rud import Downloader, InvalidKeyError, ObjectNotFoundError, RudError, StoreError
from rud._symlinks import MOST_BYTES, MOST_STEPS, download, follow, leads_to
from tests.support.contract import put
from tests.support.trainer import get_file


class Place:
    """A store of a few objects."""

    def __init__(self, bucket: str, folder: Path) -> None:
        self.backend = MemoryBackend(bucket, "below")
        self._uri = f"memory://{bucket}/below"
        self.destination = folder / "got"

    def put(self, name: str, content: bytes | str) -> None:
        put(self.backend, f"run/{name}", content.encode() if isinstance(content, str) else content)

    def download(self, name: str, destination: Path | None = None) -> bytes:
        into = destination or self.destination
        with Downloader(self._uri, num_attempts=1) as downloader:
            download(downloader, name, into, key_of="run/{}".format, overwrite=False, callback=None)
        return into.read_bytes()

    def download_file(self, remote_file_name: str, destination: str, *, progress_bar: bool, overwrite: bool) -> None:
        """What Composer calls."""
        self.download(remote_file_name, Path(destination))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    bucket = tmp_path.name
    yield Place(bucket, tmp_path)
    MemoryBackend.forget(bucket)


def test_a_symlink_is_followed(place: Place) -> None:
    """By its name and by the name without the suffix; the text is a name of a file, of which a key is made as of any
    other; a last line end, as editors leave one, does not count."""
    place.put("ep1.pt", b"weights")
    place.put("latest.pt.symlink", "ep1.pt")
    place.put("newest.symlink", "latest.pt.symlink\n")

    for name in ("latest.pt.symlink", "latest.pt", "newest", "newest.symlink"):
        assert place.download(name) == b"weights"
        place.destination.unlink()


def test_an_object_comes_before_a_symlink(place: Place) -> None:
    """A name that is there is never looked for as a symlink file."""
    place.put("a", b"the object")
    place.put("a.symlink", "b")

    assert place.download("a") == b"the object"


def test_composer_gets_the_text(place: Place, tmp_path: Path) -> None:
    """A destination that ends in ``.symlink`` gets the object itself, whatever it is: Composer then reads it and asks
    again, by name and by the name of the symlink file."""
    place.put("ep1.pt", b"weights")
    place.put("latest.pt.symlink", "ep1.pt")
    assert place.download("latest.pt.symlink", tmp_path / "file.symlink") == b"ep1.pt"
    with pytest.raises(ObjectNotFoundError):
        place.download("latest.pt", tmp_path / "other.symlink")
    for name in ("latest.pt", "latest.pt.symlink"):
        get_file(name, place.destination, place)
        assert place.destination.read_bytes() == b"weights"
        place.destination.unlink()


def test_a_symlink_to_nowhere_is_not_found(place: Place) -> None:
    """The error names the object that is missing; the other name is tried first, and its error is raised first."""
    place.put("latest.pt.symlink", "ep1.pt")
    with pytest.raises(FileNotFoundError, match=r"ep1\.pt"):
        place.download("latest.pt.symlink")
    with pytest.raises(FileNotFoundError, match=r"latest\.pt'") as caught:
        place.download("latest.pt")

    assert "ep1.pt" in str(caught.value.__cause__)
    assert not place.destination.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("/etc/passwd", "absolute"),
        ("../other-run/ep1.pt", r"'\.\.'"),
        ("a/../../b", r"'\.\.'"),
        ("a/./b", r"'\.'"),
        ("..\\b", r"'\.\.'"),
        ("s3://elsewhere/ep1.pt", "URI"),
        ("file:///etc/passwd", "URI"),
        ("two\nlines", "control"),
        ("delete\x7f", "control"),
        ("", "name of an object"),
        ("\n", "name of an object"),
        ("a\0b", "name of an object"),
        (b"\x80\x02weights", "name of an object"),
    ],
)
def test_a_symlink_that_leads_elsewhere_is_refused(place: Place, content: bytes | str, says: str) -> None:
    """In words that name the file and where it leads; nothing is fetched, and it does not look like a missing file."""
    place.put("latest.symlink", content)
    with pytest.raises(InvalidKeyError, match=rf"latest\.symlink.*{says}"):
        place.download("latest")

    assert not place.destination.exists()


def test_a_checkpoint_under_the_name_of_a_symlink_is_refused(place: Place) -> None:
    """By its size, before its bytes are read."""
    place.put("latest.symlink", b"x" * (MOST_BYTES + 1))
    with pytest.raises(StoreError, match=f"{MOST_BYTES + 1} bytes"):
        place.download("latest")


def test_a_circle_is_refused(place: Place) -> None:
    """With the way in the text."""
    place.put("a.symlink", "b.symlink")
    place.put("b.symlink", "a.symlink")
    with pytest.raises(StoreError, match=r"circle: 'a\.symlink' → 'b\.symlink' → 'a\.symlink'") as caught:
        place.download("a")

    assert not isinstance(caught.value, FileNotFoundError)


@pytest.mark.parametrize("steps", [MOST_STEPS, MOST_STEPS + 1])
def test_a_long_way_is_refused(steps: int) -> None:
    """Just so many steps are made."""
    files = {f"{step}.symlink": f"{step + 1}.symlink" for step in range(steps)} | {f"{steps - 1}.symlink": "end"}
    if steps <= MOST_STEPS:
        assert follow("0.symlink", lambda name: files[name].encode()) == "end"
    else:
        with pytest.raises(StoreError, match=f"more than {MOST_STEPS}"):
            follow("0.symlink", lambda name: files[name].encode())


def test_a_destination_that_exists_is_refused_before_any_request(place: Place) -> None:
    """No symlink is read for a download that cannot be made."""
    place.destination.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        place.download("missing.symlink")

    assert place.destination.read_bytes() == b"mine"


PIECES = st.sampled_from(["a", "b.symlink", "..", ".", "", "/", "s3:", "//", "\\", "\n", "é", "\0"])


@given(st.dictionaries(st.sampled_from(["a.symlink", "b.symlink"]), st.lists(PIECES, max_size=5).map("".join)))
def test_the_end_of_the_way_is_below_the_prefix(files: dict[str, str]) -> None:
    """Whatever the files say: the end is a relative name without steps upwards, or there is an error of ours."""
    read: list[str] = []

    def content(name: str) -> bytes:
        read.append(name)
        return files.get(name, "end").encode()

    try:
        end = follow("a.symlink", content)
    except RudError:
        assert len(read) <= MOST_STEPS + 1
        return
    assert end
    assert not end.startswith("/")
    assert "://" not in end
    assert ".." not in end.replace("\\", "/").split("/")


def test_what_is_no_file_leads_nowhere(tmp_path: Path) -> None:
    """And is not waited for: what it is, is for whoever takes it to say."""
    os.mkfifo(tmp_path / "pipe.symlink")
    (tmp_path / "bytes.symlink").write_bytes(b"\xff")

    for name in ("pipe.symlink", "bytes.symlink", "nothing.symlink", ""):
        assert leads_to("latest.symlink", tmp_path / name) is None
