"""Two studies or atlases side by side, from Python and the command line: rankings, heads, and claims."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Protocol, runtime_checkable

from headscope.errors import StudyError, command_line
from headscope.experiments.ablation_result import AblationResult
from headscope.experiments.compare import CompareSettings, compare_atlases
from headscope.experiments.compare_result import ClaimSide, ClaimSides, CompareResult
from headscope.probing.atlas import Atlas


@runtime_checkable
class InFolder(Protocol):
    """What lies in a folder of its own: :class:`headscope.study.study.Study`."""

    @property
    def folder(self) -> Path:
        """The folder."""


Comparable = Atlas | InFolder | str | PathLike[str]
"""An atlas, a study, the folder of one, or a file ``atlas.json``."""


def compare(
    a: Comparable,
    b: Comparable,
    *,
    ranking: str = "",
    heads: int = 0,
    bins: int = 8,
    draws: int = 2000,
    seed: int = 0,
) -> CompareResult:
    """Hold two studies or atlases side by side: their rankings of heads, and what is claimed of them.

    Same heads in both (two runs of a model, a model before and after training): the rankings are correlated
    over heads, and the strongest heads are counted that both name. Any two models: mean ranks are correlated
    over relative depth. No model is loaded, and nothing is written; ``compare(...).save(FILE)`` does.

    Args:
        a, b: an atlas, a study, the folder of one, or a file ``atlas.json``; claims are those of studies.
        ranking: of both; empty: the default one of ``a``.
        heads: how many of a function's strongest heads count; 0: a sixteenth of all, at least one.
        bins: parts of the depth; fewer where a model has fewer attention layers.
        draws, seed: of the bootstraps.

    Returns:
        By function the correlation with interval and n, the heads in common, and the two claims:
        ``to_dataframe()`` has a row a function; ``a`` is ``here``, ``b`` is ``there``.

    Raises:
        StudyError: there is no atlas, no function is ranked in both, or a number is too small.
        StoreError: an atlas or result cannot be read.

    Example:
        >>> import headscope as hs
        >>> from headscope.models.embedded import atlas_file
        >>> found = hs.compare(atlas_file(), hs.Atlas.load(atlas_file()), heads=4)
        >>> found.functions["counting"].overlap.shared, found.functions["counting"].over_heads.n
        (4, 64)
        >>> "shared_heads" in found.to_dataframe().columns
        True
    """
    for given in (a, b):
        if not isinstance(given, Atlas | InFolder | str | PathLike):
            raise StudyError(
                f"compare: found {type(given).__name__}, expected an atlas, a study, or the folder of one"
            )
    for name, value, least in (("heads", heads, 0), ("bins", bins, 1), ("draws", draws, 1)):
        if value < least:
            raise StudyError(f"compare: asked for {name} {value}; expected at least {least}")
    settings = CompareSettings(other=named(b), ranking=ranking, heads=heads, bins=bins, draws=draws)
    found = compare_atlases(atlas_of(a), atlas_of(b), settings, seed)
    here, there = _claims(a), _claims(b)
    claims = {
        name: ClaimSides(here=here.get(name), there=there.get(name))
        for name in dict.fromkeys([*here, *there])
    }
    return found.model_copy(update={"claims": claims})


def folder_of(given: Comparable) -> Path | None:
    """The folder of a study; None of an atlas."""
    if isinstance(given, Atlas):
        return None
    path = given.folder if isinstance(given, InFolder) else Path(given)
    return path if path.is_dir() else None


def named(given: Comparable) -> str:
    """What a thing that is compared is called."""
    if isinstance(given, Atlas):
        return f"an atlas of {given.provenance.model}"
    return str(given.folder if isinstance(given, InFolder) else Path(given))


def atlas_of(given: Comparable) -> Atlas:
    """The ranking of heads of a study, its folder or its file.

    Raises:
        StudyError: there is none. StoreError: it cannot be read.
    """
    if isinstance(given, Atlas):
        return given
    folder = folder_of(given)
    if folder is None:
        assert not isinstance(given, InFolder)
        return Atlas.load(Path(given))
    return Atlas.load(atlas_file_in(folder))


def atlas_file_in(folder: Path) -> Path:
    """The atlas of a study, or the one that lies in a folder.

    Raises:
        StudyError: there is none.
    """
    file = folder / "probe" / "atlas.json"
    if file.exists():
        return file
    if (folder / "atlas.json").exists():
        return folder / "atlas.json"
    if (folder / "study.json").exists():
        raise StudyError(
            f"{folder}: ranks no heads yet, {file.relative_to(folder)} is not there; "
            f"{command_line('probe', '--study', folder)} writes it"
        )
    raise StudyError(f"{folder}: holds no study and no atlas.json; name the folder of a study")


def _claims(given: Comparable) -> dict[str, ClaimSide]:
    """What a study claims, by function; empty of an atlas, and where nothing was muted yet."""
    folder = folder_of(given)
    if folder is None or not (folder / "ablation.json").exists():
        return {}
    names = ("claimed", "verdict", "heads", "drop_points", "ci", "n", "q")
    tests = AblationResult.load(folder / "ablation.json").functions
    return {
        function: ClaimSide(**{name: getattr(found, name) for name in names})
        for function, found in tests.items()
    }
