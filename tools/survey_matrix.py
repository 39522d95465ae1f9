"""Run the survey and tests of the model rooms on several releases of transformers; write what differs.

python tools/survey_matrix.py            the pinned release, the one before, the oldest admitted
python tools/survey_matrix.py --all      the last release of every minor number between
python tools/survey_matrix.py 5.20.2     these again, keep what is known of the others

Each release lies in a folder of its own on top of the environment that runs this, with what it wants in other
versions: .releases/VERSION, about 60 MB, made once. Writes the package's results, surveyed/releases.json and
docs/families.md.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import tomllib
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.version import Version

if TYPE_CHECKING:
    from headscope.models.survey import Row

ROOT = Path(__file__).parents[1]
FOLDERS = ROOT / ".releases"
TESTS = [
    *(f"tests/models/test_{name}.py" for name in ("vlm", "encoding", "loading", "proof", "tracing", "grids")),
    *(f"tests/models/survey/test_survey_{name}.py" for name in ("unknown", "and_check")),
    *(f"tests/models/families/test_{name}.py" for name in ("family_pipeline", "encoder_decoders")),
    *(f"tests/asking/test_{name}.py" for name in ("ask", "tree")),
]


def main(arguments: list[str] | None = None) -> None:
    """Run the matrix as asked for; exit 1 if a test failed on a release."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("releases", nargs="*")
    parser.add_argument("--all", action="store_true")
    asked = parser.parse_args(arguments)
    wanted = asked.releases or (_between() if asked.all else _three())
    print("releases:", *wanted)
    from family_survey.document import document
    from family_survey.releases import differing, save
    from family_survey.rows import save as save_rows
    from headscope.models.releases import Release, TriedReleases, tried
    from headscope.models.survey import load

    before, shipped = tried(), _found(load())
    known = {one.release: one for one in before.releases}
    found = {release: before.found(release, shipped) for release in known}
    newest = max((*known, *wanted), key=Version)
    for release in sorted(wanted, key=Version, reverse=True):
        rows = _rows(release)
        found[release] = _found(rows)
        counts = [sum(row.status == status for row in rows) for status in ("PROVED", "PARTLY", "REFUSED")]
        known[release] = Release(release, len(rows), *counts, *_tests(release))
        print(known[release], flush=True)
        if release == newest:
            save_rows(rows)
        ordered = sorted(known, key=Version, reverse=True)
        others = {release: found[release] for release in ordered[1:]}
        save(TriedReleases(tuple(known[release] for release in ordered), differing(found[newest], others)))
    tried.cache_clear()
    (ROOT / "docs" / "families.md").write_text(document(load(), tried()), "utf-8")
    sys.exit(any(known[release].failed for release in wanted))


def _found(rows: list[Row]) -> dict[str, tuple[str, str]]:
    return {row.family: (row.status, row.reason) for row in rows}


def _three() -> list[str]:
    """The pinned release, the last one of the minor number before, and the oldest that is admitted."""
    every = _published()
    newest = next(v for v in every if v == _pinned())
    older = [v for v in every if v.minor < newest.minor]
    return [str(v) for v in (newest, older[0], _oldest())]


def _between() -> list[str]:
    """The last release of every minor number from the oldest admitted, which stands for its own, on."""
    last: dict[int, Version] = {}
    for version in _published():
        if _oldest().minor < version.minor <= _pinned().minor:
            last.setdefault(version.minor, version)
    return [str(v) for v in (*last.values(), _oldest())]


def _published() -> list[Version]:
    """Releases that pip can have, the newest first; prints a line if one is newer than the pinned one."""
    said = subprocess.run(
        [sys.executable, "-m", "pip", "index", "versions", "transformers", "--disable-pip-version-check"],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    listed = re.search(r"Available versions: (.*)", said)
    if listed is None:
        sys.exit("pip lists no releases of transformers; name them instead")
    every = [Version(v) for v in listed[1].split(", ")]
    if every[0] > _pinned():
        print(f"transformers {every[0]} is out; constraints.txt has {_pinned()}")
    return every


def _pinned() -> Version:
    line = re.search(r"^transformers==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)
    assert line is not None
    return Version(line[1])


def _oldest() -> Version:
    with (ROOT / "pyproject.toml").open("rb") as stream:
        wanted = map(Requirement, tomllib.load(stream)["project"]["dependencies"])
    bounds = next(r.specifier for r in wanted if r.name == "transformers")
    return Version(next(bound.version for bound in bounds if bound.operator == ">="))


def _environment(release: str) -> dict[str, str]:
    """Variables under which Python has this release; its folder is filled first where it is not there."""
    folder = FOLDERS / release
    if not (folder / ".ready").exists():
        _install(folder, [f"transformers=={release}"])
        while wanted := _unmet(folder):
            _install(folder, wanted)
        (folder / ".ready").touch()
    paths = [str(folder), str(ROOT / "src"), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false",
    }  # fmt: skip


def _install(folder: Path, wanted: list[str]) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile"]
    subprocess.run([*pip, "--target", str(folder), *wanted], check=True)


def _unmet(folder: Path) -> list[str]:
    """What the distributions of a folder want and neither it nor the environment below it has."""
    own = {_plain(d.metadata["Name"]): d for d in metadata.distributions(path=[str(folder)])}
    unmet = set()
    for wanted in (Requirement(text) for d in own.values() for text in d.requires or ()):
        if wanted.marker is not None and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            name = _plain(wanted.name)
            version = own[name].version if name in own else metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            unmet.add(str(wanted))
            continue
        if not wanted.specifier.contains(version, prereleases=True):
            unmet.add(f"{wanted.name}{wanted.specifier}")
    return sorted(unmet)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _rows(release: str) -> list[Row]:
    """The survey's rows on a release."""
    from headscope.models.survey import load

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "rows.json"
        tool = [sys.executable, str(ROOT / "tools" / "families.py"), "--rows", str(file)]
        subprocess.run(tool, env=_environment(release), check=True)
        return load(file)


def _tests(release: str) -> tuple[int, int]:
    """How many of the chosen tests passed and failed on a release."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "not slow", "--tb=short", *TESTS],
        cwd=ROOT, env=_environment(release), capture_output=True, text=True, check=False,
    )  # fmt: skip
    last = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    counts = {kind: int(number) for number, kind in re.findall(r"(\d+) (passed|failed|error)", last)}
    failed = counts.get("failed", 0) + counts.get("error", 0)
    if failed or done.returncode:
        print(done.stdout, done.stderr, sep="\n", file=sys.stderr)
    return counts.get("passed", 0), max(failed, int(done.returncode != 0))


if __name__ == "__main__":
    main()
