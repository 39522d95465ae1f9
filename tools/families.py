"""Survey every family and write what was found: the package's results and docs/families.md.

python tools/families.py              survey all families, write both files
python tools/families.py llava idefics   survey these again, keep the other rows
python tools/families.py --docs       write the document alone from the results there are
python tools/families.py --rows FILE  survey all families, write their rows to a file of one's own
"""

from __future__ import annotations

import argparse
import resource
import signal
import sys
import time
import warnings
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "families.md"
# What one family may take: a class that is new to the survey may want any amount.
_MEMORY, _SECONDS = 8 * 2**30, 300


def main(arguments: list[str] | None = None) -> None:
    """Run the survey as asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*")
    parser.add_argument("--docs", action="store_true")
    parser.add_argument("--rows", type=Path)
    asked = parser.parse_args(arguments)
    from family_survey.build import family_names
    from family_survey.document import document
    from family_survey.rows import save
    from headscope.models.releases import tried
    from headscope.models.survey import load

    if asked.rows:
        rows = _survey(asked.families or family_names())
        save(list(rows.values()), asked.rows)
        return
    if not asked.docs:
        known = {row.family: row for row in load()} if asked.families else {}
        known |= _survey(asked.families or family_names())
        save([known[family] for family in family_names() if family in known])
    DOCUMENT.write_text(document(load(), tried()), "utf-8")


def _survey(families: list[str] | tuple[str, ...]) -> dict[str, object]:
    """Rows by family; memory and time are limited, and what goes beyond ends in a row as well."""
    import torch
    import transformers

    from family_survey.rows import survey_row

    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    warnings.filterwarnings("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, resource.getrlimit(resource.RLIMIT_DATA)[1]))
    signal.signal(signal.SIGALRM, _too_long)
    rows = {}
    for family in families:
        start = time.perf_counter()
        signal.alarm(_SECONDS)
        row = rows[family] = survey_row(family)
        signal.alarm(0)
        print(f"{family:24} {row.status:8} {time.perf_counter() - start:5.1f} s  {row.reason}", flush=True)
    return rows


def _too_long(*_: object) -> None:
    raise TimeoutError(f"more than {_SECONDS} seconds")


if __name__ == "__main__":
    sys.exit(main())
