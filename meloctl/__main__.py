"""python -m meloctl."""

from meloctl.cli.main import run

run()
