"""An atlas from the Hub, checked before it replaces anything."""

from __future__ import annotations

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from headscope.errors import HubError, StoreError, quoted
from headscope.hub.repository import FILE, hub_api, hub_errors
from headscope.probing.atlas import Atlas
from headscope.seals import unsealed
from headscope.storage import write_atomic

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_MOST = 1 << 30  # bytes; an atlas of 10,000 heads has about a tenth
_ADVICE = re.compile("[;:] run its stage again")  # which only those can follow who have the study
_SCHEMA = re.compile(r"headscope/atlas/(\d{1,6})")


def pull_atlas(
    name: str,
    out: str | Path,
    *,
    revision: str | None = None,
    endpoint: str | None = None,
    overwrite: bool = False,
) -> Atlas:
    """Fetch the atlas of a repository of the Hugging Face Hub, check it, and write it byte for byte.

    Args:
        name: ``NAME/REPO``.
        out: file to write; it is written only once schema and checksum are found right.
        revision: a branch, a tag or a commit; None: the newest.
        endpoint: address of another Hub; None: that of ``HF_ENDPOINT``, else https://huggingface.co.
        overwrite: whether a file that is there is replaced.

    Raises:
        HubError: the network is switched off, there is no such repository, revision or atlas, it is of a
            newer schema, it is no atlas, was changed since it was written, or the Hub answers with an
            error.
        StoreError: ``out`` is there already, or cannot be written.

    Example::

        pull_atlas("my-lab/atlas-qwen", "atlas.json").top("spatial_perception", 8)
    """
    api, out = hub_api(name, endpoint), Path(out)
    if out.is_dir() or (out.exists() and not overwrite):
        raise StoreError(f"{out}: is there already; name another file, or say overwrite")
    with TemporaryDirectory() as folder, hub_errors(name, api, "could not be pulled", revision):
        fetched, commit = _fetched(api, name, revision, Path(folder))
        atlas = checked(fetched, f"{name} at {api.endpoint}, commit {commit}")
        content = fetched.read_bytes()
    write_atomic(out, content)
    return atlas


def _fetched(api: HfApi, name: str, revision: str | None, folder: Path) -> tuple[Path, str]:
    """The atlas's file, not looked at yet, and the commit that it is of."""
    found = api.model_info(name, revision=revision, files_metadata=True)
    sizes = {file.rfilename: file.size or 0 for file in found.siblings or ()}
    where = f"{name} at {api.endpoint}, commit {found.sha}"
    if FILE not in sizes:
        held = ", ".join(quoted(one) for one in sorted(sizes)[:5]) or "nothing"
        raise HubError(
            f"{where}: asked for {FILE}, found {held}; it is no repository that `headscope atlas push` made"
        )
    if sizes[FILE] > _MOST:
        raise HubError(f"{where}: {FILE} has {sizes[FILE]:,} bytes; an atlas has at most {_MOST:,}")
    return Path(api.hf_hub_download(name, FILE, revision=found.sha, local_dir=folder)), str(found.sha)


def checked(file: Path, where: str) -> Atlas:
    """An atlas that came from elsewhere, proved to be one and to be whole.

    Raises:
        HubError: it is of a newer schema, is no atlas, has no checksum, or one that does not hold.
    """
    try:
        text, holds, _ = unsealed(file.read_text("utf-8"))
        said = json.loads(text).get("schema")
    except (ValueError, AttributeError, RecursionError) as exc:
        raise HubError(
            f"{where}: {FILE} is no JSON object ({type(exc).__name__}); nothing was replaced"
        ) from exc
    mine = Atlas.schema_name()
    number = _SCHEMA.fullmatch(said) if isinstance(said, str) else None
    if number and int(number[1]) > int(mine.rpartition("/")[2]):
        raise HubError(
            f"{where}: {FILE} is of schema {said}, newer than {mine}, which this headscope reads; "
            "`pip install --upgrade headscope`; nothing was replaced"
        )
    if holds is None:
        raise HubError(f"{where}: {FILE} has no checksum, so it cannot be told whole; nothing was replaced")
    try:
        return Atlas.load(file)
    except StoreError as exc:
        said = _ADVICE.split(str(exc).removeprefix(f"{file}: "))[0]
        raise HubError(
            f"{where}: {FILE}: {said}; nothing was replaced; ask whoever pushed it to push again"
        ) from exc
