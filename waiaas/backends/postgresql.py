"""PostgreSQL: connections, transactions, locks and retries.

Always psycopg 3, even if psycopg2 is installed: its prepared statements take a quarter of the server's time of
psycopg2's. One connection per thread, or a pool; a connection that was lost is replaced at the next call.
"""

from __future__ import annotations

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode
from weakref import WeakSet

from peewee import OperationalError, PeeweeException
from peewee import PostgresqlDatabase as PeeweePostgresqlDatabase
from peewee import __exception_wrapper__ as peewee_errors  # type: ignore[attr-defined]
from playhouse.pool import MaxConnectionsExceeded, PooledDatabase

from waiaas.backends.base import LOCKED, Backend, Row, ThreadState
from waiaas.backends.blocks import RolledBackError, Savepoint, is_undone, outermost
from waiaas.errors import refusal
from waiaas.errors.postgresql import ConnectFailedError, reason_for
from waiaas.errors.translation import refusal_for, safe_cause, translate_errors
from waiaas.models.postgresql import LINK_ORDER

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict
    from psycopg.types.numeric import Int8Dumper
except ImportError:  # the extra `postgresql` is not installed
    psycopg = None  # type: ignore[assignment]
else:

    class _Connection(psycopg.Connection[Any]):
        """A connection that does not wait for ever for a server or a network that has disappeared."""

        thread: _ThreadState
        #: Whether its socket was shut down, which libpq only notices at the next statement.
        is_shut_down = False

        def wait(self, gen: Any, *arguments: Any, **options: Any) -> Any:
            """Run a generator of psycopg to its end, but not longer than the thread waits for an answer."""
            seconds = self.thread.answer_within
            return super().wait(gen if seconds is None else self._limited(gen, seconds), *arguments, **options)

        def _limited(self, gen: Any, seconds: float) -> Generator[Any, Any, Any]:
            deadline = time.monotonic() + seconds
            try:
                wanted = next(gen)
                while True:
                    # psycopg sends nothing ready ten times per second.
                    ready = yield wanted
                    if not ready and time.monotonic() > deadline:
                        self.pgconn.finish()
                        raise psycopg.OperationalError(f"no answer within {seconds:g} s")
                    wanted = gen.send(ready)
            except StopIteration as end:
                return end.value

        def __del__(self, __warn: Any = None) -> None:
            """Close the connection of a thread that has ended."""
            self.close()


LOG = logging.getLogger("waiaas")

#: Services share this advisory lock; `exclusive_transaction` takes it exclusively. The number is "waiaas" in ASCII.
SERVICES_LOCK = int.from_bytes(b"waiaas", "big")
READ_COMMITTED = "READ COMMITTED"

#: Makes a transaction fail if a policy of row-level security would hide rows from it
#: (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-ROW-SECURITY).
ALL_ROWS = "SET LOCAL row_security = off"

# A change is on the disk when COMMIT returns, unless the administrator has asked for more than that.
_DURABLE = "SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'"
# Temporary tables are found last: the server searches them first unless the path names them
# (https://www.postgresql.org/docs/current/runtime-config-client.html#GUC-SEARCH-PATH). An empty path finds no table.
_OWN_TABLES_FIRST = (
    "SELECT set_config('search_path', path || ', pg_temp', {is_local}) FROM current_setting('search_path') AS path"
    " WHERE strpos(path, 'pg_temp') = 0 AND path NOT IN ('', '\"\"')"
)
# Seconds between two attempts, at random: two that conflicted should not meet again.
_RETRY_DELAY = (0.005, 0.03)
# Seconds that a transaction of the library may wait for its client: the client has died then, or its machine.
_IDLE_IN_TRANSACTION = 60
# A peer that vanished is noticed after about this many seconds
# (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
_NETWORK: Mapping[str, int] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}
# Seconds after the busy timeout in which the server must have answered a statement of a service, COMMIT included.
_ANSWER_WITHIN = 5
# The parameters of a URL that stay visible, in addition to user, hosts and database.
_SHOWN_PARAMETERS = ("target_session_attrs",)
# A statement that runs a third time is prepared.
_PREPARE_AFTER = 2

_Result = TypeVar("_Result")


class CommitUnknownError(OperationalError):
    """COMMIT was sent, and the connection ended before the answer."""

    reason = "commit_unknown"


class _ThreadState(ThreadState):
    #: The isolation level of the transaction that it is in.
    level: str = READ_COMMITTED
    #: Whether a service or an exclusive transaction has changed something in it.
    has_changed: bool = False
    #: The second connection, which reads the latest commit.
    reader: Any = None
    #: How many seconds it waits for an answer; None: forever.
    answer_within: float | None = None


class _PoolExhaustedError(OperationalError):
    """No connection of the pool became free in time."""

    reason = "pool_exhausted"


class _InvalidParameterError(OperationalError):
    """A parameter of the URL cannot be read."""

    reason = "invalid_url"


def parse_url(url: str) -> dict[str, Any]:
    """Return the parameters of a URL for libpq.

    :raises WAIaaSError: ``driver_missing``; ``invalid_url``, without a cause: libpq's own text has the password.
    """
    if psycopg is None:
        raise refusal("driver_missing")
    try:
        parameters = conninfo_to_dict(url) if url.isprintable() else {}
    except psycopg.Error:
        parameters = {}
    if not parameters.get("dbname") or _may_show_password(url, parameters):
        raise refusal("invalid_url")
    return parameters


def _may_show_password(url: str, parameters: Mapping[str, Any]) -> bool:
    """Return whether libpq takes a part of a password for a host, a port or the name of the database.

    It does so if an `@` or a `/` in the password is not escaped, or if the host is missing.
    """
    hosts, ports = (str(parameters.get(name) or "") for name in ("host", "port"))
    _, _, path = url.partition("://")[2].partition("?")[0].partition("/")
    return "@" in hosts.lstrip("@") or "@" in path or (not ports.replace(",", "0").isdigit() and ports != "")


def shown_url(parameters: Mapping[str, Any]) -> str:
    """Return the URL of a database without its password.

    >>> shown_url({"user": "app", "password": "s3cret", "host": "db1,db2", "port": "5432,5433", "dbname": "wallets"})
    'postgresql://app@db1:5432,db2:5433/wallets'
    """
    hosts = str(parameters.get("host") or "").split(",")
    ports = str(parameters.get("port") or "").split(",")
    if len(ports) < len(hosts):
        ports *= len(hosts)
    address = ",".join(
        f"{quote(host)}:{port}" if port else quote(host) for host, port in zip(hosts, ports, strict=False)
    )
    user = f"{quote(str(parameters['user']))}@" if parameters.get("user") else ""
    shown = {name: parameters[name] for name in _SHOWN_PARAMETERS if parameters.get(name)}
    query = f"?{urlencode(shown)}" if shown else ""
    return f"postgresql://{user}{address}/{quote(str(parameters.get('dbname', '')))}{query}"


def open_database(
    url: str,
    *,
    busy_timeout: float = 5.0,
    pool_size: int | None = None,
    prepared_statements: bool = True,
) -> PostgresqlDatabase:
    """Return the database of a URL; the first connection is opened when it is needed.

    :param url: ``postgresql://user:password@host:port/database``, with all that libpq takes: several hosts,
        ``target_session_attrs``, ``sslmode`` (https://www.postgresql.org/docs/current/libpq-connect.html).
    :param busy_timeout: seconds that a statement waits for a lock, that a conflict is retried, and that a call waits
        for a connection of the pool.
    :param pool_size: how many connections all threads share, each for one call; without it, every thread has its
        own connection until it calls ``close()``.
    :param prepared_statements: False for a pooler that gives every transaction another connection.
    :raises WAIaaSError: ``driver_missing`` or ``invalid_url``.
    """
    parameters = parse_url(url)
    if pool_size is None:
        return PostgresqlDatabase(parameters, busy_timeout, prepared_statements)
    return _PooledPostgresqlDatabase(parameters, busy_timeout, prepared_statements, pool_size)


class PostgresqlDatabase(PeeweePostgresqlDatabase, Backend):
    """Peewee's PostgreSQL database, which replaces lost connections, waits for locks in one order and tries again."""

    returning_id = " RETURNING id"
    joins_changes = True

    # Peewee's own: what it knows of this thread's connection, and how it runs a statement.
    _state: Any
    _lock: Any
    _execute_cursor: Any
    _adapter: Any
    _isolation_level: Any
    _thread: _ThreadState

    if TYPE_CHECKING:  # Peewee has no types for these.

        def connection(self) -> psycopg.Connection[Any]:
            """Return the connection of this thread."""

        def cursor(self, named_cursor: Any = None) -> psycopg.Cursor[Any]:
            """Return a cursor on it."""

    def __init__(
        self, parameters: Mapping[str, Any], busy_timeout: float, prepared_statements: bool, **options: Any
    ) -> None:
        """Take the parameters for libpq (see `parse_url`), the busy timeout and whether statements are prepared."""
        self._parameters = {**_NETWORK, **parameters, "client_encoding": "utf8"}
        self._prepared_statements = prepared_statements
        #: The URL of the database without its password.
        self.address = shown_url(parameters)
        self.timeout = busy_timeout
        self._thread = _ThreadState()
        self._open: WeakSet[Any] = WeakSet()
        super().__init__(parameters["dbname"], prefer_psycopg3=True, **options)
        # A block that gives its connection back can be collected while this thread holds the lock.
        self._lock = threading.RLock()
        _databases.add(self)

    def __repr__(self) -> str:
        """Show where the database is, without its password."""
        return f"<{type(self).__name__} {self.address}>"

    def dialect(self, sql: str) -> str:
        """Return a statement for SQLite as psycopg takes it."""
        sql = sql.replace("main.", "").replace("l.rowid", f"l.{LINK_ORDER}")
        return sql.replace("%", "%%").replace("?", self.param)

    def read(self, query: Callable[[], _Result]) -> _Result:
        """Run a function that only reads, once more after a lost connection."""
        with translate_errors(self), self.borrowed_connection():
            self.refuse_other_task()
            try:
                return query()
            except PeeweeException as error:
                if self.in_transaction() or not self._is_gone(error):
                    raise
                LOG.info("The connection to %s was lost; reading once more", self.address)
            return query()

    def fetch_latest(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement against the latest commit, and return its first row.

        Under READ COMMITTED each statement sees it. Under the stricter levels a transaction sees what was committed
        before its first statement, so the thread's second connection reads; unless a service has changed something in
        that transaction, which only its own connection sees. It also reads in a transaction that was begun by hand,
        whose level is not known.
        """
        if (self._reads_snapshot() or not self.is_owner()) if self.in_transaction() else self._is_begun_by_hand():
            with translate_errors(self):
                return self._fetch_by_reader(sql, parameters)
        with self._answers():
            if self.in_transaction() or self.is_closed():
                return self.read(lambda: self._fetch(sql, parameters))
            return self._fetch_directly(sql, parameters)

    def _reads_snapshot(self) -> bool:
        """Return whether this thread's transaction has changed nothing and may not see later commits."""
        is_known = outermost(self) is not None
        return not (is_known and (self._thread.level == READ_COMMITTED or self._thread.has_changed))

    def write(
        self,
        change: Callable[[], _Result],
        *,
        durable: bool = False,
        alone: bool = False,
        find: Callable[[], _Result | None] | None = None,
    ) -> _Result:
        """Run a change in one transaction, again after a conflict or a connection that was lost before COMMIT."""
        with translate_errors(self), self.borrowed_connection(), self._answers():
            if self.in_transaction():
                with self.atomic():
                    self._lock_services(alone=alone)
                    self._lock_settings()
                    return change()
            self._refuse_begun_by_hand()
            try:
                return self._write_until_committed(change, self._first(exclusive=alone, durable=durable))
            except CommitUnknownError as error:
                found = self._look_up(find)
                if found is None:
                    raise refusal_for(error, self) from safe_cause(error)
                return found

    def lock(self, table: str, columns: str, ids: Sequence[str], *, will_change: bool = False) -> list[Row]:
        """Lock rows in the order of their ids, by writing those that the caller does not write itself.

        Under REPEATABLE READ or SERIALIZABLE, waiting for a row that was locked and not changed raises nothing, and
        the later one decides from an old snapshot (https://www.postgresql.org/docs/current/transaction-iso.html). A
        row that was changed raises a serialization failure there, even with the same values. A caller can begin its
        transaction at any level, so the library's own transactions, which are READ COMMITTED, also write the rows.
        """
        key, untouched = LOCKED[table]
        locked = f"SELECT {{}} FROM {table} WHERE {key} = ANY(%s) ORDER BY {key} FOR NO KEY UPDATE"
        if will_change:
            sql = locked.format(columns)
        else:
            qualified = ", ".join(f"t.{column.strip()}" for column in columns.split(","))
            sql = (
                f"WITH locked AS ({locked.format(f'{key} AS locked_key')}), written AS (UPDATE {table} AS t"
                f" SET {untouched} = t.{untouched} FROM locked WHERE t.{key} = locked_key"
                f" RETURNING locked_key, {qualified}) SELECT {columns} FROM written ORDER BY locked_key"
            )
        return list(self.execute_sql(sql, (list(ids),)).fetchall())

    def lock_link(
        self, wallet_id: str, wallet_columns: str, session_id: str, session_columns: str
    ) -> tuple[Row | None, Row | None]:
        """Lock a wallet and then a session in one statement."""
        # The condition on the first part decides whether the second runs at all, so the wallet is written first.
        row = self.execute_sql(
            "WITH w AS (UPDATE wallets SET created_at = created_at WHERE id = %s"
            f" RETURNING {wallet_columns}), s AS (UPDATE sessions SET created_at = created_at"
            f" WHERE id = %s AND EXISTS (SELECT 1 FROM w) RETURNING {session_columns})"
            " SELECT s.*, w.* FROM w LEFT JOIN s ON true",
            (wallet_id, session_id),
        ).fetchone()
        if row is None:
            return None, None
        width = session_columns.count(",") + 1
        return tuple(row[width:]), None if row[0] is None else tuple(row[:width])

    @contextmanager
    def exclusive_transaction(self) -> Iterator[None]:
        """Run a block in a transaction without concurrent services or other exclusive transactions."""
        with translate_errors(self), self.borrowed_connection():
            if self.in_transaction():
                with self.atomic():
                    self._lock_services(alone=True)
                    yield
                return
            self._refuse_begun_by_hand()
            with self.atomic(first=self._first(exclusive=True)):
                yield

    def begin(self, isolation_level: Any = None, *, first: Sequence[str] = ()) -> None:
        """Begin a transaction: READ COMMITTED unless a level is given, regardless of the database's default.

        :param first: statements that run in the same round trip.
        """
        self._drop_lost()
        level = self._adapter.isolation_level_str(isolation_level or self._isolation_level or READ_COMMITTED)
        self._thread.level, self._thread.has_changed = level, False
        self.remember_owner()
        begin = "; ".join([f"BEGIN ISOLATION LEVEL {level}", *first])
        try:
            self._execute_simple(begin)
        except PeeweeException as error:
            if not self._is_gone(error):
                # An error of the statements after BEGIN leaves a transaction open.
                self.rollback()
                raise
            # The connection was lost while it was idle.
            self._drop_lost()
            self._execute_simple(begin)

    def commit(self) -> None:
        """Commit the transaction.

        :raises CommitUnknownError: if the connection ended before the server has answered.
        """
        try:
            self._execute_simple("COMMIT")
        except PeeweeException as error:
            if self._is_gone(error):
                raise CommitUnknownError(str(error)) from error
            raise

    def rollback(self) -> None:
        """Roll the transaction back; the server has done so by itself if the connection is lost."""
        if self._has_lost_connection():
            return
        try:
            self._execute_simple("ROLLBACK")
        except PeeweeException as error:
            if not self._is_gone(error):
                raise

    def undo(self, connection: Any) -> None:
        """Close any thread's connection; the server rolls its transaction back.

        Memory of a connection that is in use must not be freed, so only its socket is shut down.
        """
        if connection.lock.acquire(blocking=False):
            try:
                connection.close()
            finally:
                connection.lock.release()
        else:
            connection.is_shut_down = True
            with suppress(psycopg.Error, OSError):  # closed by now
                used = socket.socket(fileno=connection.fileno())
                try:
                    used.shutdown(socket.SHUT_RDWR)
                finally:
                    used.detach()

    def is_in_use(self, connection: Any) -> bool:
        """Return whether a statement of this thread is running."""
        return bool(connection.lock.locked())

    def savepoint(self) -> Savepoint:
        """Return a savepoint whose rollback does not hide the error of a lost connection."""
        self.refuse_other_task()
        return _Savepoint(self)

    def execute_sql(self, sql: str, params: Any = None) -> Any:
        """Run a statement; outside a transaction a connection that was lost is replaced before."""
        self._drop_lost()
        outer = self._state.transactions[:1]  # in one step: the garbage collector can end it at any moment
        if outer and is_undone(outer[0]):
            raise RolledBackError
        try:
            return self._execute_cursor(sql, params)
        except PeeweeException as error:
            self._is_gone(error)
            raise

    def close(self) -> bool:
        """Close this thread's connections, or give its connection back to the pool; returns whether one was open."""
        reader, self._thread.reader = self._thread.reader, None
        if reader is not None:
            reader.close()
        return bool(super().close())

    def close_all(self) -> None:
        """Close the connections of all threads; calls in progress fail with `connection_lost`."""
        with suppress(OperationalError):
            self.close()
        for connection in list(self._open):
            connection.close()

    def reset_after_fork(self) -> None:
        """Forget the connections of the parent process: they are the parent's, and this one opens its own."""
        self._lock = threading.RLock()
        _connections_of_parent.extend(self._open)
        self._open = WeakSet()
        self._thread = _ThreadState()
        self._state.reset()

    def _close(self, connection: Any) -> None:
        self.undo(connection)

    def _connect(self) -> Any:
        try:
            connection = _Connection.connect(
                **self._parameters_of_connection(),
                autocommit=True,
                prepare_threshold=_PREPARE_AFTER if self._prepared_statements else None,
            )
            connection.thread = self._thread
            if self._prepared_statements:
                connection.execute(_OWN_TABLES_FIRST.format(is_local="false").encode(), prepare=False)
        except psycopg.OperationalError as error:
            raise ConnectFailedError(error) from None
        except psycopg.ProgrammingError:  # a parameter has a value that psycopg cannot read
            raise _InvalidParameterError from None
        # Every number as bigint: else a statement would be prepared once for each size of its numbers.
        connection.adapters.register_dumper(int, Int8Dumper)
        self._open.add(connection)
        return connection

    def _parameters_of_connection(self) -> dict[str, Any]:
        if not self._prepared_statements:
            # A pooler takes no options (https://www.pgbouncer.org/config.html); `_first` sets them.
            return self._parameters
        options = " ".join(f"-c {name}={value}" for name, value in self._timeouts())
        return {**self._parameters, "options": f"{options} {self._parameters.get('options') or ''}".strip()}

    def _timeouts(self) -> list[tuple[str, str]]:
        # 0 would mean to wait forever.
        lock_timeout = max(1, int(self.timeout * 1000))
        return [
            ("lock_timeout", f"{lock_timeout}ms"),
            ("idle_in_transaction_session_timeout", f"{_IDLE_IN_TRANSACTION}s"),
        ]

    def _first(self, *, exclusive: bool = False, durable: bool = False) -> list[str]:
        """Return the statements at the start of a transaction of the library."""
        statements = []
        if not self._prepared_statements:
            statements += [f"SET LOCAL {name} = '{value}'" for name, value in self._timeouts()]
            statements.append(_OWN_TABLES_FIRST.format(is_local="true"))
        if durable:
            statements.append(_DURABLE)
        return [*statements, _services_lock(alone=exclusive)]

    def _lock_settings(self) -> None:
        """Raise a conflict if the kill switch or the keys have changed since the snapshot of a caller's transaction.

        Under READ COMMITTED the statements that read them see the latest commit.
        """
        if self._thread.level != READ_COMMITTED:
            self.execute_sql(
                "INSERT INTO key_value_store (key, value, updated_at) VALUES ('kill_switch_state', 'ACTIVE', 0)"
                " ON CONFLICT (key) DO NOTHING"
            )
            self.execute_sql(
                "SELECT 1 FROM key_value_store WHERE key IN ('jwt_secret_current', 'kill_switch_state')"
                " ORDER BY key FOR SHARE"
            )

    def _lock_services(self, *, alone: bool) -> None:
        """Take the services' lock in a transaction of the caller."""
        self.execute_sql(_services_lock(alone=alone))
        self._thread.has_changed = True

    def _fetch(self, sql: str, parameters: Sequence[object]) -> Row | None:
        row: Row | None = self.execute_sql(sql, parameters).fetchone()
        return row

    def _fetch_directly(self, sql: str, parameters: Sequence[object]) -> Row | None:
        """Do what `read` does, on an open connection outside a transaction: each request comes here."""
        try:
            row: Row | None = self._state.conn.execute(sql, parameters).fetchone()
            return row
        except psycopg.Error as error:
            if self._is_gone(error):
                LOG.info("The connection to %s was lost; reading once more", self.address)
        with translate_errors(self):
            return self._fetch(sql, parameters)

    def _fetch_by_reader(self, sql: str, parameters: Sequence[object]) -> Row | None:
        thread = self._thread
        if thread.reader is None or thread.reader.closed:
            with peewee_errors:
                thread.reader = PostgresqlDatabase._connect(self)
        with peewee_errors:
            row: Row | None = thread.reader.execute(sql, parameters).fetchone()
        return row

    def _write_until_committed(self, change: Callable[[], _Result], first: Sequence[str]) -> _Result:
        deadline = time.monotonic() + self.timeout
        may_reconnect = True
        while True:
            try:
                with self.atomic(first=first):
                    return change()
            except CommitUnknownError:
                raise
            except PeeweeException as error:
                if self._is_gone(error):
                    if not may_reconnect:
                        raise
                    may_reconnect = False
                    LOG.info("The connection to %s was lost before COMMIT; running the change again", self.address)
                elif reason_for(error) == "transaction_conflict" and time.monotonic() < deadline:
                    LOG.info("A conflict of transactions on %s; running the change again", self.address)
                    time.sleep(random.uniform(*_RETRY_DELAY))
                else:
                    raise

    def _look_up(self, find: Callable[[], _Result | None] | None) -> _Result | None:
        """Look for a change whose COMMIT was not answered, as long as the server cannot be reached."""
        if find is None:
            return None
        deadline = time.monotonic() + self.timeout
        while True:
            try:
                return find()
            except PeeweeException as error:
                if time.monotonic() > deadline or reason_for(error) not in ("connection_lost", "server_unavailable"):
                    return None
            time.sleep(random.uniform(*_RETRY_DELAY))

    @contextmanager
    def borrowed_connection(self) -> Iterator[None]:
        """Give the connection back to the pool at the end, if there is one and no transaction is open."""
        yield

    @contextmanager
    def _answers(self) -> Iterator[None]:
        """Wait for each answer in a block only so long as the server may wait for a lock, and some seconds."""
        thread, before = self._thread, self._thread.answer_within
        thread.answer_within = self.timeout + _ANSWER_WITHIN
        try:
            yield
        finally:
            thread.answer_within = before

    def _execute_simple(self, sql: str) -> None:
        """Run statements without parameters in one round trip, and never prepare them."""
        try:
            with peewee_errors:
                self.cursor().execute(sql, prepare=False)
        except PeeweeException as error:
            self._is_gone(error)
            raise

    def _is_gone(self, error: BaseException) -> bool:
        """Return whether an error means that the connection is unusable; it is closed then.

        A server that became a standby refuses to write: with several hosts, the next connection finds the primary.
        """
        reason = reason_for(error)
        is_gone = reason == "connection_lost" or (reason == "server_read_only" and "," in self.address)
        if is_gone and not self.is_closed():
            self._state.conn.close()
        return is_gone

    def _has_lost_connection(self) -> bool:
        return not self._state.closed and _is_lost(self._state.conn)

    def _drop_lost(self) -> None:
        """Forget a connection that was lost, unless a block still believes to be in its transaction."""
        if not self.in_transaction() and self._has_lost_connection():
            LOG.info("Replacing a lost connection to %s", self.address)
            self.close()

    def _refuse_begun_by_hand(self) -> None:
        """Refuse a connection on which the caller began a transaction without Peewee."""
        if self._is_begun_by_hand():
            raise refusal("inside_transaction")

    def _is_begun_by_hand(self) -> bool:
        """Return whether this thread's connection is in a transaction, according to the server; none of Peewee is."""
        if self.is_closed() or self._has_lost_connection():
            return False
        return self._adapter.txn_status(self._state.conn) not in (self._adapter.txn_idle, self._adapter.txn_unknown)


class _PooledPostgresqlDatabase(PooledDatabase, PostgresqlDatabase):  # type: ignore[misc]  # `init`
    """A database whose threads share a number of connections, each for one call or one transaction."""

    def __init__(
        self, parameters: Mapping[str, Any], busy_timeout: float, prepared_statements: bool, pool_size: int
    ) -> None:
        """Take what the database takes, and how many connections there are at most."""
        self.pool_size = pool_size
        super().__init__(  # type: ignore[no-untyped-call]
            parameters,
            max_connections=pool_size,
            # 0 would mean to wait forever.
            timeout=max(busy_timeout, 0.001),
            busy_timeout=busy_timeout,
            prepared_statements=prepared_statements,
        )

    def connect(self, reuse_if_open: bool = False) -> bool:
        """Take a connection from the pool, or open one; wait for one as long as for a lock."""
        try:
            return bool(super().connect(reuse_if_open))  # type: ignore[no-untyped-call]
        except MaxConnectionsExceeded as error:
            raise _PoolExhaustedError(str(error)) from None

    def reset_after_fork(self) -> None:
        """Forget the connections of the parent process, including those in the pool."""
        self._pool_lock = threading.RLock()
        self._pool_available = threading.Condition(self._pool_lock)
        super().reset_after_fork()
        self.dispose()  # type: ignore[no-untyped-call]

    def undo(self, connection: Any) -> None:
        """Close any thread's connection, and let another one be opened: that thread may have ended."""
        self._in_use.pop(id(connection), None)
        super().undo(connection)

    @contextmanager
    def borrowed_connection(self) -> Iterator[None]:
        borrower = threading.current_thread()
        try:
            yield
        finally:
            if borrower is threading.current_thread() and not self.in_transaction():
                self.close()

    def _is_closed(self, connection: Any) -> bool:
        # Without a round trip: a lost connection is replaced when its first statement fails.
        return _is_lost(connection)

    def _can_reuse(self, connection: Any) -> bool:
        is_usable = not _is_lost(connection) and not self.is_in_use(connection)
        return is_usable and bool(self._adapter.is_connection_reusable(connection))


def _is_lost(connection: Any) -> bool:
    return connection.is_shut_down or bool(connection.closed)


def _services_lock(*, alone: bool) -> str:
    return f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}({SERVICES_LOCK})"


class _Savepoint(Savepoint):
    def rollback(self, begin: bool = True) -> None:
        if not self.db._has_lost_connection():
            super().rollback(begin)


_databases: WeakSet[PostgresqlDatabase] = WeakSet()
# Closing one would end the session of the parent, which uses the same socket.
_connections_of_parent: list[Any] = []


def _reset_all_after_fork() -> None:
    for database in _databases:
        database.reset_after_fork()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all_after_fork)
