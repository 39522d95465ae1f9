"""Sending a folder of cases to the Hugging Face Hub, where the user names a place there."""

from __future__ import annotations

import re

from headscope.data.card import write_card
from headscope.data.cases import Cases
from headscope.data.hub import to_dataset
from headscope.errors import DataError

_NAME = re.compile(r"^[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}$", re.ASCII)


def push_cases(cases: Cases, name: str, *, private: bool = True) -> str:
    """Upload cases with their pictures and card as a dataset.

    Args:
        name: ``ORG/NAME``.
        private: whether only the owner sees it.

    Returns:
        The dataset's address.

    Raises:
        DataError: the name is none, there is no way to the Hub, or it refuses.
    """
    if not _NAME.match(name):
        raise DataError(f"asked to push to {name!r}; expected ORG/NAME, as in my-lab/cogvsr-photos")
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise DataError(
            f"{name}: HF_HUB_OFFLINE is set, so nothing is sent; unset it, log in with `hf auth login`, and "
            "push again"
        )
    card = cases.folder / "README.md"
    if not card.exists():
        write_card(cases, cases.folder)
    dataset = to_dataset(cases)
    try:
        HfApi().whoami()
        dataset.push_to_hub(name, private=private)
        HfApi().upload_file(path_or_fileobj=card, path_in_repo="CARD.md", repo_id=name, repo_type="dataset")
    except Exception as exc:
        # the Hub's client, its transport and the login each have their own family of errors
        reason = f"{type(exc).__name__}: {' '.join(str(exc).split())[:300]}"
        raise DataError(
            f"{name}: could not be pushed ({reason}); nothing is lost here; check the network "
            "and `hf auth login` (a token that may write), then push again"
        ) from exc
    return f"https://huggingface.co/datasets/{name}"
