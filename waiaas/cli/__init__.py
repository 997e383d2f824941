"""The command `waiaas`: arguments in, printed results and exit codes out."""

from waiaas.cli.commands import main

__all__ = ["main"]
