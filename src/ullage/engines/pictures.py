"""Pictures as they are given: a file or its bytes, looked at before a pixel of them is decoded."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ullage.errors import FormatError, InputError, MissingExtraError
from ullage.files import check_ordinary, read_bytes
from ullage.units import MIB

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS: Final = ("PNG", "JPEG", "WEBP", "GIF", "BMP")
"""What is read; of a moving one its first frame."""
LARGEST_FILE: Final = 64 * MIB
MOST_PIXELS: Final = 50_000_000
"""Width times height: 150 MB once they are decoded. Cameras take some 50 million."""
_ORIENTATION: Final = 0x0112
_TURNED: Final = (5, 6, 7, 8)
"""Values of EXIF's orientation at which width and height change places."""


class TooLargeError(FormatError):
    """A picture of more bytes or pixels than are read; none of them was decoded."""


def picture_size(given: Path | bytes) -> tuple[int, int]:
    """Width and height in pixels as the picture is seen, from its header. Raises as `open_picture`."""
    with _reading(given) as image:
        width, height = image.size
        turned = image.getexif().get(_ORIENTATION) in _TURNED
    return (height, width) if turned else (width, height)


def open_picture(given: Path | bytes) -> Image:
    """The picture, upright and in RGB.

    Raises InputError for a file that cannot be read, FormatError for one that is no picture, has more than
    MOST_PIXELS, which are then not decoded, or breaks off.
    """
    from PIL import ImageOps

    with _reading(given) as image:
        image.load()
        upright: Image = ImageOps.exif_transpose(image)
        return upright.convert("RGB")


@contextmanager
def _reading(given: Path | bytes) -> Iterator[Image]:
    """The picture with its header read and its size found small enough; what goes wrong inside is told."""
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        raise MissingExtraError("pillow", "image", "looking at pictures") from error
    name = "the picture" if isinstance(given, bytes) else str(given)
    data = _bytes(given)
    try:
        # Pillow's own limits warn first; here there is one, and it is an error.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = Image.open(io.BytesIO(data), formats=FORMATS)
            width, height = image.size
            if width * height > MOST_PIXELS:
                raise _too_many(name, f"{width:,} x {height:,} pixels")
            yield image
    except Image.DecompressionBombError:
        raise _too_many(name, "more pixels than Pillow opens") from None
    except UnidentifiedImageError:
        raise FormatError(f"{name}: is no picture that is read here ({', '.join(FORMATS)})") from None
    except InputError:
        raise
    except MemoryError:
        raise
    except Exception as error:  # decoders raise whatever they trip over
        said = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(f"{name}: the picture is broken: {said[:200]}") from error


def _bytes(given: Path | bytes) -> bytes:
    if isinstance(given, bytes):
        if len(given) > LARGEST_FILE:
            raise TooLargeError(f"the picture: larger than {LARGEST_FILE:,} bytes")
        return given
    if "\0" in str(given):
        raise InputError(f"{str(given)!r}: no file has such a name")
    try:
        check_ordinary(given)
        return read_bytes(given, LARGEST_FILE)
    except OSError as error:
        raise InputError(f"{given}: cannot be read: {error.strerror or error}") from error


def _too_many(name: str, found: str) -> TooLargeError:
    return TooLargeError(
        f"{name}: has {found}; at most {MOST_PIXELS:,} are decoded, and none of these were: make it smaller"
    )
