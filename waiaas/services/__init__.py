"""The rules about wallets, sessions and their tokens: each rule in one place, each change in one transaction.

All services work alike:

- They take a database at the latest schema version, the settings of sessions, and a clock that returns Unix seconds.
  One service object serves all threads.
- Each change is one transaction with its rows in the audit log. ``actor`` is the name in these rows: 1 to 200
  printable characters, not blank. A change that removes a right is on the disk when the method returns.
- An id is lower-case UUID text. It is compared unchanged, so that one in upper case is unknown. A value that is not
  text, such as a ``uuid.UUID`` or a model, is refused as ``ACTION_VALIDATION_FAILED``, and so is every other argument
  that breaks a rule.
- Results are immutable snapshots. Times are aware UTC datetimes. Lists are paginated: see :class:`Page`.
- If the database refuses, any method raises :class:`waiaas.WAIaaSError` ``DATABASE_BUSY`` (retryable),
  ``DATABASE_UNAVAILABLE`` or ``SCHEMA_INCOMPATIBLE``; its ``reason`` is ``database_busy``, ``disk_full``, ``corrupt``
  or another of the table of reasons. Nothing has changed then.
"""

from waiaas.services.audit import AuditEntry, AuditService
from waiaas.services.details import IssuedSession, LinkedWallet, SessionDetails, WalletDetails
from waiaas.services.kill_switch import KillSwitch, KillSwitchService
from waiaas.services.pages import Page
from waiaas.services.pruning import Pruned
from waiaas.services.session_wallets import SessionWalletService
from waiaas.services.sessions import AuthenticatedSession, Authorization, AuthorizedWallet, SessionService
from waiaas.services.tokens import TokenClaims, TokenService
from waiaas.services.wallets import WalletService

__all__ = [
    "AuditEntry",
    "AuditService",
    "AuthenticatedSession",
    "Authorization",
    "AuthorizedWallet",
    "IssuedSession",
    "KillSwitch",
    "KillSwitchService",
    "LinkedWallet",
    "Page",
    "Pruned",
    "SessionDetails",
    "SessionService",
    "SessionWalletService",
    "TokenClaims",
    "TokenService",
    "WalletDetails",
    "WalletService",
]
