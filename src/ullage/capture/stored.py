"""Stored states, opened: a finished store, and whether it still is what was written."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ullage.capture.gathering import gathered
from ullage.capture.gradients import is_pattern
from ullage.capture.index import FOLDER, INDEX, ROWS, FileIndex, Place, RoleIndex, SiteIndex
from ullage.capture.rows import Rows
from ullage.capture.view import BUFFER_ROWS, StateView
from ullage.errors import FormatError, InputError, UnknownNameError
from ullage.fields import Fields
from ullage.records.atomic import sha256_of
from ullage.records.damage import Damage, as_damage
from ullage.records.seal import CHANGED, read_sealed

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, slots=True)
class StoredStates:
    """A finished store. `store[i]` are the states of row i by site; `matrix(site)` all rows of one.

    `roles` says of each role its model, its stages and its sites; `of` narrows to one of them. `files` are
    those of the states by name; each is held against its SHA-256 before the first of its states is given.
    """

    folder: Path
    roles: Mapping[str, RoleIndex]
    rows: Rows
    files: Mapping[str, FileIndex] = field(default_factory=dict, repr=False)
    whole: set[str] = field(default_factory=set, repr=False, compare=False)

    @property
    def sites(self) -> dict[str, SiteIndex]:
        """dtype and width of every site, in the order of writing; of what roles share, the first one's."""
        kept = [held["sites"] for held in self.roles.values()]
        return {site: value for each in reversed(kept) for site, value in each.items()}

    def of(self, role: str, stage: str | None = None) -> StoredStates:
        """The rows of one role, or of one of its stages. Raises UnknownNameError."""
        if role not in self.roles:
            raise UnknownNameError("role", role, self.roles, f"this store has {', '.join(self.roles)}")
        stages = self.roles[role]["stages"]
        if stage is not None and stage not in stages:
            raise UnknownNameError("stage", stage, stages, f"role {role} has {', '.join(stages)}")
        return replace(self, roles={role: self.roles[role]}, rows=self.rows.of(role, stage))

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """Tensors of one record, in the shapes `capture.reduction` states."""
        return {place["site"]: self._tensor(place) for place in self.rows[index]["states"]}

    def matrix(self, site: str) -> Tensor:
        """(rows, *width): the states of every row, one below the other. Raises InputError where several roles
        have this site."""
        import torch

        self.check_one_role(site)
        if not is_pattern(site):
            places = self.rows.places(site)
            return gathered(self.checked, places, site, places.begin, places.end)
        parts = [self._tensor(p) for row in self.rows for p in row["states"] if p["site"] == site]
        return torch.cat(parts)

    def view(
        self,
        site: str,
        *,
        batch: int = 4096,
        context: int = 1,
        seed: int | None = None,
        skip_special: bool = True,
        skip: Collection[int] = (),
        buffer_rows: int = BUFFER_ROWS,
    ) -> StateView:
        """The rows of one site for training, batch after batch; in memory are no more than `buffer_rows`, and
        what lies between them in one file.

        `context` rows that follow one another stay together: texts are laid end to end and cut into as many.
        With a `seed` they come in an order of its own (see `StateView`). Where a text has states at every
        position, `skip_special` leaves out tokens that stand for none of its characters, and `skip` those of
        these ids. Raises InputError where `skip` is given and which positions have states is not known, or
        where several roles have this site.
        """
        self.check_one_role(site)
        return StateView(self, site, batch, context, seed, skip_special, frozenset(skip), buffer_rows)

    def checked(self, name: str) -> Path:
        """The path of a file of states that is what was written. Raises FormatError for one that is not."""
        if name not in self.whole:
            _check_file(self.folder / name, self.files)
            self.whole.add(name)
        return self.folder / name

    def check_one_role(self, site: str) -> None:
        """Raises UnknownNameError for a site that is not here, InputError for one that several roles have."""
        if site not in self.sites:
            raise UnknownNameError("site", site, self.sites, f"this store has {', '.join(self.sites)}")
        having = [role for role, held in self.roles.items() if site in held["sites"]]
        if len(having) > 1:
            raise InputError(
                f"{site}: is kept of {' and '.join(having)}; choose one, as store.of({having[0]!r})"
            )

    def _tensor(self, place: Place) -> Tensor:
        import torch

        path = self.checked(place["file"])
        if path.suffix == ".npy":
            import numpy as np

            held = np.load(path, mmap_mode="r")[place["begin"] : place["end"]]
            return torch.from_numpy(held.copy()).reshape(place["shape"])
        from safetensors import safe_open

        with safe_open(path, "pt") as shard:
            found: Tensor = shard.get_slice(place["site"])[place["begin"] : place["end"]]
        return found.reshape(place["shape"])


def open_states(folder: Path | str) -> StoredStates:
    """The states of a finished run: its folder, or the `states` folder in it.

    Raises InputError where there are none, FormatError where they were changed or are of another version.
    """
    import pyarrow.parquet as pq

    path = Path(folder)
    path = path / FOLDER if (path / FOLDER).is_dir() else path
    try:
        index = Fields(read_sealed(path / INDEX), f"{path / INDEX}: not the index of stored states")
    except FileNotFoundError as error:
        raise InputError(f"{folder}: no finished states here; a run writes them at its end") from error
    if index.values.get("document") != "states" or index.values.get("version") != 1:
        raise FormatError(f"{path / INDEX}: not the index of stored states, or of a later version")
    files = _named_files(index)
    _check_file(path / ROWS, files)
    roles = cast("Mapping[str, RoleIndex]", index.inner("roles").values)
    with (path / ROWS).open("rb") as file:  # pyarrow takes a path for an address
        return StoredStates(path, roles, Rows(pq.read_table(file)), files)


def damaged_index(folder: Path) -> list[Damage]:
    """What of a finished store is gone or was changed, beside the states that the journal vouches for."""
    try:
        index = Fields(read_sealed(folder / INDEX), str(folder / INDEX))
        _check_file(folder / ROWS, _named_files(index))
    except FileNotFoundError:
        return [Damage(str(folder / INDEX), "is missing")]
    except FormatError as error:
        return [as_damage(error)]
    return []


def _named_files(index: Fields) -> dict[str, FileIndex]:
    found: dict[str, FileIndex] = {}
    for each in index.each("files"):
        name = each.text("name")
        found[name] = {"name": name, "bytes": each.whole("bytes"), "sha256": each.text("sha256")}
    return found


def _check_file(path: Path, files: Mapping[str, FileIndex]) -> None:
    """Raises FormatError unless a file is what the index says it is."""
    if path.name not in files or not path.is_file():
        raise FormatError(f"{path}: is missing, or the index does not know it")
    if sha256_of(path) != files[path.name]["sha256"]:
        raise FormatError(f"{path}: {CHANGED}")
