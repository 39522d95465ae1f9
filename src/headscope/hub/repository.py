"""A repository of the Hub as the user names it, and what goes wrong there in headscope's own words."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headscope.errors import HeadscopeError, HubError, in_one_line, quoted
from headscope.version import __version__

if TYPE_CHECKING:
    from huggingface_hub import HfApi

FILE = "atlas.json"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_ENDPOINT = re.compile(r"https?://[^\s/?#@]+(?:/[^\s?#@]*)?")
LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


def is_repository(name: str) -> bool:
    """Whether a text has the form of a repository's name, ``ORG/NAME``."""
    return _NAME.fullmatch(name) is not None


def hub_api(name: str, endpoint: str | None) -> HfApi:
    """The Hub's client, once it is sure that it may be used.

    Args:
        name: the repository that is going to be asked for.
        endpoint: address of the Hub; None: that of ``HF_ENDPOINT``, else https://huggingface.co.

    Raises:
        HubError: the name is no repository's, the endpoint no address, or the network is switched off.
    """
    if not is_repository(name):
        raise HubError(
            f"asked for the repository {quoted(name)}; expected NAME/REPO, as in my-lab/atlas-qwen"
        )
    if endpoint is not None and not _ENDPOINT.fullmatch(endpoint):
        raise HubError(
            f"asked for the endpoint {quoted(endpoint)}; expected an address such as https://hub.my.org"
        )
    from huggingface_hub import HfApi, constants

    if constants.HF_HUB_OFFLINE:
        raise HubError(
            f"{name}: the network is switched off (HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE is set), so "
            "nothing is sent or fetched; unset it and say the same again"
        )
    address = endpoint.rstrip("/") if endpoint else None
    return HfApi(endpoint=address, library_name="headscope", library_version=__version__)


@contextmanager
def hub_errors(name: str, api: HfApi, doing: str, revision: str | None = None) -> Iterator[None]:
    """What the Hub's client raises inside, as a :class:`headscope.errors.HubError` that says what to do.

    Args:
        doing: what was tried, as in "could not be pushed".
        revision: the one that was asked for.
    """
    from huggingface_hub import errors

    where = f"{name} at {api.endpoint}: {doing}"
    try:
        yield
    except HeadscopeError:
        raise
    except errors.LocalTokenNotFoundError as exc:
        raise HubError(f"{where}: there is no token; {LOGIN} (one that may write)") from exc
    except errors.GatedRepoError as exc:
        raise HubError(f"{where}: access has to be asked for on the repository's page, then {LOGIN}") from exc
    except errors.RepositoryNotFoundError as exc:
        raise HubError(
            f"{where}: no such repository, or it is private and the token may not see it; check "
            f"the name, or {LOGIN}"
        ) from exc
    except errors.RevisionNotFoundError as exc:
        raise HubError(
            f"{where}: it has no revision {revision}; leave --revision out for the newest"
        ) from exc
    except errors.HfHubHTTPError as exc:
        raise HubError(f"{where}: {_answered(exc)}") from exc
    except Exception as exc:  # of the transport, whose family of errors depends on the client's release
        raise HubError(
            f"{where}: {type(exc).__name__}: {in_one_line(exc)}; check the address and the network, "
            "then try again"
        ) from exc


def _answered(exc: Exception) -> str:
    """A refusal by its status."""
    status = getattr(getattr(exc, "response", None), "status_code", 0)
    if status in (401, 403):
        return f"the token was refused (status {status}); {LOGIN}, with one that may do this"
    if status >= 500:
        return f"the server answered with an error of its own (status {status}); try again later"
    return f"the server refused (status {status}: {in_one_line(exc)})"
