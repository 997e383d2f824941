"""Django without a project: a connection to one file, and models for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from session_files import PRAGMAS


def connection(path: Path) -> Any:
    """Set Django up for one file, and return its connection with the daemon's PRAGMAs."""
    import django
    from django.conf import settings

    pragmas = "; ".join(f"PRAGMA {name} = {value}" for name, value in PRAGMAS.items())
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": {"init_command": pragmas}}
    settings.configure(DATABASES={"default": database}, INSTALLED_APPS=[], USE_TZ=True)
    django.setup()
    from django.db import connection as opened

    opened.ensure_connection()
    return opened


def session_model() -> Any:
    """Return the table `sessions` of version 18 with everything that Django's models can express."""
    from django.db import models
    from django.db.models.functions import Length

    cascade = getattr(models, "DB_CASCADE", models.CASCADE)

    class Wallet(models.Model):
        id = models.TextField(primary_key=True)

        class Meta:
            app_label = "wallets"
            db_table = "wallets"

    models.TextField.register_lookup(Length)

    class Session(models.Model):
        id = models.TextField(primary_key=True)
        wallet = models.ForeignKey(Wallet, cascade, db_column="wallet_id", db_index=False)
        token_hash = models.TextField()
        expires_at = models.IntegerField()
        constraints = models.TextField(null=True)
        usage_stats = models.TextField(null=True)
        revoked_at = models.IntegerField(null=True)
        renewal_count = models.IntegerField(db_default=0)
        max_renewals = models.IntegerField(db_default=30)
        last_renewed_at = models.IntegerField(null=True)
        absolute_expires_at = models.IntegerField()
        created_at = models.IntegerField()
        source = models.TextField(db_default="api")
        label = models.TextField(null=True)

        class Meta:
            app_label = "wallets"
            db_table = "sessions"
            indexes = [
                models.Index(fields=["expires_at"], name="idx_sessions_expires_at"),
                models.Index(fields=["token_hash"], name="idx_sessions_token_hash"),
                models.Index(fields=["wallet"], name="idx_sessions_wallet_id"),
            ]
            constraints = [
                models.CheckConstraint(
                    condition=models.Q(label__isnull=True) | models.Q(label__length__range=(1, 64)), name="label"
                )
            ]

    return Session


def inspected_models(database: Any) -> dict[str, Any]:
    """Return models as `inspectdb` writes them, made managed as its comments advise, by table.

    The plain indexes, which `inspectdb` omits, are added as an owner of the models would.
    """
    from django.core.management.commands.inspectdb import Command
    from django.db.models import Index, Model

    source = "\n".join(Command().handle_inspection({"database": "default", **_ALL_TABLES}))
    source = source.replace("managed = False", "app_label = 'inspected'")
    names: dict[str, Any] = {"__name__": "inspected"}
    exec(source, names)
    found = {
        value._meta.db_table: value
        for value in names.values()
        if isinstance(value, type) and issubclass(value, Model) and value is not Model
    }
    with database.cursor() as cursor:
        for table, model in found.items():
            fields = {field.column: field.name for field in model._meta.local_fields}
            constraints = database.introspection.get_constraints(cursor, table)
            for name, constraint in constraints.items():
                if constraint["index"] and not constraint["unique"] and _is_plain(cursor, name):
                    columns = [fields[column] for column in constraint["columns"]]
                    model._meta.indexes.append(Index(fields=columns, name=name))
    return found


_ALL_TABLES = {"table": [], "include_partitions": False, "include_views": False}


def _is_plain(cursor: Any, index: str) -> bool:
    """Return whether an index has whole columns and all rows, in ascending order, with the columns' collations."""
    cursor.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = %s", [index])
    row = cursor.fetchone()
    text = row[0].lower() if row and row[0] else " where "
    return not any(word in text for word in (" where ", " desc", " collate ")) and text.count("(") == 1
