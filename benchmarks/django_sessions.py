"""What people would use instead of `authorize`: a session of Django, on SQLite and on PostgreSQL.

    python benchmarks/run.py --only django_sessions

Both sides answer the same question with the same rows: which wallet may this request use? Django's side is as its
documentation has it: the key of the session in a signed cookie, the session in the table `django_session`
(`django.contrib.sessions.backends.db`), the ids of its wallets in the data of the session, and the wallet as a model.
It checks the signature, both expiries and the status of the wallet. It cannot check more: see the page. The sides take
turns by blocks of calls; the result is the median of the ratios, block by block.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import datetime, timezone
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

from issued_sessions import END, Issued, make_issued_file
from measure import in_a_process, is_installed, machine
from session_files import PRAGMAS

sys.path.append(str(Path(__file__).resolve().parent.parent / "tests"))

_COOKIE, _AT_ONCE, _PER_BLOCK = "sessionid", 2000, 100
_AGE = 10**9


def run(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    """Measure in a separate process; see `_measure`."""
    if not is_installed("django"):
        return {"machine": machine(), "engines": {}}
    return {"machine": machine(), "sessions": sessions, **in_a_process(__file__, sessions, rounds, folder)}


def _measure(sessions: int, rounds: int, folder: Path) -> dict[str, Any]:
    from support.postgresql_server import Server

    import waiaas

    file = folder / "issued.db"
    issued = make_issued_file(file, sessions)
    server = Server.create(shared_buffers="256MB")
    try:
        server.execute("CREATE DATABASE ours TEMPLATE template0")
        server.execute("CREATE DATABASE django TEMPLATE template0")
        waiaas.move(file, server.url("ours"))
        _set_up({"default": _sqlite(folder / "django.db"), "server": _postgresql(server)})
        engines = {
            "SQLite": (str(file), _Django("default", issued)),
            "PostgreSQL": (server.url("ours"), _Django("server", issued)),
        }
        found = {name: _compare(*sides, issued, rounds) for name, sides in engines.items()}
        for _, django in engines.values():
            django.close()
    finally:
        server.remove()
    return {"engines": found}


def _sqlite(path: Path) -> dict[str, Any]:
    pragmas = "; ".join(f"PRAGMA {name} = {value}" for name, value in PRAGMAS.items())
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path), "OPTIONS": {"init_command": pragmas}}


def _postgresql(server: Any) -> dict[str, Any]:
    from support.postgresql_server import ADMIN, PASSWORD

    account = {"USER": ADMIN, "PASSWORD": PASSWORD, "HOST": "127.0.0.1", "PORT": server.port}
    return {"ENGINE": "django.db.backends.postgresql", "NAME": "django", **account}


class _Django:
    """Django's side on one database; `use` makes it the database of the models."""

    def __init__(self, alias: str, issued: list[Issued]) -> None:
        from django.contrib.sessions.backends.db import SessionStore
        from django.core.signing import get_cookie_signer
        from django.db import connections
        from django.http import HttpRequest

        self._alias, self._connection = alias, connections[alias]
        self._request, self._store, self._wallet = HttpRequest, SessionStore, _wallet_model()
        self._signer = get_cookie_signer(salt=_COOKIE)
        self.cookies = self._fill(issued)

    def authorize(self, cookie: str) -> Any:
        request = self._request()
        request.COOKIES[_COOKIE] = cookie
        key = request.get_signed_cookie(_COOKIE, max_age=_AGE)
        data = self._store(key).load()
        if not data:
            raise LookupError(key)
        wallet = self._wallet.objects.get(pk=data["default"])
        if wallet.status != "ACTIVE":
            raise LookupError(wallet.id)
        end = datetime.fromtimestamp(data["end"], timezone.utc)
        columns = (wallet.name, wallet.chain, wallet.environment, wallet.default_network, wallet.public_key)
        return (wallet.id, *columns, wallet.status), data["session"], end

    def use(self) -> None:
        _Router.used = self._alias

    def close(self) -> None:
        self._connection.close()

    def _fill(self, issued: list[Issued]) -> dict[str, str]:
        """Create the tables and their rows, and return the cookie of each session."""
        from django.contrib.sessions.models import Session

        self.use()
        with self._connection.schema_editor() as editor:
            editor.create_model(self._wallet)
            editor.create_model(Session)
        wallets = {wallet for each in issued for wallet in (each.default, each.other)}
        fixed = {"name": "wallet", "chain": "solana", "environment": "mainnet", "status": "ACTIVE"}
        self._wallet.objects.bulk_create([self._wallet(id=id_, public_key=id_, **fixed) for id_ in wallets], 500)
        end, store, cookies = datetime.fromtimestamp(END, timezone.utc), self._store(), {}
        rest = iter(issued)
        while some := list(islice(rest, _AT_ONCE)):
            rows = []
            for each in some:
                key = store._get_new_session_key()  # type: ignore[attr-defined]
                data = {"session": each.session, "default": each.default, "end": END}
                text = store.encode({**data, "wallets": [each.default, each.other]})
                rows.append(Session(session_key=key, session_data=text, expire_date=end))
                cookies[each.session] = self._signer.sign(key)
            Session.objects.bulk_create(rows, 300)
        return cookies


class _Router:
    """Tells Django which database the models are in."""

    used = "default"

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return self.used

    db_for_write = db_for_read


def _set_up(databases: dict[str, dict[str, Any]]) -> None:
    import django
    from django.conf import settings

    settings.configure(
        DATABASES=databases,
        DATABASE_ROUTERS=[_Router()],
        INSTALLED_APPS=["django.contrib.sessions"],
        SECRET_KEY="only for this benchmark, and as long as Django wants it to be",
        USE_TZ=True,
    )
    django.setup()


@cache
def _wallet_model() -> Any:
    from django.db import models

    class Wallet(models.Model):
        id = models.TextField(primary_key=True)
        name = models.TextField()
        chain = models.TextField()
        environment = models.TextField()
        default_network = models.TextField(null=True)
        public_key = models.TextField()
        status = models.TextField()

        class Meta:
            app_label = "wallets"

    return Wallet


def _compare(target: str, django: _Django, issued: list[Issued], rounds: int) -> dict[str, Any]:
    """Let both sides answer for the same sessions in turn, and compare what they return."""
    import waiaas

    times: dict[str, list[float]] = {"waiaas": [], "django": []}
    dice = random.Random(4)
    django.use()
    with waiaas.connect(target) as database:
        calls: dict[str, Callable[[Issued], Any]] = {
            "waiaas": lambda each: database.sessions.authorize(each.token),
            "django": lambda each: django.authorize(django.cookies[each.session]),
        }
        for number in range(rounds + 1):
            some, results = dice.choices(issued, k=_PER_BLOCK), []
            for name in sorted(calls, reverse=bool(number % 2)):
                started = time.perf_counter()
                results.append([calls[name](each) for each in some])
                if number:  # the first round warms up
                    times[name].append((time.perf_counter() - started) / len(some))
            if results[0] != results[1]:
                raise SystemExit("the two sides have different results")
    found = {name: 1e6 * statistics.median(series) for name, series in times.items()}
    return {**found, "ratio": statistics.median(a / b for a, b in zip(times["waiaas"], times["django"], strict=True))}


if __name__ == "__main__":
    print(json.dumps(_measure(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))))
