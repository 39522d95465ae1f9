"""The command line: ``headscope --help``."""

from __future__ import annotations

from headscope.cli.app import main

__all__ = ["main"]
