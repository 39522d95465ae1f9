"""The site builds without a warning (links, anchors, pages that no contents name), and needs no network."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from browser import serious_findings

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason="mkdocs is not installed (extra dev)")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    folder = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(folder), strict=True)
    logging.getLogger("mkdocs").setLevel(logging.WARNING)
    build(config)  # strict: a warning ends it
    return folder


def test_every_page_of_docs_and_the_readme_is_on_the_site(site: Path) -> None:
    pages = {p.stem for p in (ROOT / "docs").glob("*.md")} | {"index", "CONTRIBUTING", "CHANGELOG"}
    assert pages <= {p.stem for p in site.glob("*.html")}
    assert "demo" in (site / "index.html").read_text("utf-8")


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    for page in site.glob("*.html"):
        loaded = re.findall(r'(?:src|<link[^>]*href)="(https?:[^"]+)"', page.read_text("utf-8"))
        assert loaded == [], page.name


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    handler = partial(SimpleHTTPRequestHandler, directory=str(site))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("page", ["index.html", "play.html", "api.html", "cli.html", "glossary.html"])
def test_a_page_reads_well_and_asks_for_nothing_elsewhere(address: str, browser: Any, page: str) -> None:
    browser.get_log("performance")
    browser.get_log("browser")
    browser.get(address + page)
    sent = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    asked = [m["params"]["request"]["url"] for m in sent if m["method"] == "Network.requestWillBeSent"]
    assert [url for url in asked if url.startswith("http") and not url.startswith(address)] == []
    assert browser.execute_script("return [...document.images].every((i) => i.naturalWidth > 0)")
    assert [
        e for e in browser.get_log("browser") if e["level"] == "SEVERE" and "favicon" not in e["message"]
    ] == []
    assert serious_findings(browser) == []
