"""An atlas to the Hub, with its card."""

from __future__ import annotations

import re
from collections.abc import Sequence

from headscope.errors import HubError, quoted
from headscope.experiments.comparing import Comparable
from headscope.hub.atlas_card import atlas_card
from headscope.hub.atlas_source import atlas_source
from headscope.hub.repository import FILE, LOGIN, hub_api, hub_errors, is_repository

_LICENCE = re.compile(r"[A-Za-z0-9][\w.+-]{0,60}", re.ASCII)
CARD = "README.md"


def push_atlas(
    given: Comparable,
    name: str,
    *,
    private: bool = True,
    licence: str = "",
    datasets: Sequence[str] = (),
    endpoint: str | None = None,
) -> str:
    """Put an atlas and its card into a repository of the Hugging Face Hub, in one commit.

    The repository is made if it is not there. Pushing the same again makes no commit.

    Args:
        given: an atlas, a study, the folder of one, or a file ``atlas.json``; of a study the card has
            its claims.
        name: ``NAME/REPO``.
        private: whether only the owner sees it; a public repository that is there already is then refused.
            False: a new repository is public, and one that is there already stays what it is.
        licence: an id such as ``cc-by-4.0``; empty: the card says that none is stated.
        datasets: names of the data on the Hub, for the card.
        endpoint: address of another Hub; None: that of ``HF_ENDPOINT``, else https://huggingface.co.

    Returns:
        The commit's address.

    Raises:
        HubError: a name is none, the network is switched off, there is no token, or the Hub refuses.
        StudyError: there is no atlas. StoreError: it cannot be read.

    Example::

        push_atlas("runs/mine", "my-lab/atlas-qwen", licence="cc-by-4.0")
    """
    api = hub_api(name, endpoint)
    where = f"{name} at {api.endpoint}"
    _check(licence, datasets)
    source = atlas_source(given)
    card = atlas_card(source, name, licence=licence, datasets=datasets)
    from huggingface_hub import CommitOperationAdd

    files = {FILE: source.content, CARD: card.encode()}
    operations = [CommitOperationAdd(path, content) for path, content in files.items()]
    with hub_errors(name, api, "could not be pushed"):
        if api.token is None and _no_token():
            raise HubError(f"{where}: could not be pushed: there is no token; {LOGIN} (one that may write)")
        api.create_repo(name, private=private, exist_ok=True)
        if private and not api.model_info(name).private:
            raise HubError(
                f"{where}: asked to push privately, found a public repository of that name; nothing was "
                "sent; say --public (private=False), or name another"
            )
        done = api.create_commit(
            name, operations, commit_message=f"Atlas of {source.atlas.provenance.model or 'a model'}"
        )
    return str(done.commit_url)


def _no_token() -> bool:
    from huggingface_hub import get_token

    return get_token() is None


def _check(licence: str, datasets: Sequence[str]) -> None:
    """Refuse what the card's header could not hold."""
    if licence and not _LICENCE.fullmatch(licence):
        raise HubError(
            f"asked for the licence {quoted(licence)}; expected an id of the Hub, such as cc-by-4.0"
        )
    for one in datasets:
        if not is_repository(one):
            raise HubError(f"asked for the data set {quoted(one)}; expected NAME/REPO, as on the Hub")
