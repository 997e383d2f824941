"""The name of a database: the given path, the path that SQLite opens, a URI; or the URL of a server."""

from __future__ import annotations

import os
from contextlib import suppress
from os import PathLike
from typing import TYPE_CHECKING, TypeGuard
from urllib.parse import quote, unquote_to_bytes, urlsplit

from peewee import SqliteDatabase

if TYPE_CHECKING:
    from peewee import Database


def uri(path: str | PathLike[str], mode: str) -> str:
    """Return the URI of a file for SQLite (https://www.sqlite.org/uri.html); its name can contain any bytes.

    A relative path stays relative, so that refusals name the file as the caller did.
    """
    return f"file:{quote(os.fsencode(path))}?mode={mode}"


def is_postgresql_url(target: object) -> TypeGuard[str]:
    """Return whether a target is the URL of a PostgreSQL database and not a path."""
    return isinstance(target, str) and target.startswith(("postgresql://", "postgres://"))


def size_of(path: str | PathLike[str]) -> int:
    """Return how many bytes a file has; 0 if it does not exist: SQLite may remove a log or journal at any moment."""
    with suppress(FileNotFoundError):
        return os.path.getsize(path)
    return 0


def real_path(database: SqliteDatabase) -> str:
    """Return the absolute path of the file that a database has open, without links; "" for one in memory."""
    file = getattr(database, "file", None)
    if file is not None:
        return str(file.real)
    connection = database.connection()
    text_factory, row_factory = connection.text_factory, connection.row_factory
    connection.text_factory, connection.row_factory = os.fsdecode, None  # a path need not be UTF-8
    try:
        files = {name: file for _, name, file in connection.execute("PRAGMA database_list").fetchall()}
    finally:
        connection.text_factory, connection.row_factory = text_factory, row_factory
    return files["main"] or ""


def path_to_open(database: Database) -> str:
    """Return the path of the file of a database, even if the working folder has changed."""
    file = getattr(database, "file", None)
    return str(file.real) if file is not None else file_of(database)


def file_of(database: Database) -> str:
    """Return the given path of a database, even if it was opened by a URI.

    A database on a server is named by its URL without the password, or else by its class alone: the name that Peewee
    has for it may be a URL with a password.
    """
    if not isinstance(database, SqliteDatabase):
        return str(getattr(database, "address", type(database).__name__))
    file = getattr(database, "file", None)
    name = str(database.database)
    if file is not None:
        return name
    return os.fsdecode(unquote_to_bytes(urlsplit(name).path)) if name.startswith("file:") else name
