"""Zip files in which torch keeps tensors, looked at before anything is taken out of them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Final

from ullage.errors import FormatError

LARGEST: Final = 2**30
"""Bytes; a probe has millions of numbers at most."""


def check_archive(file: Path | IO[bytes], size: int) -> None:
    """Raises FormatError unless a zip of `size` bytes holds what `torch.save` writes: files as they are, one
    after the other. What is packed, or overlaps, may be a thousand times as large once it is unpacked."""
    if size > LARGEST:
        raise FormatError(f"has {size:,} bytes, which no probe has; at most {LARGEST:,} are read")
    try:
        with zipfile.ZipFile(file) as archive:
            found = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError, UnicodeDecodeError) as error:
        raise FormatError(f"not a whole zip file: {' '.join(str(error).split())[:100]}") from error
    for one in found:
        if one.compress_type != zipfile.ZIP_STORED or one.compress_size != one.file_size:
            raise FormatError(
                f"{one.filename[:60]!r} in it is packed, and says that it has {one.file_size:,} bytes; "
                "torch.save packs nothing, so nothing of it was unpacked"
            )
    claimed = sum(one.file_size for one in found)
    if claimed > size:
        raise FormatError(f"says that it holds {claimed:,} bytes, and has {size:,}; nothing of it was read")
