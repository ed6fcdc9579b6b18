"""Opens whatever a user names as a model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ullage.errors import FormatError, InputError, UnknownNameError, UnsupportedError
from ullage.facts.architecture import Architecture, Model
from ullage.facts.bundled import TINY, local_path
from ullage.facts.catalog import UNKNOWN_MODEL, find_model, shape_by_name, unknown_model
from ullage.facts.config import Count, parse_config, read_config
from ullage.facts.hub_name import HubName, hub_name, is_at_commit
from ullage.facts.picture_files import with_processor
from ullage.facts.stored_model import see_model
from ullage.files import model_cache, read_text
from ullage.urls import is_url


def open_model(text: str, base: Path | None = None, count: Count | None = None) -> Model:
    """The model `text` means: the bundled `ullage:tiny`, a folder, config.json or .gguf file (relative to
    `base`), a catalog name, a hub id whose files are already in the local cache, or one whose configs and
    headers the hub is asked for (`facts.hub`). With a commit in its name no catalog is asked. An adapter is
    the model it belongs to, with it. `count` describes a config that no row describes.

    Raises UnknownNameError with the nearest catalog names, InputError for what the hub does not give, or
    FormatError for a broken file.
    """
    return _open(text, base, count, adapters=True)


def _open(text: str, base: Path | None, count: Count | None, *, adapters: bool) -> Model:
    if is_url(text):
        see_model(text)
    path = local_path(text, base)
    if path.exists():
        found = _open_path(path, base, adapters, count)
        return replace(found, name=text) if text == TINY else found
    files = (".json", ".safetensors", *((".gguf",) if text.count("/") < 2 else ()))
    if text.endswith(files) or text.startswith((".", "/", "~")):
        raise FormatError(f"{text}: no such file or folder")
    try:
        return find_model(text)
    except UnknownNameError:
        read = _of_hub(text, base, adapters, count)
        if read is None:
            raise unknown_model(text, UNKNOWN_MODEL, TINY) from None
        return read


def _of_hub(text: str, base: Path | None, adapters: bool, count: Count | None) -> Model | None:
    """A model of a hub, in the local cache or as the hub tells of it; None for what is no name of one."""
    name = hub_name(text)
    if name is None:
        return None
    snapshot = _cached_snapshot(name)
    if snapshot is not None:
        return replace(_open_path(snapshot, base, adapters, count), name=text)
    from ullage.facts.hub import NotThereError, read_hub

    try:
        read = read_hub(name)
    except NotThereError as error:
        raise unknown_model(text, str(error), TINY) from error
    except InputError as error:
        shape = shape_by_name(text)
        if not shape or isinstance(error, FormatError):
            raise
        raise InputError(f"{error}. {shape}") from error
    return replace(_open_path(read.path, base, adapters, count), name=read.name, source=f"hub: {read.name}")


def folder_of(name: str, base: Path | None = None) -> Path | None:
    """The folder that holds a model's files here, or those of it that a plan needs; None where it is known
    by its numbers alone."""
    path = local_path(name, base)
    if path.is_dir():
        return path
    named = None if path.exists() else hub_name(name)
    if named is None:
        return None
    found = _cached_snapshot(named)
    if found is not None:
        return found.parent if named.file else found
    if not named.pinned:
        return None
    from ullage.facts.hub import kept_folder

    return kept_folder(named)


def _open_path(path: Path, base: Path | None, adapters: bool, count: Count | None) -> Model:
    if path.is_file():
        if path.suffix == ".gguf":
            from ullage.facts.gguf import read_gguf

            return read_gguf(path)
        if path.suffix == ".json":
            if path.name == "model_index.json":
                return _open_path(path.parent, base, adapters, count)
            return read_config(with_processor(path), path.parent.name or path.stem, str(path), count)
        raise FormatError(f"{path}: neither a config.json nor a .gguf file")
    if (path / "model_index.json").is_file():
        from ullage.facts.diffusers_index import read_pipeline

        return read_pipeline(path)
    from ullage.facts.adapter import is_adapter

    if is_adapter(each.name for each in path.iterdir()):
        if not adapters:
            raise FormatError(f"{path.name}: is an adapter too, not a model that one could belong to")
        return _with_adapter(path, base, count)
    config = path / "config.json"
    if not config.is_file():
        held = sorted(each.name for each in path.glob("*.gguf"))
        named = f"; it holds {held[0]}: name that file" if held else ""
        raise FormatError(f"{path}: a folder without config.json or model_index.json{named}")
    architecture = read_config(with_processor(config), path.resolve().name, str(config), count)
    if any(path.glob("*.safetensors")) or (path / "model.safetensors.index.json").is_file():
        from ullage.facts.safetensors_header import read_checkpoint

        return replace(architecture, checkpoint=read_checkpoint(path))
    return architecture


def _with_adapter(folder: Path, base: Path | None, count: Count | None) -> Architecture:
    """The model that the adapter in `folder` belongs to, with it."""
    from ullage.facts.adapter import CONFIG, base_of, read_adapter

    config = parse_config(folder / CONFIG)
    named = base_of(config, folder.name)
    try:
        model = _open(named, base, count, adapters=False)
    except InputError as error:
        raise InputError(f"{folder.name}: the model it belongs to cannot be read: {error}") from error
    if not isinstance(model, Architecture):
        raise UnsupportedError(f"{folder.name}: belongs to {named}, no language model; name that alone")
    adapter = read_adapter(folder, model, model.name if is_at_commit(model.name) else named)
    return replace(model, name=folder.resolve().name, source=f"{folder} on {model.source}", adapter=adapter)


def _cached_snapshot(name: HubName) -> Path | None:
    """The newest snapshot of a repository in the Hugging Face cache that has a config; the one of its
    revision where it names one; for a GGUF file that file in it."""
    kept = model_cache() / f"models--{name.repository.replace('/', '--')}"
    wanted = _commit_of(kept, name.revision) if name.revision is not None else "*"
    folders = kept.glob(f"snapshots/{wanted}") if wanted else ()
    names = (name.file,) if name.file else ("config.json", "model_index.json", "adapter_config.json")
    usable = [folder for folder in folders if any((folder / each).is_file() for each in names)]
    newest = max(usable, key=lambda folder: folder.stat().st_mtime, default=None)
    return newest / name.file if newest is not None and name.file else newest


def _commit_of(kept: Path, revision: str) -> str | None:
    """The commit that a branch or tag was when it was fetched last, or the commit itself."""
    reference = kept / "refs" / revision
    return read_text(reference, 64).strip() if reference.is_file() else revision
