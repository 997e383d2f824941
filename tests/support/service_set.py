"""All services on one database object, as in a program."""

from __future__ import annotations

from collections.abc import Callable

from peewee import Database

from waiaas import SessionSettings
from waiaas.services import (
    AuditService,
    KillSwitchService,
    SessionService,
    SessionWalletService,
    TokenService,
    WalletService,
)


class ServiceSet:
    """The services on one database object, with one clock and one set of settings."""

    def __init__(self, database: Database, clock: Callable[[], float], **settings: int) -> None:
        self.database = database
        self.settings = SessionSettings(**settings)
        self.sessions = SessionService(database, settings=self.settings, clock=clock)
        self.links = SessionWalletService(database, settings=self.settings, clock=clock)
        self.wallets = WalletService(database, clock=clock)
        self.tokens = TokenService(database, clock=clock)
        self.audit = AuditService(database, clock=clock)
        self.kill_switch = KillSwitchService(database, clock=clock)
