"""One family of errors; every message says what was asked, what was found, where, and what to do."""

import re
import shlex


class HeadscopeError(Exception):
    """Root of every error that headscope raises on purpose; the CLI prints it without a traceback.

    Example:
        >>> import headscope as hs
        >>> try:
        ...     hs.load_model("embedded", device="cupboard")
        ... except hs.HeadscopeError as exc:
        ...     print(type(exc).__name__)
        ModelError
    """


class DataError(HeadscopeError):
    """Cases, images or scenes that cannot be read, or that break the schema."""


class ModelError(HeadscopeError):
    """A model that cannot be loaded, or an input that it cannot take."""


class OutOfMemoryError(ModelError):
    """A device, or the machine, ran out of memory; it tells nothing about the model."""


class GeometryError(ModelError):
    """Attention heads could not be located, or the proof of their location failed."""


class StoreError(HeadscopeError):
    """An artefact on disk that is missing, incomplete, or made with other settings."""


class DamagedError(StoreError):
    """An artefact that is missing, cut off, or changed since it was written; it can be made again."""


class EditError(HeadscopeError):
    """An edit of heads that is not possible, or not defined, on this model."""


class StudyError(HeadscopeError):
    """A stage asked for before the stages that it rests on, or with settings that clash."""


class HubError(HeadscopeError):
    """A repository of the Hugging Face Hub that could not be read or written, or that holds no atlas."""


class UntriedReleaseWarning(UserWarning):
    """The installed transformers is newer than the releases that headscope was tried with."""


# Control characters but tab and line ends, and marks that turn the direction of what follows them.
UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_QUOTED = 80  # how much of a text a message quotes


def in_one_line(exc: BaseException) -> str:
    """What another library's error says, its lines joined and cut at 300 characters; its name if nothing.

    Example:
        >>> in_one_line(ValueError("no such key:\n  'x'"))
        "no such key: 'x'"
    """
    said = " ".join(str(exc).split()) or type(exc).__name__
    return said if len(said) <= 300 else f"{said[:297]}..."


def shown(text: str) -> str:
    """A text for a terminal: what the terminal would obey is written out, line ends and tabs are kept.

    Example:
        >>> shown("dog\\x1b[2J")
        'dog\\\\u001b[2J'
    """
    return re.sub(r"\r(?!\n)", r"\\u000d", UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def command_line(*words: object) -> str:
    """A command as a message advises it: it can be pasted into a shell, whatever the names in it hold.

    Example:
        >>> command_line("study", "repair", "my runs/a")
        "`headscope study repair 'my runs/a'`"
    """
    return f"`headscope {shlex.join(map(str, words))}`"


def quoted(text: str) -> str:
    """A text as a message quotes it: on one line, characters that do not show written out, not too long.

    Example:
        >>> quoted("left\\nright")
        "'left\\\\nright'"
    """
    return repr(text if len(text) <= _QUOTED else f"{text[:_QUOTED]}...")
