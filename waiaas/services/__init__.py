"""What agents' sessions and their wallets may do: each rule in one place, each change in one transaction."""

from waiaas.services.details import IssuedSession, LinkedWallet, SessionDetails
from waiaas.services.kill_switch import KillSwitch, KillSwitchService
from waiaas.services.pages import Page
from waiaas.services.session_wallets import SessionWalletService
from waiaas.services.sessions import AuthenticatedSession, Authorization, AuthorizedWallet, SessionService
from waiaas.services.settings import SessionSettings
from waiaas.services.tokens import SessionTokens, TokenClaims
from waiaas.services.wallets import WalletService

__all__ = [
    "AuthenticatedSession",
    "Authorization",
    "AuthorizedWallet",
    "IssuedSession",
    "KillSwitch",
    "KillSwitchService",
    "LinkedWallet",
    "Page",
    "SessionDetails",
    "SessionService",
    "SessionSettings",
    "SessionTokens",
    "SessionWalletService",
    "TokenClaims",
    "WalletService",
]
