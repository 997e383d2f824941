"""The tables of the newest schema version as Peewee models, and their fields."""

from waiaas.models.tables import MODELS as MODELS
from waiaas.models.tables import ApiKey as ApiKey
from waiaas.models.tables import AuditLog as AuditLog
from waiaas.models.tables import BaseModel as BaseModel
from waiaas.models.tables import KeyValue as KeyValue
from waiaas.models.tables import NotificationLog as NotificationLog
from waiaas.models.tables import PendingApproval as PendingApproval
from waiaas.models.tables import Policy as Policy
from waiaas.models.tables import SchemaVersion as SchemaVersion
from waiaas.models.tables import Session as Session
from waiaas.models.tables import SessionWallet as SessionWallet
from waiaas.models.tables import Setting as Setting
from waiaas.models.tables import TelegramUser as TelegramUser
from waiaas.models.tables import Token as Token
from waiaas.models.tables import Transaction as Transaction
from waiaas.models.tables import Wallet as Wallet
from waiaas.models.tables import WalletConnectSession as WalletConnectSession
from waiaas.models.tables import WalletConnectStore as WalletConnectStore
