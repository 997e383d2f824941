"""A process that makes changes at random on a PostgreSQL database, next to others that do the same."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import nullcontext
from typing import Any

from support.service_set import ServiceSet

from waiaas import WAIaaSError
from waiaas.backends.postgresql import open_database

WALLETS_AT_ONCE = 4
SESSIONS_PER_WALLET = 3


def load(url: str, seed: int, changes: int, level: str | None, now: int) -> Counter[str]:
    """Make changes, and return how often each refusal came.

    :param level: the isolation level of the caller's own transactions, two changes in each; None: no such transaction.
    """
    database, dice = open_database(url, busy_timeout=30), random.Random(seed)
    services = ServiceSet(database, lambda: now, sessions_per_wallet=SESSIONS_PER_WALLET)
    outcomes: Counter[str] = Counter()
    for number in range(changes):
        try:
            with database.atomic(level) if level else nullcontext():
                _change(services, dice, f"{seed} {number}")
                if level:
                    _change(services, dice, f"{seed} {number} b")
        except WAIaaSError as error:
            outcomes[error.reason or error.code] += 1
        except Exception as error:
            # What the caller's own COMMIT raises; its transaction is the caller's to repeat.
            outcomes[type(error).__name__ if level else repr(error)] += 1
        else:
            outcomes["done"] += 1
    database.close()
    return outcomes


def _change(services: ServiceSet, dice: random.Random, name: str) -> Any:
    wallets = [row.id for row in services.wallets.list(status="ACTIVE", limit=WALLETS_AT_ONCE)]
    sessions = [row.id for row in services.sessions.list(status="ACTIVE", limit=6)]
    if len(wallets) < WALLETS_AT_ONCE:
        return services.wallets.create(name=name, chain="solana", environment="testnet", public_key=name, actor="load")
    if not sessions or dice.random() < 0.2:
        return services.sessions.create(wallet_ids=dice.sample(wallets, dice.randint(1, 3)), actor="load")
    session, wallet, kind = dice.choice(sessions), dice.choice(wallets), dice.random()
    if kind < 0.08:
        return services.wallets.terminate(wallet, actor="load")
    if kind < 0.16:
        return services.sessions.revoke(session, actor="load")
    method = dice.choice([services.links.link, services.links.unlink, services.links.set_default])
    return method(session, wallet, actor="load")
