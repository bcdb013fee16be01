"""The tools that make the shipped samples, checkpoint and pages: tested on a tiny run."""

from tests.commands.conftest import tiny_run

__all__ = ["tiny_run"]
