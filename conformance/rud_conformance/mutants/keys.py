"""Mistakes with keys."""

from __future__ import annotations

import html
import posixpath
import re
import secrets
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, unquote

from rud.errors import InvalidKeyError, ObjectStoreTransientError, StoreError
from rud.store import ObjectMeta
from rud_conformance.mutants import mutant
from rud_conformance.wired import WiredBackend


class _Changed(WiredBackend):
    """Keeps another key than it was given."""

    def change(self, key: str) -> str:
        return key

    def _whole(self, key: str) -> str:
        return super()._whole(key)[: len(self._prefix)] + (self.change(key) or "_")


@mutant("space-plus", "N04", "a space in a key is stored as a plus")
class SpacePlus(_Changed):
    def change(self, key: str) -> str:
        return key.replace(" ", "+")


@mutant("unquote", "N03", "a key is percent-decoded once too often")
class Unquote(_Changed):
    def change(self, key: str) -> str:
        return unquote(key)


@mutant("normpath", "N05 N06 N08", "a key goes through a normaliser of paths")
class Normpath(_Changed):
    def change(self, key: str) -> str:
        return posixpath.normpath(key)


@mutant("lstrip-slash", "N07", "slashes in front of a key are dropped")
class LstripSlash(_Changed):
    def change(self, key: str) -> str:
        return key.lstrip("/")


@mutant("double-slash", "N06", "slashes in a row become one")
class DoubleSlash(_Changed):
    def change(self, key: str) -> str:
        return re.sub("/+", "/", key)


@mutant("lower-case", "N02 N09 M03 S04", "keys are lower-cased")
class LowerCase(_Changed):
    def change(self, key: str) -> str:
        return key.lower()


@mutant("nfc", "N10", "keys are normalised to NFC")
class Nfc(_Changed):
    def change(self, key: str) -> str:
        return unicodedata.normalize("NFC", key)


@mutant("nfkc", "N10", "forms of compatibility are folded")
class Nfkc(_Changed):
    def change(self, key: str) -> str:
        return unicodedata.normalize("NFKC", key)


@mutant("cut-255", "N13 N15", "a key is cut at 255 characters")
class Cut255(_Changed):
    def change(self, key: str) -> str:
        return key[:255]


@mutant("characters-for-bytes", "N14", "1,024 characters are let pass, and the service cuts at 1,024 bytes")
class CharactersForBytes(_Changed):
    longest_key = 1 << 20

    def change(self, key: str) -> str:
        room = 1024 - len(self._prefix)
        if len(key) > room:
            raise InvalidKeyError("too long")
        return key.encode()[:room].decode(errors="ignore")


@mutant("refuses-from-1000-on-but-not-beyond", "N13", "keys of some lengths are refused, and longer ones are not")
class RefusesFrom1000OnButNotBeyond(_Changed):
    longest_key = 1 << 20

    def change(self, key: str) -> str:
        if 950 < len(key.encode()) < 970:
            raise InvalidKeyError("an unlucky length")
        return key


@mutant("strip", "N18", "white space around a key is dropped")
class Strip(_Changed):
    def change(self, key: str) -> str:
        return key.strip()


@mutant("strip-dots", "N18", "dots at the end of a key are dropped")
class StripDots(_Changed):
    def change(self, key: str) -> str:
        return key.rstrip(".")


@mutant("control-characters", "N12", "control characters are dropped")
class ControlCharacters(_Changed):
    def change(self, key: str) -> str:
        return re.sub(r"[\x00-\x1f\x7f]", "", key)


@mutant("line-ends", "N12", "keys with line ends are stored, and cut in a listing")
class LineEnds(WiredBackend):
    def _key(self, name: str) -> str:
        return super()._key(name).split("\n")[0]


@mutant("query", "N17", "a key ends at its question mark")
class Query(_Changed):
    def change(self, key: str) -> str:
        return re.split("[?#]", key)[0]


@mutant("unescape", "N19", "entities of HTML in a key are decoded")
class Unescape(_Changed):
    def change(self, key: str) -> str:
        return html.unescape(key)


@mutant("backslash", "N24", "a backslash becomes a slash")
class Backslash(_Changed):
    def change(self, key: str) -> str:
        return key.replace("\\", "/")


@mutant("hidden-tmp", "N25", "names that look like unfinished files are not listed")
class HiddenTmp(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (meta for meta in super().list(prefix) if not meta.key.endswith((".tmp", ".part")))


@mutant("digits-in-keys", "N26", "a key that looks like a status is taken for one")
class DigitsInKeys(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        if "503" in key:
            raise ObjectStoreTransientError.during("head", key, "503")
        return super().head(key)


@mutant("impossible-keys", "N11", "keys that cannot be are changed until they can")
class ImpossibleKeys(WiredBackend):
    def _whole(self, key: str) -> str:
        return self._prefix + str(key).replace("\0", "").encode("utf-8", "replace").decode()


@mutant("picky", "N16", "keys with capitals are refused")
class Picky(_Changed):
    def change(self, key: str) -> str:
        if any(letter.isupper() for letter in key):
            raise InvalidKeyError("capitals")
        return key


@mutant("no-prefix-in-head", "N01 S04 Q01", "head forgets the prefix of the store")
class NoPrefixInHead(WiredBackend):
    def head(self, key: str) -> ObjectMeta:
        with self._translated("head", key):
            return self._meta(key, self._service.head(self._whole(key)[len(self._prefix) :]))


@mutant("whole-names-listed", "L12 S13", "a listing has the names with the prefix of the store")
class WholeNamesListed(WiredBackend):
    def _key(self, name: str) -> str:
        return name


@mutant("prefix-lstrip", "N20 L12", "the prefix is taken off as a set of characters")
class PrefixLstrip(WiredBackend):
    def _key(self, name: str) -> str:
        return name.lstrip(self._prefix)


@mutant("prefix-replace", "N20 S13", "the prefix is taken off wherever it is in the key")
class PrefixReplace(WiredBackend):
    def _key(self, name: str) -> str:
        return name.replace(self._prefix, "")


@mutant("prefix-of-characters", "N21 M02", "the prefix is put before the key without a slash")
class PrefixOfCharacters(WiredBackend):
    def __init__(self, bucket: str, prefix: str = "") -> None:
        super().__init__(bucket, prefix)
        self._prefix = prefix


@mutant("hidden-by-folder", "N22", "an object is hidden by others below its name")
class HiddenByFolder(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        found = list(super().list(prefix))
        folders = {meta.key.rpartition("/")[0] for meta in found}
        return (meta for meta in found if meta.key not in folders)


@mutant("lost-below", "N22", "an object is lost when one is put below its name")
class LostBelow(WiredBackend):
    def _whole(self, key: str) -> str:
        name = super()._whole(key)
        self._service.delete(name.rpartition("/")[0])
        return name


@mutant("one-address", "N23", "two keys share an address")
class OneAddress(WiredBackend):
    def uri(self, key: str) -> str:
        return unquote(super().uri(key))


@mutant("impure-address", "N23", "an address is another each time")
class ImpureAddress(WiredBackend):
    def uri(self, key: str) -> str:
        return f"{super().uri(key)}?signature={secrets.token_hex(8)}"


@mutant("quoted-both-ways", "N27", "keys are quoted when they are stored and unquoted when they are listed")
class QuotedBothWays(_Changed):
    def change(self, key: str) -> str:
        return quote(key)

    def _key(self, name: str) -> str:
        return unquote(super()._key(name))

    def _pages(self, prefix: str) -> Iterator[tuple[str, object]]:  # type: ignore[override]  # as its own
        return ((name, one) for name, one in super()._pages("") if self._key(name).startswith(prefix))


@mutant("broken-by-a-refusal", "N28", "an instance that has refused a key does nothing any more")
class BrokenByARefusal(_Changed):
    def _whole(self, key: str) -> str:
        try:
            return super()._whole(key)
        except InvalidKeyError:
            self._closed = True
            raise


@mutant("slash-names-dropped", "N08", "names that end in a slash are not listed")
class SlashNamesDropped(WiredBackend):
    def list(self, prefix: str) -> Iterator[ObjectMeta]:
        return (meta for meta in super().list(prefix) if not meta.key.endswith("/"))


@mutant("key-of-the-service", "S13", "head tells the key with the prefix of the store")
class KeyOfTheService(WiredBackend):
    def get(self, key: str, sink, *, start: int = 0) -> ObjectMeta:  # type: ignore[no-untyped-def]  # as its base
        meta = super().get(key, sink, start=start)
        return replace(meta, key=self._prefix + meta.key)

    def head(self, key: str) -> ObjectMeta:
        return replace(super().head(key), key=self._prefix + key)


@mutant("dots-resolved-by-error", "N28", "a key with dots deletes what it would resolve to, and is refused then")
class DotsResolvedByError(_Changed):
    def change(self, key: str) -> str:
        if ".." in key:
            with self._translated("put", key):
                self._service.delete(f"{self._prefix}{posixpath.normpath(key.replace('/../y', ''))}")
            raise StoreError("no such key")
        return key
