"""Moves a database from a SQLite file to PostgreSQL and back: all or nothing, and compared byte for byte."""

from waiaas.transfer.moving import MovedTable, MoveReport, move

__all__ = ["MoveReport", "MovedTable", "move"]
