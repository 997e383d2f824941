"""The rights that come back when an old backup replaces a file: those that were removed in between."""

from __future__ import annotations

import os
from collections.abc import Iterator

from peewee import SqliteDatabase

from waiaas.errors import WAIaaSError, refusal
from waiaas.errors.translation import translate_errors
from waiaas.migrations.opening import open_read_only
from waiaas.migrations.version import schema_version
from waiaas.models.fields import LAST_SECOND
from waiaas.paths import uri

# Rows of the restored file (`main`) that give a right, and that the file before (`old`) does not have any more. The
# wallets and links of each are in temporary views, because their names depend on the schema version.
_RETURNED = {
    "sessions": f"""\
SELECT s.id FROM main.sessions AS s LEFT JOIN old.sessions AS o ON o.id = s.id
WHERE s.revoked_at IS NULL AND s.expires_at > :now AND s.expires_at <= {LAST_SECOND}
AND (o.id IS NULL OR o.revoked_at IS NOT NULL OR o.token_hash IS NOT s.token_hash) ORDER BY s.id""",
    "links": f"""\
SELECT l.session_id || ' -> ' || l.wallet_id FROM new_links AS l JOIN main.sessions AS s ON s.id = l.session_id
JOIN old.sessions AS o ON o.id = s.id
WHERE o.revoked_at IS NULL AND s.expires_at > :now AND s.expires_at <= {LAST_SECOND}
AND NOT EXISTS (SELECT 1 FROM old_links AS k WHERE (k.session_id, k.wallet_id) = (l.session_id, l.wallet_id))
ORDER BY 1""",
    "wallets": """\
SELECT w.id FROM new_wallets AS w LEFT JOIN old_wallets AS o ON o.id = w.id
WHERE w.status = 'ACTIVE' AND o.status IS NOT 'ACTIVE' ORDER BY w.id""",
    "settings": """\
SELECT o.key FROM old.key_value_store AS o LEFT JOIN main.key_value_store AS n ON n.key = o.key
WHERE (o.key = 'kill_switch_state' AND o.value NOT IN ('ACTIVE', 'NORMAL')
       AND ifnull(n.value, 'ACTIVE') IN ('ACTIVE', 'NORMAL'))
OR (o.key = 'jwt_secret_current' AND o.value IS NOT n.value) ORDER BY 1""",
}
_WITH_LINKS, _WITH_WALLETS = 19, 3


def returned_rights(path: str, before: str | None, now: int) -> list[WAIaaSError]:
    """Return a warning about the rights that a restored file has, and the file before had no more.

    :param path: the restored file.
    :param before: where the file before is now; None if it cannot be read.
    :param now: the time, in Unix seconds: a session that has expired gives no right.
    """
    if before is None:
        return [refusal("rights_not_compared", path=path)]
    try:
        with open_read_only(before) as old:
            version_before = schema_version(old)
        with open_read_only(path) as database, translate_errors(database):
            found = _compared(database, before, version_before, now)
    except WAIaaSError:
        return [refusal("rights_not_compared", path=path)]
    return [refusal("rights_returned", path=path, **found)] if any(found.values()) else []


def _compared(database: SqliteDatabase, before: str, version_before: int, now: int) -> dict[str, list[str]]:
    connection = database.connection()
    connection.text_factory = lambda text: text.decode(errors="replace")
    connection.execute("ATTACH ? AS old", (uri(os.path.realpath(before), "ro"),))
    views = (*_views("new", "main", schema_version(database)), *_views("old", "old", version_before))
    for view in views:
        connection.execute(view)
    return {kind: [id_ for (id_,) in connection.execute(query, {"now": now})] for kind, query in _RETURNED.items()}


def _views(prefix: str, schema: str, version: int) -> Iterator[str]:
    wallets, wallet_id = ("wallets", "wallet_id") if version >= _WITH_WALLETS else ("agents", "agent_id")
    links = f"SELECT id AS session_id, {wallet_id} AS wallet_id FROM {schema}.sessions WHERE {wallet_id} IS NOT NULL"
    if version >= _WITH_LINKS:
        links = f"SELECT session_id, wallet_id FROM {schema}.session_wallets"
    yield f"CREATE TEMP VIEW {prefix}_links AS {links}"
    yield f"CREATE TEMP VIEW {prefix}_wallets AS SELECT id, status FROM {schema}.{wallets}"
