"""The 16 tables of schema version 19 as Peewee models, parents before children.

The models are bound to no database. Bind them for a block, in the thread that runs it::

    database = waiaas.connect("wallets.db")
    with database.bind_ctx(waiaas.MODELS):
        waiaas.Wallet.select().count()

Each thread has a binding of its own, so that one program may serve several databases at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from peewee import SQL, CompositeKey, Database, DoubleField, ForeignKeyField, Model, Table
from playhouse.shortcuts import ThreadSafeDatabaseMetadata

from waiaas import enums
from waiaas.fields import AutoIncrement, Flag, Integer, JSONText, Text, UTCDateTime

_ModelType = TypeVar("_ModelType", bound="type[BaseModel]")


class _BoundPerThread(ThreadSafeDatabaseMetadata):
    """Metadata whose database is that of the running thread, and none in a thread that bound none.

    Playhouse's class falls back to the first database that any thread ever bound, and shares the table object:
    in a program with several owners, that would be another owner's wallets.
    """

    @property
    def database(self) -> Database | None:
        """The database that this thread has bound."""
        return getattr(self._local, "database", None)

    @database.setter
    def database(self, database: Database | None) -> None:
        self._local.database = database

    @property  # type: ignore[misc]
    def table(self) -> Table:
        """The table, bound as this thread is."""
        table: Table | None = getattr(self._local, "table", None)
        if table is None:
            columns = [field.column_name for field in self.sorted_fields]
            table = Table(self.table_name, columns, schema=self.schema, _model=self.model, _database=self.database)
            self._local.table = table
        return table

    @table.deleter
    def table(self) -> None:
        self._local.table = None

    def set_database(self, database: Any) -> None:
        """Bind the model in this thread; the schema manager, which threads share, asks here each time."""
        self.database = database
        del self.table


class BaseModel(Model):
    """What all tables have in common."""

    class Meta:
        """One binding a thread; names as they stand in the file."""

        model_metadata_class = _BoundPerThread
        legacy_table_names = False


def _index(name: str, *columns: str, unique: bool = False) -> Callable[[_ModelType], _ModelType]:
    """Give a model an index under the name that it has in the file."""

    def add(model: _ModelType) -> _ModelType:
        fields = [model._meta.columns[column] for column in columns]
        model.add_index(model.index(*fields, name=name, unique=unique))
        return model

    return add


def _key(**options: Any) -> Text:
    # SQLite's TEXT PRIMARY KEY is not NOT NULL by itself, and the daemon's tables do not say it.
    return Text(primary_key=True, null=True, **options)


def _reference(model: Any, column: str, on_delete: str, **options: Any) -> ForeignKeyField:
    """A foreign key without an index of its own: the file's indexes are named one by one."""
    return ForeignKeyField(model, column_name=column, on_delete=on_delete, index=False, **options)


@_index("idx_wallets_chain_environment", "chain", "environment")
@_index("idx_wallets_owner_address", "owner_address")
@_index("idx_wallets_public_key", "public_key", unique=True)
@_index("idx_wallets_status", "status")
class Wallet(BaseModel):
    """An agent's wallet on one chain; `owner_address` belongs to the human who keeps control of the funds."""

    id = _key()
    name = Text()
    chain = Text(values=enums.CHAIN_TYPES)
    environment = Text(values=enums.ENVIRONMENT_TYPES)
    default_network = Text(null=True, values=enums.NETWORK_TYPES)
    public_key = Text()
    status = Text(default="CREATING", values=enums.WALLET_STATUSES)
    owner_address = Text(null=True)
    owner_verified = Flag(default=False, values=(0, 1))
    created_at = UTCDateTime()
    updated_at = UTCDateTime()
    suspended_at = UTCDateTime(null=True)
    suspension_reason = Text(null=True)
    owner_approval_method = Text(null=True, values=enums.APPROVAL_METHODS)

    class Meta:
        """Table name."""

        table_name = "wallets"

    @property
    def owner_state(self) -> str:
        """How far the owner is set up: ``NONE`` without an address, ``GRACE`` with one, ``LOCKED`` once verified."""
        if not self.owner_address:
            return "NONE"
        return "LOCKED" if self.owner_verified else "GRACE"


@_index("idx_sessions_expires_at", "expires_at")
@_index("idx_sessions_token_hash", "token_hash")
class Session(BaseModel):
    """An agent's session; `token_hash` is the SHA-256 (hex) of its token, which is stored nowhere."""

    id = _key()
    token_hash = Text()
    expires_at = UTCDateTime()
    constraints = JSONText(null=True)
    usage_stats = JSONText(null=True)
    revoked_at = UTCDateTime(null=True)
    renewal_count = Integer(default=0)
    max_renewals = Integer(default=30)
    last_renewed_at = UTCDateTime(null=True)
    absolute_expires_at = UTCDateTime()
    created_at = UTCDateTime()
    source = Text(default="api")

    class Meta:
        """Table name."""

        table_name = "sessions"


@_index("idx_session_wallets_session", "session_id")
@_index("idx_session_wallets_wallet", "wallet_id")
class SessionWallet(BaseModel):
    """A link: the session may use the wallet; one link of each session is its default."""

    session = _reference(Session, "session_id", "CASCADE", backref="links")
    wallet = _reference(Wallet, "wallet_id", "CASCADE", backref="links")
    is_default = Flag(default=False)
    created_at = UTCDateTime()

    class Meta:
        """Table name and key."""

        table_name = "session_wallets"
        primary_key = CompositeKey("session", "wallet")


@_index("idx_transactions_contract_address", "contract_address")
@_index("idx_transactions_created_at", "created_at")
@_index("idx_transactions_parent_id", "parent_id")
@_index("idx_transactions_queued_at", "queued_at")
@_index("idx_transactions_session_id", "session_id")
@_index("idx_transactions_tx_hash", "tx_hash", unique=True)
@_index("idx_transactions_type", "type")
@_index("idx_transactions_wallet_status", "wallet_id", "status")
class Transaction(BaseModel):
    """A transaction of a wallet, or one entry (`batch_index`) of a batch (`parent`); amounts are decimal strings."""

    id = _key()
    wallet = _reference(Wallet, "wallet_id", "RESTRICT", backref="transactions")
    session = _reference(Session, "session_id", "SET NULL", null=True, backref="transactions")
    chain = Text()
    tx_hash = Text(null=True)
    type = Text(values=enums.TRANSACTION_TYPES)
    amount = Text(null=True)
    to_address = Text(null=True)
    token_mint = Text(null=True)
    contract_address = Text(null=True)
    method_signature = Text(null=True)
    spender_address = Text(null=True)
    approved_amount = Text(null=True)
    parent = _reference("self", "parent_id", "CASCADE", null=True, backref="entries")
    batch_index = Integer(null=True)
    status = Text(default="PENDING", values=enums.TRANSACTION_STATUSES)
    tier = Text(null=True, values=enums.POLICY_TIERS)
    queued_at = UTCDateTime(null=True)
    executed_at = UTCDateTime(null=True)
    created_at = UTCDateTime()
    reserved_amount = Text(null=True)
    amount_usd = DoubleField(null=True)
    reserved_amount_usd = DoubleField(null=True)
    error = Text(null=True)
    metadata = JSONText(null=True)
    network = Text(null=True, values=enums.NETWORK_TYPES)

    class Meta:
        """Table name."""

        table_name = "transactions"


@_index("idx_policies_network", "network")
@_index("idx_policies_type", "type")
@_index("idx_policies_wallet_enabled", "wallet_id", "enabled")
class Policy(BaseModel):
    """A rule on what a wallet may do, or on what every wallet may (`wallet` is NULL)."""

    id = _key()
    wallet = _reference(Wallet, "wallet_id", "CASCADE", null=True, backref="policies")
    type = Text(values=enums.POLICY_TYPES)
    rules = JSONText()
    priority = Integer(default=0)
    enabled = Flag(default=True)
    network = Text(null=True, values=enums.NETWORK_TYPES)
    created_at = UTCDateTime()
    updated_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "policies"


@_index("idx_pending_approvals_expires_at", "expires_at")
@_index("idx_pending_approvals_tx_id", "tx_id")
class PendingApproval(BaseModel):
    """A transaction that waits for its owner's word."""

    id = _key()
    transaction = _reference(Transaction, "tx_id", "CASCADE", backref="approvals")
    required_by = UTCDateTime()
    expires_at = UTCDateTime()
    approved_at = UTCDateTime(null=True)
    rejected_at = UTCDateTime(null=True)
    owner_signature = Text(null=True)
    approval_channel = Text(null=True, default="rest_api")
    created_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "pending_approvals"


@_index("idx_audit_log_event_type", "event_type")
@_index("idx_audit_log_severity", "severity")
@_index("idx_audit_log_timestamp", "timestamp")
@_index("idx_audit_log_wallet_id", "wallet_id")
@_index("idx_audit_log_wallet_timestamp", "wallet_id", "timestamp")
class AuditLog(BaseModel):
    """What happened, for good: it names wallets, sessions and transactions without referring to their rows."""

    id = AutoIncrement()
    timestamp = UTCDateTime()
    event_type = Text()
    actor = Text()
    wallet_id = Text(null=True)
    session_id = Text(null=True)
    tx_id = Text(null=True)
    details = JSONText()
    severity = Text(default="info", values=enums.AUDIT_SEVERITIES)
    ip_address = Text(null=True)

    class Meta:
        """Table name."""

        table_name = "audit_log"


class KeyValue(BaseModel):
    """A value of the daemon's own, such as the token key or the kill switch's state."""

    key = _key()
    value = Text()
    updated_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "key_value_store"


@_index("idx_notification_logs_created_at", "created_at")
@_index("idx_notification_logs_event_type", "event_type")
@_index("idx_notification_logs_status", "status")
@_index("idx_notification_logs_wallet_id", "wallet_id")
class NotificationLog(BaseModel):
    """A notification that was sent, or failed."""

    id = _key()
    event_type = Text()
    wallet_id = Text(null=True)
    channel = Text()
    status = Text(values=enums.NOTIFICATION_LOG_STATUSES)
    error = Text(null=True)
    message = Text(null=True)
    created_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "notification_logs"


@_index("idx_token_registry_network", "network")
@_index("idx_token_registry_network_address", "network", "address", unique=True)
class Token(BaseModel):
    """A token (coin) that the service knows on a network."""

    id = _key()
    network = Text()
    address = Text()
    symbol = Text()
    name = Text()
    decimals = Integer()
    source = Text(default="custom", values=enums.TOKEN_SOURCES)
    created_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "token_registry"


@_index("idx_settings_category", "category")
class Setting(BaseModel):
    """A setting that overrides the daemon's configuration file."""

    key = _key()
    value = Text()
    encrypted = Flag(default=False, values=(0, 1))
    category = Text()
    updated_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "settings"


class ApiKey(BaseModel):
    """An encrypted key for the API of an action provider."""

    provider_name = _key()
    encrypted_key = Text()
    created_at = UTCDateTime()
    updated_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "api_keys"


@_index("idx_telegram_users_role", "role")
class TelegramUser(BaseModel):
    """Somebody who talks to the service's Telegram bot, and what they may do."""

    chat_id = Integer(primary_key=True, null=True)
    username = Text(null=True)
    role = Text(default="PENDING", values=enums.TELEGRAM_ROLES)
    registered_at = UTCDateTime()
    approved_at = UTCDateTime(null=True)

    class Meta:
        """Table name."""

        table_name = "telegram_users"


@_index("idx_wc_sessions_topic", "topic")
class WalletConnectSession(BaseModel):
    """The WalletConnect session of a wallet's owner."""

    wallet = _reference(Wallet, "wallet_id", "CASCADE", primary_key=True, null=True, backref="walletconnect")
    topic = Text(constraints=[SQL("UNIQUE")])
    peer_meta = JSONText(null=True)
    chain_id = Text()
    owner_address = Text()
    namespaces = JSONText(null=True)
    expiry = UTCDateTime()
    created_at = UTCDateTime()

    class Meta:
        """Table name."""

        table_name = "wc_sessions"


class WalletConnectStore(BaseModel):
    """What the WalletConnect library stores, as it stores it."""

    key = _key()
    value = Text()

    class Meta:
        """Table name."""

        table_name = "wc_store"


class SchemaVersion(BaseModel):
    """A schema version that was applied to the file."""

    version = Integer(primary_key=True, null=True)
    applied_at = UTCDateTime()
    description = Text()

    class Meta:
        """Table name."""

        table_name = "schema_version"


#: Every model, parents before children.
MODELS: tuple[type[BaseModel], ...] = (
    Wallet,
    Session,
    SessionWallet,
    Transaction,
    Policy,
    PendingApproval,
    AuditLog,
    KeyValue,
    NotificationLog,
    Token,
    Setting,
    ApiKey,
    TelegramUser,
    WalletConnectSession,
    WalletConnectStore,
    SchemaVersion,
)
