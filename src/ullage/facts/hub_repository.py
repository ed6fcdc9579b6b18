"""What is read of a hub's repository: its files and their sizes, configs whole, and weight files' headers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError
from ullage.facts.adapter import CONFIG, WEIGHTS, is_adapter, no_weights
from ullage.facts.gguf import other_parts, read_header
from ullage.facts.headers_only import SIZES, safetensors_header
from ullage.facts.hub_name import COMMIT
from ullage.facts.hub_patience import Patience
from ullage.facts.picture_files import PICTURE_FILES
from ullage.facts.safetensors_header import tensors_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

AT_ONCE: Final = 8
"""Requests for headers; a model of 163 files takes some 20 rounds."""
SMALL: Final = 16 * 2**20
"""Bytes of the largest file that is read whole; an index of 405B has 0.2 MB."""
LARGEST_LIST: Final = 64 * 2**20
"""Bytes of what a hub says of a repository; one of ten thousand files has 2 MB."""
FIRST: Final = 2**17
"""Bytes asked for at first: most headers are smaller (huggingface_hub asks for as much)."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The files of a repository at one commit, with their bytes, and how pieces of them are read."""

    name: str
    commit: str
    files: Mapping[str, int]
    patience: Patience

    def read(self, file: str, begin: int, length: int) -> bytes:
        """Bytes [begin, begin + length) of a file, fewer where it ends. Raises FormatError for more or less,
        TooSlowError, and what huggingface_hub raises."""
        from urllib.parse import quote

        from huggingface_hub import constants

        end = min(begin + length, self.files[file])
        url = constants.HUGGINGFACE_CO_URL_TEMPLATE.format(
            repo_id=self.name, revision=self.commit, filename=quote(file)
        )
        # A server that knows no ranges sends the file from its beginning.
        found, skipped = _get(url, self.patience.piece, self.patience, (begin, end))
        wanted = found[skipped : skipped + end - begin]
        if len(wanted) < end - begin:
            raise FormatError(
                f"{self.name}: the hub says that {file} has {self.files[file]:,} bytes, and ends after "
                f"{begin + len(wanted):,}"
            )
        return wanted

    def whole(self, file: str) -> bytes:
        """A small file. Raises FormatError as `read`, and for one that is not small."""
        if self.files[file] > SMALL:
            raise FormatError(
                f"{self.name}: {file} has {self.files[file]:,} bytes; at most {SMALL:,} are read"
            )
        return self.patience.await_(partial(self.read, file, 0, SMALL))

    def described(self, file: str) -> bytes:
        """A small file of JSON. Raises FormatError as `whole`, and for one that is no object."""
        data = self.whole(file)
        try:
            found = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{self.name}: {file} is not valid JSON: {error}") from error
        if not isinstance(found, dict):
            raise FormatError(f"{self.name}: {file} holds {type(found).__name__}, not an object")
        return data


def open_repository(name: str, revision: str | None, patience: Patience) -> Repository:
    """What the hub says of it now. Raises FormatError, TooSlowError, and what huggingface_hub raises."""
    from urllib.parse import quote

    from huggingface_hub import constants

    at = f"/revision/{quote(revision, safe='')}" if revision else ""
    url = f"{constants.ENDPOINT}/api/models/{name}{at}?blobs=true"
    text, _ = patience.await_(partial(_get, url, patience.answer, patience))
    try:
        told = json.loads(text)
        listed = [(each["rfilename"], each.get("size")) for each in told.get("siblings") or ()]
        found, commit = told["id"], told["sha"]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{name}: what the hub says of it makes no sense: {error}") from error
    files = {
        file: size
        for file, size in listed
        if type(size) is int and size >= 0 and isinstance(file, str) and _is_inside(file)
    }
    if not isinstance(found, str) or not isinstance(commit, str) or not COMMIT.fullmatch(commit):
        raise FormatError(f"{name}: the hub names no commit")
    return Repository(found, commit, files, patience)


def _get(
    url: str, silence: float, patience: Patience, part: tuple[int, int] | None = None
) -> tuple[bytes, int]:
    """What a hub answers, no more of it than bytes [begin, end) need; and where in it those begin. At most
    `silence` seconds pass without a byte."""
    from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

    headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
    begin, end = part or (0, LARGEST_LIST)
    if part is not None:
        headers["Range"] = f"bytes={begin}-{end - 1}"
    found = bytearray()
    with get_session().stream(
        "GET", url, headers=headers, timeout=silence, follow_redirects=True
    ) as response:
        if response.status_code >= 400:
            response.read()
            hf_raise_for_status(response)
        skipped = begin if response.status_code != 206 else 0
        for piece in response.iter_bytes():
            found += piece
            patience.check()
            if len(found) >= skipped + end - begin:
                break
    return bytes(found), skipped


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and path.name not in ("", SIZES)


def lay_down(folder: Path, file: str | None, repository: Repository) -> None:
    """Writes what a plan needs of it into a folder, as `contents` gives it: of weight files their beginning,
    and their true sizes beside them."""
    sizes: dict[Path, dict[str, int]] = {}
    for name, data in contents(file, repository):
        path = folder / (PurePosixPath(name).name if file else name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if len(data) < repository.files[name]:
            sizes.setdefault(path.parent, {})[path.name] = repository.files[name]
    for place, held in sizes.items():
        (place / SIZES).write_text(json.dumps(held, indent=1))


def contents(file: str | None, repository: Repository) -> Iterator[tuple[str, bytes]]:
    """Every file that a plan needs, of weight files their headers; of one GGUF `file`, or of the whole model.

    Raises FormatError and InputError, and what huggingface_hub raises.
    """
    files = repository.files
    if file is not None:
        yield from _gguf(file, repository)
    elif is_adapter(file for file in files if "/" not in file):
        if WEIGHTS not in files:
            raise FormatError(f"{repository.name}: {no_weights(files)}")
        yield CONFIG, repository.described(CONFIG)
        yield from _headers([WEIGHTS], repository)
    elif "config.json" in files:
        yield from _model("", repository)
        for beside in ("generation_config.json", *PICTURE_FILES):
            if beside in files:
                yield beside, repository.described(beside)
    elif "model_index.json" in files:
        yield "model_index.json", repository.described("model_index.json")
        for folder in sorted({file.partition("/")[0] for file in files if file.count("/") == 1}):
            if f"{folder}/config.json" in files:
                yield from _model(f"{folder}/", repository)
    else:
        raise _not_a_model(repository)


def _model(folder: str, repository: Repository) -> Iterator[tuple[str, bytes]]:
    """A network's config, and the headers of the weight files that transformers or diffusers would read."""
    yield f"{folder}config.json", repository.described(f"{folder}config.json")
    own = [file for file in repository.files if file.startswith(folder) and "/" not in file[len(folder) :]]
    for stem in ("model", "diffusion_pytorch_model"):
        index = f"{folder}{stem}.safetensors.index.json"
        if f"{folder}{stem}.safetensors" in own:
            yield from _headers([f"{folder}{stem}.safetensors"], repository)
            return
        if index in own:
            data = repository.whole(index)
            yield index, data
            yield from _headers(_shards(repository, index, data, folder), repository)
            return
    yield from _headers([file for file in own if file.endswith(".safetensors")], repository)


def _shards(repository: Repository, index: str, data: bytes, folder: str) -> list[str]:
    try:
        places = json.loads(data)["weight_map"].values()
        found = sorted({f"{folder}{place}" for place in places})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FormatError(f"{repository.name}: {index} lacks weight_map, from tensors to files") from error
    for file in found:
        if file not in repository.files:
            raise FormatError(f"{repository.name}: {index} names {file}, which is not there")
    return found


def _headers(files: list[str], repository: Repository) -> Iterator[tuple[str, bytes]]:
    def header(file: str) -> bytes:
        where, size = f"{repository.name}: {file}", repository.files[file]
        begun = safetensors_header(where, size, partial(repository.read, file), FIRST)
        tensors_of(where, begun, size)
        return begun

    yield from zip(files, repository.patience.await_each(header, files, AT_ONCE), strict=True)


def _gguf(file: str, repository: Repository) -> Iterator[tuple[str, bytes]]:
    """The headers of a GGUF file and of its other parts."""
    if file not in repository.files:
        raise InputError(f"{repository.name}: has no file {file}{_its_gguf(repository)}")
    for part in (file, *(str(PurePosixPath(file).with_name(name)) for name in other_parts(file))):
        if part not in repository.files:
            raise FormatError(f"{repository.name}: {file}: its part {part} is missing")
        begun = _Begun(repository, part)
        read_header(io.BufferedReader(begun, 1), Path(part), repository.files[part])
        yield part, bytes(begun.held)


class _Begun(io.RawIOBase):
    """A file of a repository, read from its beginning as far as somebody looks at it."""

    def __init__(self, repository: Repository, file: str) -> None:
        self.held = bytearray()
        self._repository, self._file, self._at = repository, file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + (self._at if whence == io.SEEK_CUR else 0)
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: Buffer, /) -> int:
        into = memoryview(buffer)
        while len(self.held) < self._at + len(into) and len(self.held) < self._repository.files[self._file]:
            more = max(FIRST, len(self.held), self._at + len(into) - len(self.held))
            read = partial(self._repository.read, self._file, len(self.held), min(more, SMALL))
            self.held += self._repository.patience.await_(read)
        found = self.held[self._at : self._at + len(into)]
        into[: len(found)] = found
        self._at += len(found)
        return len(found)


def _not_a_model(repository: Repository) -> FormatError:
    return FormatError(
        f"{repository.name}: has no config.json and no model_index.json{_its_gguf(repository)}"
    )


def _its_gguf(repository: Repository) -> str:
    names = [file for file in repository.files if file.endswith(".gguf")]
    return f"; name one of its GGUF files, as {repository.name}/{names[0]}" if names else ""
