"""The command `waiaas audit`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

import click

from waiaas.cli.messages import translated
from waiaas.cli.records import audit_lines
from waiaas.cli.target import READS, page_options, target_command
from waiaas.cli.terminal import print_answer
from waiaas.database import Database

if TYPE_CHECKING:
    from waiaas.services import AuditEntry, Page

    _ParamType = click.ParamType[datetime]
else:  # generic since click 8.2
    _ParamType = click.ParamType

_AGO = re.compile("([0-9]{1,6})([mhd])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class _Moment(_ParamType):
    """A time: in ISO 8601, in UTC if it has no time zone; or how long ago, such as `90m`, `24h` or `7d`."""

    name = "time"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Return an aware datetime."""
        try:
            if ago := _AGO.fullmatch(value):
                return datetime.now(timezone.utc) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
            found = datetime.fromisoformat(re.sub("[zZ]$", "+00:00", value))
        except (ValueError, OverflowError):
            self.fail(
                translated("{value!r} is not a time such as 2026-11-27, 2026-11-27T09:30 or 24h.", value=value),
                param,
                ctx,
            )
        return found if found.tzinfo else found.replace(tzinfo=timezone.utc)


_MOMENT = _Moment()


@target_command(
    "audit",
    READS,
    "Show who changed what, and when.",
    then="waiaas sessions show wallets.db SESSION",
    examples="waiaas audit wallets.db --since 24h\n"
    "waiaas audit wallets.db --event SESSION_REVOKED --actor cli:alice\n"
    "waiaas audit wallets.db --all --json > audit.jsonl",
)
@click.option("--session", help="Only entries about the session with this id.")
@click.option("--wallet", help="Only entries about the wallet with this id.")
@click.option("--actor", help="Only what this actor did.")
@click.option("--event", help="Only events of this type, such as SESSION_REVOKED.")
@click.option("--since", type=_MOMENT, help="The earliest time: 2026-11-27, 2026-11-27T09:30 (UTC), or 24h (ago).")
@click.option("--until", type=_MOMENT, help="Only entries before this time.")
@click.option("--all", "is_all", is_flag=True, help="Print all entries, whatever --limit is.")
@page_options
def audit(
    database: Database,
    session: str | None,
    wallet: str | None,
    actor: str | None,
    event: str | None,
    since: datetime | None,
    until: datetime | None,
    is_all: bool,
    limit: int,
    after: str | None,
) -> None:
    """Show the audit log of the database TARGET, the newest entry first.

    With --json each entry is one JSON object per line (JSON lines), unlike in other commands, and without
    entries nothing is printed. The id of the last entry is the --after of the next page.
    """
    page: Page[AuditEntry] | None = database.audit.list(
        session_id=session,
        wallet_id=wallet,
        actor=actor,
        event_type=event,
        since=since,
        until=until,
        limit=200 if is_all else limit,
        after=after,
    )
    if not page:
        print_answer(None, [translated("There are no entries.")])
    while page:
        for entry in page:
            print_answer(entry.to_dict(), audit_lines(entry))
        if not is_all and page.next_after:
            print_answer(None, [translated("There are more: --after {id}", id=page.next_after)])
        page = page.next() if is_all else None
