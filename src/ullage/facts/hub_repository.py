"""What is read of a hub's repository: its files and their sizes, configs whole, and weight files' headers."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError
from ullage.facts.gguf import other_parts, read_header
from ullage.facts.headers_only import SIZES, safetensors_header
from ullage.facts.hub_name import COMMIT
from ullage.facts.picture_files import PICTURE_FILES
from ullage.facts.safetensors_header import tensors_of

if TYPE_CHECKING:
    from huggingface_hub import HfApi
    from typing_extensions import Buffer

SECONDS: Final = 10.0
"""Without an answer, of each request."""
AT_ONCE: Final = 8
"""Requests for headers; a model of 163 files takes some 20 rounds."""
SMALL: Final = 16 * 2**20
"""Bytes of the largest file that is read whole; an index of 405B has 0.2 MB."""
FIRST: Final = 2**17
"""Bytes asked for at first: most headers are smaller (huggingface_hub asks for as much)."""


@dataclass(frozen=True, slots=True)
class Repository:
    """The files of a repository at one commit, with their bytes, and how pieces of them are read."""

    name: str
    commit: str
    files: Mapping[str, int]

    def read(self, file: str, begin: int, length: int) -> bytes:
        """Bytes [begin, begin + length) of a file, fewer where it ends. Raises FormatError for more or less,
        and what huggingface_hub raises."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers, get_session, hf_raise_for_status

        end = min(begin + length, self.files[file])
        url = hf_hub_url(self.name, file, revision=self.commit)
        headers = {**build_hf_headers(), "Range": f"bytes={begin}-{end - 1}", "Accept-Encoding": "identity"}
        found = bytearray()
        with get_session().stream(
            "GET", url, headers=headers, timeout=SECONDS, follow_redirects=True
        ) as response:
            if response.status_code >= 400:
                response.read()
                hf_raise_for_status(response)
            # A server that knows no ranges sends the file from its beginning.
            skipped = 0 if response.status_code == 206 else begin
            for piece in response.iter_bytes():
                found += piece
                if len(found) >= skipped + end - begin:
                    break
        wanted = bytes(found[skipped : skipped + end - begin])
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
        return self.read(file, 0, SMALL)


def open_repository(api: HfApi, name: str, revision: str | None) -> Repository:
    """What the hub says of it now."""
    info = api.model_info(name, revision=revision, files_metadata=True, timeout=SECONDS)
    files = {
        each.rfilename: each.size
        for each in info.siblings or ()
        if each.size is not None and _is_inside(each.rfilename)
    }
    if not isinstance(info.sha, str) or not COMMIT.fullmatch(info.sha):
        raise FormatError(f"{name}: the hub names no commit")
    return Repository(info.id, info.sha, files)


def _is_inside(file: str) -> bool:
    path = PurePosixPath(file)
    return not path.is_absolute() and ".." not in path.parts and path.name not in ("", SIZES)


def contents(file: str | None, repository: Repository) -> Iterator[tuple[str, bytes]]:
    """Every file that a plan needs, of weight files their headers; of one GGUF `file`, or of the whole model.

    Raises FormatError and InputError, and what huggingface_hub raises.
    """
    files = repository.files
    if file is not None:
        yield from _gguf(file, repository)
    elif "config.json" in files:
        yield from _model("", repository)
        for beside in ("generation_config.json", *PICTURE_FILES):
            if beside in files:
                yield beside, repository.whole(beside)
    elif "model_index.json" in files:
        yield "model_index.json", repository.whole("model_index.json")
        for folder in sorted({file.partition("/")[0] for file in files if file.count("/") == 1}):
            if f"{folder}/config.json" in files:
                yield from _model(f"{folder}/", repository)
    else:
        raise _not_a_model(repository)


def _model(folder: str, repository: Repository) -> Iterator[tuple[str, bytes]]:
    """A network's config, and the headers of the weight files that transformers or diffusers would read."""
    yield f"{folder}config.json", repository.whole(f"{folder}config.json")
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

    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from zip(files, pool.map(header, files), strict=True)


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
            self.held += self._repository.read(self._file, len(self.held), min(more, SMALL))
        found = self.held[self._at : self._at + len(into)]
        into[: len(found)] = found
        self._at += len(found)
        return len(found)


def _not_a_model(repository: Repository) -> FormatError:
    if "adapter_config.json" in repository.files:
        return FormatError(
            f"{repository.name}: is an adapter; name the model it belongs to, which its adapter_config.json "
            "calls base_model_name_or_path"
        )
    return FormatError(
        f"{repository.name}: has no config.json and no model_index.json{_its_gguf(repository)}"
    )


def _its_gguf(repository: Repository) -> str:
    names = [file for file in repository.files if file.endswith(".gguf")]
    return f"; name one of its GGUF files, as {repository.name}/{names[0]}" if names else ""
