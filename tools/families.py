"""Survey every family and write what was found: the package's results and docs/families.md.

python tools/families.py              survey all families, write both files
python tools/families.py llava idefics   survey these again, keep the other rows
python tools/families.py --docs       write the document alone from the results there are
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from pathlib import Path

DOCUMENT = Path(__file__).parents[1] / "docs" / "families.md"


def main(arguments: list[str] | None = None) -> None:
    """Run the survey as asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("families", nargs="*")
    parser.add_argument("--docs", action="store_true")
    asked = parser.parse_args(arguments)
    from headscope.models import survey
    from headscope.models.survey.document import document

    rows = {} if not survey.RESULTS.exists() else {row.family: row for row in survey.load()}
    if not asked.docs:
        import torch
        import transformers

        torch.set_num_threads(1)
        transformers.logging.set_verbosity_error()
        warnings.filterwarnings("ignore")
        for family in asked.families or survey.FAMILIES:
            start = time.perf_counter()
            row = rows[family] = survey.survey_row(family)
            print(
                f"{family:24} {row.status:8} {time.perf_counter() - start:5.1f} s  {row.reason}", flush=True
            )
        survey.save([rows[family] for family in survey.FAMILIES if family in rows])
    DOCUMENT.write_text(document(survey.load()), "utf-8")


if __name__ == "__main__":
    sys.exit(main())
