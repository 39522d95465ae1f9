"""``headscope compare``: two studies as a table, one study's stage, and nothing in between."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from experiments.test_compare import FUNCTIONS, drawn
from experiments.test_comparing import one_test, study
from headscope.cli.app import app
from headscope.errors import HeadscopeError


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    folder = tmp_path_factory.mktemp("pair")
    a = study(folder / "a", 1, {"counting": one_test(True, 12.5, 40)})
    return str(a), str(study(folder / "b", 2, {"counting": one_test(False, -1.5, 44)}))


def compare(*words: str) -> Result:
    return CliRunner().invoke(app, ["compare", *words])


def refused(*words: str) -> str:
    done = compare(*words)
    assert done.exit_code
    if isinstance(done.exception, HeadscopeError):
        return str(done.exception)
    return done.output


def test_two_studies_are_a_table_with_n_and_claims(pair: tuple[str, str]) -> None:
    done = compare(*pair, "--format", "csv", "--set", "compare.heads=9", "--set", "compare.draws=50")
    assert done.exit_code == 0, done.output
    rows = {row["function"]: row for row in csv.DictReader(io.StringIO(done.stdout))}
    assert list(rows) == [name.replace("_", " ") for name in FUNCTIONS]
    both = [str(h) for h in drawn(1).top("counting", 9) if h in drawn(2).top("counting", 9)]
    row = rows["counting"]
    assert row["heads in common"] == f"{len(both)} of 9"
    assert row["which"] == (" ".join(both) or "none")
    assert (row["n"], row["claimed here"], row["claimed there"]) == ("64", "yes", "no effect")
    assert row["points lost here"] == "12.5 [3.0, 20.0] (n = 40)"
    assert row["there"] == "-1.5 [3.0, 20.0] (n = 44)"
    assert rows["text reading"]["claimed here"] == "–"
    assert "here: " in done.stderr


@pytest.mark.parametrize(("form", "begins"), [("latex", r"\begin{tabular}"), ("markdown", "| function |")])
def test_a_table_can_be_pasted_into_a_paper(pair: tuple[str, str], form: str, begins: str) -> None:
    assert compare(*pair, "--format", form, "--set", "compare.draws=20").stdout.startswith(begins)


def test_markdown_is_the_form_that_is_not_asked_for(pair: tuple[str, str]) -> None:
    assert compare(*pair, "--set", "compare.draws=20").stdout.startswith("| function |")


def test_one_page_with_both_is_written_where_it_is_asked_for(pair: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "both.html"
    done = compare(*pair, "--html", str(page), "--set", "compare.draws=20")
    assert done.exit_code == 0, done.output
    assert f"page: {page}" in done.stderr
    text = page.read_text("utf-8")
    assert "12.5 [3.0, 20.0] (n = 40)" in text
    assert "+14.0 [" in text


def test_what_makes_no_sense_is_refused_with_what_to_say(pair: tuple[str, str], tmp_path: Path) -> None:
    a, b = pair
    assert "name two studies, `headscope compare A B`" in refused()
    assert "expected two studies or atlases" in refused(a)
    assert "expected two studies or atlases" in refused(a, b, b)
    assert "found --model" in refused(a, b, "--model", "embedded")
    assert "found --study" in refused(a, b, "--study", a)
    assert "found --batch-size" in refused(a, b, "--batch-size", "64")
    assert "there are: csv, latex, markdown" in refused(a, b, "--format", "html")
    assert "compare.ranking, heads, bins, draws" in refused(a, b, "--set", "ablate.draws=3")
    assert "compare.ranking, heads, bins, draws" in refused(a, b, "--set", "compare.other=x")
    assert "heads" in refused(a, b, "--set", "compare.head=3")
    assert "--format is for `headscope compare A B`" in refused("--study", a, "--format", "csv")
    assert "--html is for `headscope compare A B`" in refused("--study", a, "--html", "x.html")
    assert "no atlas" in refused(a, str(tmp_path))
    done = CliRunner().invoke(app, ["probe", "--study", a, "--format", "csv"])
    assert "found `headscope probe`" in str(done.exception)


def test_other_stages_take_no_names_of_studies(pair: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["probe", *pair, "--study", pair[0]])
    assert done.exit_code == 2
    assert "Usage: headscope probe" in done.output
