"""Plain pickles of tensors and arrays, read without running what they ask for.

A pickle is a program. This reader has no words for most of it: it makes tensors, arrays, dictionaries and
what they hold, and refuses any other name with that name.
"""

from __future__ import annotations

import io
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

from ullage.errors import FormatError
from ullage.probes.archives import check_archive

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

LARGEST_FILE: Final = 2**30
NUMERIC: Final = "biufc"
"""Kinds of numpy's dtypes that are numbers."""


def read_pickle(path: Path) -> object:
    """What a pickle holds, of the kinds above. Raises FormatError, naming what else it asks for."""
    from ullage.files import read_bytes

    return loads(read_bytes(path, LARGEST_FILE), str(path))


def loads(data: bytes, where: str) -> object:
    """The same of bytes."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that storages have types is older than torch's way without
            return _Reader(data).load()
    except FormatError as error:
        raise FormatError(f"{where}: {error}") from error
    except Exception as error:  # whatever a broken or hostile file makes of the reader
        said = " ".join(str(error).split())[:200]
        raise FormatError(f"{where}: not a pickle of tensors: {type(error).__name__}: {said}") from error


class _Array:
    """Stands for numpy.ndarray, whose only use is to be named; an array that is not filled yet."""


class _Name:
    """Stands for a class that is only named."""


def _tensor(
    storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
) -> Tensor:
    """A tensor within its storage."""
    import torch

    if not isinstance(storage, torch.storage.TypedStorage) or len(size) != len(stride):
        raise FormatError("a tensor's storage is none")
    numbers = (offset, *size, *stride)
    if not all(type(each) is int and each >= 0 for each in numbers):
        raise FormatError("a tensor's places are no whole numbers")
    if prod(size) > storage.untyped().nbytes() // storage.dtype.itemsize:
        raise FormatError(f"a tensor has {prod(size):,} values, and its storage fewer")
    last = offset + sum((each - 1) * step for each, step in zip(size, stride, strict=True))
    if 0 not in size and last >= storage.untyped().nbytes() // storage.dtype.itemsize:
        raise FormatError("a tensor lies outside its storage")
    return torch.as_strided(torch.tensor([], dtype=storage.dtype).set_(storage), size, stride, offset)


def _storage(data: bytes) -> object:
    """What `torch.storage._load_from_bytes` would load as a program of its own."""
    import torch

    if data[:2] == b"PK":
        check_archive(io.BytesIO(data), len(data))
    return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _dtype(name: object, *_: object) -> np.dtype[Any]:
    import numpy as np

    if not isinstance(name, str):
        raise FormatError("an array's dtype has no name")
    found = np.dtype(name)
    if found.kind not in NUMERIC:
        raise FormatError(f"an array's dtype is {found}, which is no number")
    return found


def _from_buffer(data: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: str = "C") -> NDArray[Any]:
    import numpy as np

    return np.frombuffer(data, dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(dtype: np.dtype[Any], data: bytes) -> object:
    import numpy as np

    return np.frombuffer(data, dtype, 1)[0].item()


def _encode(text: str, encoding: str = "latin1") -> bytes:
    if encoding not in ("latin1", "latin-1", "utf-8", "utf8", "ascii"):
        raise FormatError(f"bytes in {encoding!r}")
    return text.encode(encoding)


def _empty(*_: object) -> _Array:
    return _Array()


def _ordered(pairs: Sequence[tuple[object, object]] = ()) -> dict[object, object]:
    return _filled(OrderedDict(), [key for key, _ in pairs], [value for _, value in pairs])


def _filled(held: object, keys: Sequence[object], values: Sequence[object]) -> dict[object, object]:
    """A dictionary with more in it. A key of tuples within tuples would end the process when it is hashed."""
    if not isinstance(held, dict) or not all(isinstance(each, str | bytes | int | float) for each in keys):
        raise FormatError("sets what is no dictionary, or keys that are no names or numbers")
    held.update(zip(keys, values, strict=True))
    return held


NAMES: Final[Mapping[str, object]] = {
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_tensor": _tensor,
    "torch.storage._load_from_bytes": _storage,
    "collections.OrderedDict": _ordered,
    "numpy.ndarray": _Name,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    **{
        f"numpy.{core}.{name}": made
        for core in ("core", "_core")
        for name, made in (
            ("multiarray._reconstruct", _empty),
            ("multiarray.scalar", _scalar),
            ("numeric._frombuffer", _from_buffer),
        )
    },
}
"""What may be asked for, and what is given instead."""
FUNCTIONS: Final[frozenset[int]] = frozenset(id(each) for each in NAMES.values() if each is not _Name)
REFUSED: Final = (
    *("INST", "OBJ", "NEWOBJ", "NEWOBJ_EX", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID"),
    *("EMPTY_SET", "ADDITEMS", "FROZENSET"),
)
"""Opcodes that make objects in other ways than by the names above, and sets, which hash what they hold."""


def _reduce(reader: _Reader) -> None:
    """Calls one of our own functions, and nothing else."""
    stack = reader.stack
    arguments = stack.pop()
    function = stack[-1]
    if id(function) not in FUNCTIONS or not isinstance(arguments, tuple):
        raise FormatError(f"calls {type(function).__name__}, which is none of what tensors are made with")
    stack[-1] = function(*arguments)


def _build(reader: _Reader) -> None:
    """Fills an array; a dtype's state says what its name says, but for the order of its bytes."""
    import numpy as np

    state = reader.stack.pop()
    one = reader.stack[-1]
    if isinstance(one, _Array) and isinstance(state, tuple) and len(state) == 5:
        _, shape, dtype, fortran, data = state
        if not isinstance(dtype, np.dtype) or not isinstance(data, bytes):
            raise FormatError("an array holds objects, not numbers")
        reader.filled(one, _from_buffer(data, dtype, shape, "F" if fortran else "C"))
    elif isinstance(one, np.dtype) and isinstance(state, tuple):
        if len(state) > 1 and state[1] == ">":
            reader.filled(one, one.newbyteorder(">"))
    elif not (isinstance(one, dict) and not state):
        raise FormatError(f"sets what is inside a {type(one).__name__}")


def _set_one(reader: _Reader) -> None:
    value, key = reader.stack.pop(), reader.stack.pop()
    _filled(reader.stack[-1], [key], [value])


def _set_many(reader: _Reader) -> None:
    items = reader.pop_mark()
    _filled(reader.stack[-1], items[::2], items[1::2])


def _dictionary(reader: _Reader) -> None:
    items = reader.pop_mark()
    reader.append(_filled({}, items[::2], items[1::2]))


def _refuse(reader: _Reader) -> None:
    raise FormatError("makes objects of other kinds than tensors and arrays")


class _Reader(pickle._Unpickler):
    """The pickle machine of the standard library, written in Python, with fewer words."""

    stack: list[Any]
    append: Callable[[object], None]
    pop_mark: Callable[[], list[Any]]
    memo: dict[int, object]
    dispatch: ClassVar[dict[int, Callable[[Any], None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))
        self._data = data

    def find_class(self, module: str, name: str) -> object:
        """One of ours in its place. Raises FormatError with any other name."""
        found = NAMES.get(f"{module}.{name}")
        if found is None:
            raise FormatError(
                f"asks for {module}.{name}, which no tensor is made with; nothing of it was run"
            )
        return found

    def filled(self, empty: object, values: object) -> None:
        """Puts what is whole where it was begun: on the stack, and in what is remembered."""
        self.stack[-1] = values
        for place, one in list(self.memo.items()):
            if one is empty:
                self.memo[place] = values


_Reader.dispatch[pickle.REDUCE[0]] = _reduce
_Reader.dispatch[pickle.BUILD[0]] = _build
_Reader.dispatch[pickle.SETITEM[0]] = _set_one
_Reader.dispatch[pickle.SETITEMS[0]] = _set_many
_Reader.dispatch[pickle.DICT[0]] = _dictionary
for _name in REFUSED:
    _Reader.dispatch[getattr(pickle, _name)[0]] = _refuse
