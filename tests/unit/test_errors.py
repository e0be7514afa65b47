"""The error tree: each also a built-in, one positional argument, and whole after pickling."""

from __future__ import annotations

import pickle

import pytest

from rud import errors
from rud.errors import ObjectNotFoundError, RudError, SpoolError, ThrottledError, UploadError

ALL = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, RudError)]
BUILT_IN = {
    "ConfigurationError": ValueError,
    "InvalidKeyError": ValueError,
    "ObjectNotFoundError": FileNotFoundError,
    "ObjectExistsError": FileExistsError,
    "AccessDeniedError": PermissionError,
    "CredentialsExpiredError": PermissionError,
    "BucketNotFoundError": FileNotFoundError,
    "UnsupportedOperationError": NotImplementedError,
    "StoreClosedError": ValueError,
    "ObjectStoreTransientError": RuntimeError,
    "SpoolError": OSError,
    "UploadExistsError": FileExistsError,
    "UploadDeniedError": PermissionError,
    "UploadNotFoundError": FileNotFoundError,
    "UploadTimeoutError": TimeoutError,
    "PoolClosedError": ValueError,
}


@pytest.mark.parametrize("cls", ALL)
def test_text_is_the_one_argument(cls: type[RudError]) -> None:
    """The sentence comes back whole, although an ``OSError`` would read three arguments as errno and file name."""
    error = cls("what happened")

    assert str(error) == "what happened"
    assert error.args == ("what happened",)


@pytest.mark.parametrize("name", BUILT_IN)
def test_each_is_the_built_in_that_one_would_catch(name: str) -> None:
    """A person who knows Python and not rud catches what they expect."""
    assert issubclass(getattr(errors, name), BUILT_IN[name])


@pytest.mark.parametrize("cls", ALL)
def test_pickling_keeps_text_facts_and_notes(cls: type[RudError]) -> None:
    """An error is the same on the other side of a process border."""
    error = cls("what happened")
    error.__dict__["key"] = "a/b"
    error.add_note("and this")

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is cls
    assert str(again) == "what happened"
    assert again.__dict__ == error.__dict__


def test_facts_are_attributes() -> None:
    """What the sentence says can be read without parsing it."""
    missing = ObjectNotFoundError.during("head", "a/b", "NoSuchKey")
    slow = ThrottledError("slow down", operation="put", key="a", retry_after=3.0)
    full = SpoolError("no room", errno=28)
    failed = UploadError("no", key="a", uri="file:///a", attempts=3, elapsed=1.5, rank=2, kept_at="/x")

    assert (missing.operation, missing.key, missing.reason) == ("head", "a/b", "NoSuchKey")
    assert "'a/b'" in str(missing)
    assert slow.retry_after == 3.0
    assert full.errno == 28
    assert (failed.attempts, failed.rank, failed.kept_at) == (3, 2, "/x")
