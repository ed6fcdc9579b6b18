"""What is left, in the files of a folder, of texts that were deleted.

Every byte of every file is looked at. Looked for are the texts in each form a file may hold them in (UTF-8,
UTF-16 and UTF-32, and as JSON escapes them), and the densest stretch of each vector. A run of 16 bytes of any
of these, wherever it begins, is found: also where a database splits a long text over its pages. What zlib,
gzip, bz2 or xz packed is unpacked and looked at too. Packed with anything else it would not be found, and
files that say they are (zstd, lz4, zip) are named. What a file system keeps of files that are gone is not
looked at.
"""

from __future__ import annotations

import bz2
import json
import lzma
import os
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Final

RUN: Final = 16
"""Bytes of a text that are looked for together, wherever they begin in it."""
WORD: Final = 8
TELLING: Final = 6
"""Different bytes that a run needs: fewer (a row of blanks, of zeros) say nothing of where they come from."""
SHORTEST: Final = 6
"""Bytes of the shortest text that can be told from chance."""
MOST_PLACES: Final = 20
"""Of the same bytes that are told."""
UNPACKED: Final = 2**26
"""Bytes that one packed stretch is unpacked to, about, at most."""
FED: Final = 256
"""Packed bytes that are unpacked at a time."""
WINDOW: Final = 2**20
"""Words that are compared at a time."""
VECTOR: Final = "vector"
STRETCH: Final = 64
"""Bytes of a vector that are looked for."""
FOREIGN: Final = {b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"PK\x03\x04": "zip"}
Data = bytes | mmap
_PACKED: Final = re.compile(rb"\x78[\x01\x5e\x9c\xda]|\x1f\x8b\x08|BZh[1-9]1AY&SY|\xfd7zXZ\x00")


@dataclass(frozen=True, slots=True)
class Left:
    """Bytes of what was deleted, still in a file: of its text in a form, or of its `vector`."""

    file: str
    offset: int
    form: str


@dataclass(frozen=True, slots=True)
class Erased:
    """What was forgotten, and what was looked at to prove it.

    `untold` are texts that cannot be told from others or from chance: whole in a note that is kept, or too
    short. `unread` are files that begin like something packed which cannot be unpacked here.
    """

    notes: int
    files: int
    bytes: int
    left: tuple[Left, ...] = ()
    untold: int = 0
    unread: tuple[str, ...] = ()

    @property
    def proven(self) -> bool:
        """Whether nothing is left of any of the notes, as far as files can tell."""
        return not self.left and not self.untold and not self.unread


def look_for(
    folder: Path, texts: Sequence[str], vectors: Sequence[bytes] = (), kept: Iterable[str] = ()
) -> Erased:
    """Looks through all files of `folder` for what is left of `texts` and of `vectors`, their fp32 bytes.

    A run that a text shares with one of `kept`, which are still remembered, is not counted as left, nor the
    vector of a text that is among those: equal texts have equal ones.
    """
    vector_of = dict(zip(texts, vectors, strict=False))
    sought = _Sought(texts, vectors)
    places: dict[tuple[str, bytes], list[tuple[str, int]]] = {}
    unread: list[str] = []
    size = files = 0
    for path in sorted(one for one in folder.rglob("*") if one.is_file()):
        data, name = _mapped(path), str(path.relative_to(folder))
        files, size = files + 1, size + len(data)
        for offset, stretch in ((0, data), *_unpacked(data)):
            for at, form, run in sought.within(stretch):
                held = places.setdefault((form, run), [])
                if len(held) < MOST_PLACES:
                    held.append((name, offset + at))
        if data[:4] in FOREIGN:
            unread.append(f"{name} ({FOREIGN[data[:4]]})")
    whole = set(sought.telling)
    for text in kept:
        whole -= {one for one in whole if one in text}
        if places:
            forms = forms_of(text)
            plain = {"JSON": forms["UTF-8"], "JSON in ASCII": forms["UTF-8"]}
            plain[VECTOR] = vector_of.get(text, b"")
            for form, run in [*places]:
                if run in (plain | forms).get(form, b""):
                    del places[form, run]
    left = [Left(name, at, form) for (form, _), held in places.items() for name, at in held]
    untold = sum(text not in whole for text in texts)
    return Erased(len(texts), files, size, tuple(sorted(left, key=_place)), untold, tuple(unread))


def _place(left: Left) -> tuple[str, int]:
    return left.file, left.offset


def _mapped(path: Path) -> Data:
    """A file's bytes, not read before they are looked at."""
    with path.open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            return b""
        return mmap(file.fileno(), 0, access=ACCESS_READ)


def forms_of(text: str) -> dict[str, bytes]:
    """A text as bytes, in each form that a file may hold it in."""
    found = {"UTF-8": text.encode()}
    for ascii_only, name in ((False, "JSON"), (True, "JSON in ASCII")):
        escaped = json.dumps(text, ensure_ascii=ascii_only)[1:-1].encode()
        if escaped not in found.values():
            found[name] = escaped
    for name in ("UTF-16-LE", "UTF-16-BE", "UTF-32-LE", "UTF-32-BE"):
        found[name] = text.encode(name)
    return found


class _Sought:
    """The forms of texts and vectors, and an index of every `WORD` bytes of them.

    `telling` are the texts that can be told from chance.
    """

    def __init__(self, texts: Sequence[str], vectors: Sequence[bytes]) -> None:
        import numpy as np

        self.telling = [text for text in texts if _telling_text(text.encode())]
        self._long: list[tuple[str, bytes]] = []
        self._short: list[tuple[str, bytes]] = []
        self._where: dict[bytes, list[tuple[int, int]]] = {}
        for text in self.telling:
            for name, form in forms_of(text).items():
                (self._long if len(form) >= RUN else self._short).append((name, form))
        self._long += [(VECTOR, one) for one in map(_densest, vectors) if _telling(one)]
        for which, (_, form) in enumerate(self._long):
            for at in range(len(form) - WORD + 1):
                self._where.setdefault(form[at : at + WORD], []).append((which, at))
        self._keys = np.sort(np.frombuffer(b"".join(self._where), "<u8"))

    def within(self, data: Data) -> Iterator[tuple[int, str, bytes]]:
        """Where in `data` something is left, in which form, and what."""
        for name, form in self._short:
            at = data.find(form)
            if at >= 0:
                yield at, name, form
        told = -1
        for at in self._words(data):
            runs = [
                (*_grown(data, at, self._long[which][1], inside), self._long[which][0])
                for which, inside in self._where[data[at : at + WORD]]
            ]
            begin, end, name = max(runs, key=lambda run: run[1] - run[0])
            run = data[begin:end]
            if begin > told and len(run) >= RUN and _telling(run):
                told = end
                yield begin, name, run

    def _words(self, data: Data) -> Iterator[int]:
        """Multiples of WORD where WORD bytes of something stand: every run of 2 * WORD - 1 bytes has one."""
        import numpy as np

        words = np.frombuffer(data, "<u8", len(data) // WORD)
        for begin in range(0, len(words) if len(self._keys) else 0, WINDOW):
            some = words[begin : begin + WINDOW]
            nearest = np.searchsorted(self._keys, some).clip(max=len(self._keys) - 1)
            yield from ((begin + int(at)) * WORD for at in np.flatnonzero(self._keys[nearest] == some))


def _grown(data: Data, at: int, form: bytes, inside: int) -> tuple[int, int]:
    """The longest stretch of `data` around `at` that goes on as `form` does around `inside`."""
    begin, first = at, inside
    while begin > 0 and first > 0 and data[begin - 1] == form[first - 1]:
        begin, first = begin - 1, first - 1
    end, last = at + WORD, inside + WORD
    while end < len(data) and last < len(form) and data[end] == form[last]:
        end, last = end + 1, last + 1
    return begin, end


def _telling_text(text: bytes) -> bool:
    return len(text) >= SHORTEST and _telling(text)


def _telling(run: bytes) -> bool:
    return len(set(run)) >= min(TELLING, len(run))


def _densest(vector: bytes) -> bytes:
    """The stretch of a vector with the most different bytes."""
    starts = range(0, max(len(vector) - STRETCH, 0) + 1, STRETCH)
    return max((vector[at : at + STRETCH] for at in starts), key=lambda some: len(set(some)), default=b"")


def _unpacked(data: Data) -> Iterator[tuple[int, bytes]]:
    """What packed stretches of `data` hold, each with its place."""
    whole = memoryview(data)
    for match in _PACKED.finditer(data):
        made = _unpack(whole[match.start() :])
        if made:
            yield match.start(), made


def _unpack(data: memoryview) -> bytes:
    """What `data` begins with, unpacked as far as it goes; nothing where it is not packed after all."""
    opened: bz2.BZ2Decompressor | lzma.LZMADecompressor | zlib._Decompress
    if bytes(data[:1]) == b"B":
        opened = bz2.BZ2Decompressor()
    elif bytes(data[:1]) == b"\xfd":
        opened = lzma.LZMADecompressor()
    else:
        opened = zlib.decompressobj(zlib.MAX_WBITS | 32)
    made = bytearray()
    for at in range(0, len(data), FED):
        try:
            made += opened.decompress(data[at : at + FED])
        except (zlib.error, OSError, lzma.LZMAError, EOFError):
            break
        if opened.eof or len(made) > UNPACKED:
            break
    return bytes(made)
