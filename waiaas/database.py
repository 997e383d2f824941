"""The front door: `connect` opens a database, and `Database` is what a program works with."""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from functools import cached_property
from os import PathLike
from types import TracebackType
from typing import TYPE_CHECKING

from waiaas.backends.sqlite import WaiaasDatabase
from waiaas.migrations.opening import BUSY_TIMEOUT, open_latest
from waiaas.models import MODELS
from waiaas.models.binding import bind_block
from waiaas.paths import file_of, is_postgresql_url
from waiaas.settings import Clock, SessionSettings

if TYPE_CHECKING:
    from typing_extensions import Self

    from waiaas.backends.postgresql import PostgresqlDatabase
    from waiaas.errors import WAIaaSError
    from waiaas.inspection.report import Health
    from waiaas.migrations.report import Backup, UpgradeReport
    from waiaas.progress import ProgressCallback
    from waiaas.services import (
        AuditService,
        KillSwitchService,
        Pruned,
        SessionService,
        SessionWalletService,
        TokenService,
        WalletService,
    )


class Database:
    """An open database at the latest schema version, with the services that work on it.

    :func:`connect` returns one. One object serves all threads: each has its own connection, which is closed when
    the thread ends. As a context manager it is closed at the end of the block; the block is not a transaction.

    :ivar peewee: the Peewee database, for your own queries.
    :ivar target: the path as given, ``:memory:``, or the URL without its password.
    :ivar upgrade_report: what the upgrade by :func:`connect` did; None if there was nothing to upgrade.

    >>> import waiaas
    >>> with waiaas.connect(":memory:") as database:
    ...     wallet = database.wallets.create(
    ...         name="trading", chain="solana", environment="mainnet", public_key="an address", actor="sam"
    ...     )
    ...     session = database.sessions.create(wallet_ids=[wallet.id], actor="sam")
    ...     database.sessions.authorize(session.token).wallet.name
    'trading'
    >>> database
    <waiaas.Database :memory:>
    """

    def __init__(
        self,
        peewee: WaiaasDatabase | PostgresqlDatabase,
        *,
        settings: SessionSettings | None = None,
        clock: Clock = time.time,
        upgrade_report: UpgradeReport | None = None,
    ) -> None:
        """Keep the Peewee database, and the settings and the clock of all services."""
        self.peewee = peewee
        self.target = file_of(peewee)
        self.upgrade_report = upgrade_report
        self._settings = settings
        self._clock = clock

    # The services are imported on first use: a program that only opens or upgrades a file does not wait for them.

    @cached_property
    def sessions(self) -> SessionService:
        """Creates, authorizes, renews, revokes and lists sessions."""
        from waiaas.services import SessionService

        return SessionService(self.peewee, settings=self._settings, clock=self._clock)

    @cached_property
    def links(self) -> SessionWalletService:
        """Links wallets to sessions, and sets default wallets."""
        from waiaas.services import SessionWalletService

        return SessionWalletService(self.peewee, settings=self._settings, clock=self._clock)

    @cached_property
    def wallets(self) -> WalletService:
        """Creates, suspends, resumes, terminates and lists wallets."""
        from waiaas.services import WalletService

        return WalletService(self.peewee, settings=self._settings, clock=self._clock)

    @cached_property
    def tokens(self) -> TokenService:
        """Signs and verifies session tokens, and rotates their key."""
        from waiaas.services import TokenService

        return TokenService(self.peewee, settings=self._settings, clock=self._clock)

    @cached_property
    def audit(self) -> AuditService:
        """Reads the audit log."""
        from waiaas.services import AuditService

        return AuditService(self.peewee, settings=self._settings, clock=self._clock)

    @cached_property
    def kill_switch(self) -> KillSwitchService:
        """Locks the whole system, and recovers it."""
        from waiaas.services import KillSwitchService

        return KillSwitchService(self.peewee, settings=self._settings, clock=self._clock)

    @property
    def warnings(self) -> list[WAIaaSError]:
        """What failed after the file was created or upgraded; that change is committed."""
        return list(getattr(self.peewee, "warnings", ()))

    def models(self) -> AbstractContextManager[object]:
        """Return a context manager that binds the models of ``waiaas.models`` to this database for a block.

        The binding is that of the task or thread that runs the block: others may have bound another database.
        """
        return bind_block(self.peewee, MODELS)

    def transaction(self) -> AbstractContextManager[None]:
        """Return a context manager for a transaction that holds its lock from the start.

        What the block reads stays true until it commits. Services that are called in the block are part of the
        transaction. If the block raises, nothing of it is kept. A transaction inside another one is a savepoint.

        Do not ``yield`` in the block. A generator that is suspended there may be resumed or collected by another
        thread: then the transaction is rolled back, with all blocks in it.

        :raises WAIaaSError: ``database_busy`` if the lock is not free within the busy timeout; ``disk_full``,
            ``corrupt`` or another reason if the database cannot be used.
        :raises RuntimeError: at the end of the block, after a rollback, if it or a block inside it was left in another
            thread, or too early.
        """
        return self.peewee.exclusive_transaction()

    def prune(
        self,
        *,
        session_days: int | None = None,
        audit_days: int | None = None,
        export: str | PathLike[str] | None = None,
        actor: str,
        progress: ProgressCallback | None = None,
        dry_run: bool = False,
    ) -> Pruned:
        """Remove sessions that ended long ago, with their links, and old entries of the audit log.

        It works in batches, each of which is a transaction, so that other writers wait only briefly. Each batch is
        recorded in the audit log. If it is interrupted, what was removed stays removed. Space that becomes free is
        used for new rows; the file does not become smaller.

        A transaction of a removed session stays, without the session. A session is kept if a transaction of it is not
        over yet, or if the times of its end cannot be read.

        :param session_days: remove sessions that were revoked or have expired this many days ago; None: none.
        :param audit_days: remove entries of the audit log that are older than this many days; None: none.
        :param export: a new file for the entries, as JSON lines (mode 0600). Each batch is on the disk before it is
            removed. An entry that JSON cannot hold, because a value is not text, is kept.
        :param actor: the name in the audit log.
        :param progress: called with a :class:`waiaas.Progress` after each batch; an exception of it ends the work.
        :param dry_run: only count what would be removed.
        :returns: how many rows were removed.
        :raises WAIaaSError: ``file_exists`` or another reason if the export cannot be written; ``inside_transaction``
            in a transaction; ``database_busy`` and others if the database cannot be used.
        :raises ValueError: a number of days is not a whole number of at least 0.
        """
        from waiaas.services.pruning import Pruning

        pruning = Pruning(
            self.peewee, session_days=session_days, audit_days=audit_days, clock=self._clock, progress=progress
        )
        return pruning.count() if dry_run else pruning.run(actor=actor, export=export)

    def health(self) -> Health:
        """Return the health of the database; see :func:`waiaas.health`."""
        from waiaas.inspection.health import health_of

        return health_of(self.peewee, self._clock)

    def close(self) -> None:
        """Close the connections of all threads permanently; the write-ahead log is written back into the file.

        A closed database may be closed again. Any other use of it is refused (``database_closed``).

        :raises WAIaaSError: ``inside_transaction`` if a thread is in a transaction: nothing is closed then. After
            closing, ``corrupt``, ``disk_full`` or another reason if the log could not be written back.
        """
        self.peewee.close_all()

    def __enter__(self) -> Self:
        """Return the database."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the database."""
        self.close()

    def __repr__(self) -> str:
        """Show which database it is, and no password."""
        return f"<waiaas.Database {self.target}>"


def connect(
    target: str | bytes | PathLike[str],
    *,
    create: bool = True,
    upgrade: bool = True,
    backup: Backup = True,
    skip_orphans: bool = False,
    settings: SessionSettings | None = None,
    clock: Clock = time.time,
    busy_timeout: float = BUSY_TIMEOUT,
    progress: ProgressCallback | None = None,
    pool_size: int | None = None,
    prepared_statements: bool = True,
) -> Database:
    """Open a database at the latest schema version.

    A file that is empty or does not exist is created (mode 0600, because it will contain the key that signs session
    tokens). An older one is upgraded first, as :func:`waiaas.upgrade` does it. While another process upgrades the
    database, this one waits, however long that takes.

    A path is resolved once: a later change of the working folder has no effect. A later connection (of another thread
    or a forked process) opens the same file or is refused (``file_replaced``), and never creates one.

    Every connection to a file has the daemon's settings: ``journal_mode=WAL``, ``synchronous=NORMAL``,
    ``foreign_keys=ON``, ``cache_size=-64000``, ``mmap_size=268435456`` (0 while the file is changed),
    ``temp_store=MEMORY``; and ``journal_size_limit=67108864``, so that a long write-ahead log becomes short again.

    :param target: the path of a SQLite file; ``:memory:`` for a new database in memory; or the URL of a PostgreSQL
        database, ``postgresql://user:password@host/database``.
    :param create: False to refuse a file that is empty or does not exist.
    :param upgrade: False to refuse an older database, and to create none.
    :param backup: whether an upgrade of a file writes a backup; or the path of the backup, or of the folder for it.
    :param skip_orphans: upgrade sessions that name a missing wallet; they have no wallet then.
    :param settings: how long sessions live and how many a wallet may have; each default is the daemon's.
    :param clock: returns the time in Unix seconds, for all services.
    :param busy_timeout: how many seconds (0 to 2,147,483) a statement waits for another connection's lock.
    :param progress: called with a :class:`waiaas.Progress` during an upgrade, and while this process waits for one.
    :param pool_size: PostgreSQL only: how many connections all threads share; None: each thread has its own.
    :param prepared_statements: PostgreSQL only: False for a pooler that gives every transaction another connection. If
        its other clients create temporary tables, put ``pg_temp`` last in the ``search_path`` of the role.
    :returns: the open database.
    :raises WAIaaSError: with the database unchanged; its ``reason`` is one of the table of reasons, among them
        ``code_too_old`` (install a newer waiaas), ``not_a_database``, ``other_program``, ``schema_version_missing``,
        ``read_only``, ``database_busy``, ``sidecar_of_another_user`` and ``sidecar_not_a_file`` (a journal or log next
        to the file that is not to be trusted), and all that :func:`waiaas.upgrade` refuses. With ``create=False``
        or ``upgrade=False``: ``file_not_found`` and ``empty_database``.
    :raises waiaas.UpgradePendingError: ``upgrade=False`` and the database is older (``upgrade_pending``).
    :raises ValueError: ``busy_timeout`` is out of bounds, or ``backup`` is an empty path.
    :raises TypeError: ``busy_timeout`` is not a number, or ``target`` is not a path.

    >>> with connect(":memory:") as database:
    ...     database.peewee.pragma("foreign_keys")
    1
    """
    report: UpgradeReport | None
    if is_postgresql_url(target):
        from waiaas.backends.postgresql import open_database
        from waiaas.migrations.postgresql import create_or_upgrade

        server = open_database(
            target, busy_timeout=busy_timeout, pool_size=pool_size, prepared_statements=prepared_statements
        )
        try:
            report = create_or_upgrade(
                server, create=create and upgrade, upgrade=upgrade, clock=clock, progress=progress
            )
        except BaseException:
            server.close_all()
            raise
        return Database(server, settings=settings, clock=clock, upgrade_report=report if report.applied else None)
    opened, report = open_latest(
        target,
        create=create,
        upgrade=upgrade,
        backup=backup,
        skip_orphans=skip_orphans,
        clock=clock,
        busy_timeout=busy_timeout,
        progress=progress,
    )
    return Database(opened, settings=settings, clock=clock, upgrade_report=report)
