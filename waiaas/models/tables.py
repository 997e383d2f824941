"""The 16 tables of schema version 19 as Peewee models, parents before children.

The models are bound to no database. Bind them for a block, in the task or thread that runs it::

    database = waiaas.connect("wallets.db")
    with database.bind_ctx(waiaas.MODELS):
        waiaas.Wallet.select().count()

Each asyncio task and each thread has its own binding, so that one program can serve several databases at once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from peewee import SQL, CompositeKey, Database, DoubleField, ForeignKeyField, Model

from waiaas import vocabularies as enums
from waiaas.models.binding import TaskMetadata, bind_block
from waiaas.models.fields import AutoIncrement, Flag, Integer, JSONText, Text, UTCDateTime

_ModelType = TypeVar("_ModelType", bound="type[BaseModel]")


class BaseModel(Model):
    """The base class of the models; derive your own models from it to bind them in the same way."""

    class Meta:
        """One binding per task; names as in the file; `save` writes only the fields that were changed."""

        model_metadata_class = TaskMetadata
        only_save_dirty = True
        legacy_table_names = False

    @classmethod
    def bind_ctx(  # type: ignore[override]  # Peewee declares its own private class.
        cls, database: Database, bind_refs: bool = True, bind_backrefs: bool = True
    ) -> AbstractContextManager[Any]:
        """Bind the model, and those that foreign keys connect with it, for a block, in the task that runs it."""
        return bind_block(database, [cls], bind_refs, bind_backrefs)


def _index(name: str, *columns: str, unique: bool = False) -> Callable[[_ModelType], _ModelType]:
    """Give a model an index with its name in the file."""

    def add(model: _ModelType) -> _ModelType:
        fields = [model._meta.columns[column] for column in columns]
        model.add_index(model.index(*fields, name=name, unique=unique))
        return model

    return add


def _key(**options: Any) -> Text:
    # In SQLite a TEXT PRIMARY KEY allows NULL, and so do the daemon's tables.
    return Text(primary_key=True, null=True, **options)


def _reference(model: Any, column: str, on_delete: str, **options: Any) -> ForeignKeyField:
    """Return a foreign key without an index, because the file's indexes are defined by name."""
    return ForeignKeyField(model, column_name=column, on_delete=on_delete, index=False, **options)


@_index("idx_wallets_chain_environment", "chain", "environment")
@_index("idx_wallets_owner_address", "owner_address")
@_index("idx_wallets_public_key", "public_key", unique=True)
@_index("idx_wallets_status", "status")
class Wallet(BaseModel):
    """An agent's wallet on one chain; `owner_address` is the address of the human who controls the funds."""

    id = _key()  #: UUID.
    name = Text()  #: The name that its owner gave it.
    chain = Text(values=enums.CHAIN_TYPES)  #: The chain of its keys and addresses.
    environment = Text(values=enums.ENVIRONMENT_TYPES)  #: Test networks or main networks, never both.
    #: The network of requests that name none; NULL: a request must name one.
    default_network = Text(null=True, values=enums.NETWORK_TYPES)
    public_key = Text()  #: Its address on the chain, unique among wallets.
    status = Text(default="CREATING", values=enums.WALLET_STATUSES)  #: Its status.
    owner_address = Text(null=True)  #: The address of the human who controls the funds; NULL: not set.
    owner_verified = Flag(default=False, values=(0, 1))  #: Whether the owner has signed with that address.
    created_at = UTCDateTime()  #: When it was created.
    updated_at = UTCDateTime()  #: When it last changed.
    suspended_at = UTCDateTime(null=True)  #: When it was suspended; NULL: not suspended.
    suspension_reason = Text(null=True)  #: Why it was suspended.
    #: How the owner is asked for approval; NULL: not chosen.
    owner_approval_method = Text(null=True, values=enums.APPROVAL_METHODS)

    class Meta:
        table_name = "wallets"

    @property
    def owner_state(self) -> str:
        """The owner's state: ``NONE`` without an address, ``GRACE`` with one, ``LOCKED`` once verified."""
        return enums.owner_state_of(self.owner_address, self.owner_verified)


@_index("idx_sessions_expires_at", "expires_at")
@_index("idx_sessions_token_hash", "token_hash")
class Session(BaseModel):
    """An agent's session; `token_hash` is the SHA-256 (hex) of its token, which is not stored."""

    id = _key()  #: UUID.
    #: SHA-256 (hex) of the current token, including `wai_sess_`; the token itself is not stored.
    token_hash = Text()
    expires_at = UTCDateTime()  #: When the current token expires.
    constraints = JSONText(null=True)  #: The session's limits; NULL: none.
    usage_stats = JSONText(null=True)  #: The daemon's counters for the constraints.
    revoked_at = UTCDateTime(null=True)  #: When it was revoked; NULL: not revoked.
    renewal_count = Integer(default=0)  #: The number of renewals.
    max_renewals = Integer(default=30)  #: The maximum number of renewals.
    last_renewed_at = UTCDateTime(null=True)  #: When it was last renewed; NULL: never.
    absolute_expires_at = UTCDateTime()  #: When it expires, even with renewals left.
    created_at = UTCDateTime()  #: When it was created.
    source = Text(default="api")  #: What created it, such as `api`.

    class Meta:
        table_name = "sessions"


@_index("idx_session_wallets_session", "session_id")
@_index("idx_session_wallets_wallet", "wallet_id")
class SessionWallet(BaseModel):
    """A link: the session may use the wallet; one link of each session is its default."""

    session = _reference(Session, "session_id", "CASCADE", backref="links")  #: The session.
    wallet = _reference(Wallet, "wallet_id", "CASCADE", backref="links")  #: A wallet that the session may use.
    #: 1 for the default wallet, used by requests that name none; one link per session.
    is_default = Flag(default=False)
    created_at = UTCDateTime()  #: When the wallet was linked.

    class Meta:
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

    id = _key()  #: UUID.
    wallet = _reference(Wallet, "wallet_id", "RESTRICT", backref="transactions")  #: The wallet that pays.
    #: The session that requested it; NULL: none, or a deleted one.
    session = _reference(Session, "session_id", "SET NULL", null=True, backref="transactions")
    chain = Text()  #: The chain, as the daemon wrote it.
    tx_hash = Text(null=True)  #: Its hash on the chain; NULL: not submitted.
    type = Text(values=enums.TRANSACTION_TYPES)  #: Its type.
    amount = Text(null=True)  #: The amount, as a decimal string.
    to_address = Text(null=True)  #: The recipient's address.
    token_mint = Text(null=True)  #: The token's address; NULL: the chain's native coin.
    contract_address = Text(null=True)  #: The contract that is called.
    method_signature = Text(null=True)  #: The contract's method that is called.
    spender_address = Text(null=True)  #: The spender of a token approval.
    approved_amount = Text(null=True)  #: The approved amount, as a decimal string.
    #: The batch of this entry.
    parent = _reference("self", "parent_id", "CASCADE", null=True, backref="entries")
    batch_index = Integer(null=True)  #: The entry's index in the batch, from 0.
    status = Text(default="PENDING", values=enums.TRANSACTION_STATUSES)  #: Its status.
    tier = Text(null=True, values=enums.POLICY_TIERS)  #: The decision of the policies; NULL: not yet decided.
    queued_at = UTCDateTime(null=True)  #: When it was queued.
    executed_at = UTCDateTime(null=True)  #: When it was executed.
    created_at = UTCDateTime()  #: When it was requested.
    #: The part of the spending limit reserved until it is finished, as a decimal string.
    reserved_amount = Text(null=True)
    amount_usd = DoubleField(null=True)  #: The amount in US dollars.
    reserved_amount_usd = DoubleField(null=True)  #: The reserved amount in US dollars.
    error = Text(null=True)  #: The error message.
    metadata = JSONText(null=True)  #: Additional data of the daemon.
    #: The network; NULL: unknown.
    network = Text(null=True, values=enums.NETWORK_TYPES)

    class Meta:
        table_name = "transactions"


@_index("idx_policies_network", "network")
@_index("idx_policies_type", "type")
@_index("idx_policies_wallet_enabled", "wallet_id", "enabled")
class Policy(BaseModel):
    """A rule on what a wallet may do, or on what every wallet may do (`wallet` is NULL)."""

    id = _key()  #: UUID.
    #: The wallet that it applies to; NULL: every wallet.
    wallet = _reference(Wallet, "wallet_id", "CASCADE", null=True, backref="policies")
    type = Text(values=enums.POLICY_TYPES)  #: The type of the rule.
    rules = JSONText()  #: The rule's parameters, by type.
    priority = Integer(default=0)  #: Its rank among the policies.
    enabled = Flag(default=True)  #: 0: disabled.
    network = Text(null=True, values=enums.NETWORK_TYPES)  #: The network that it applies to; NULL: every network.
    created_at = UTCDateTime()  #: When it was created.
    updated_at = UTCDateTime()  #: When it last changed.

    class Meta:
        table_name = "policies"


@_index("idx_pending_approvals_expires_at", "expires_at")
@_index("idx_pending_approvals_tx_id", "tx_id")
class PendingApproval(BaseModel):
    """A transaction that waits for its owner's approval."""

    id = _key()  #: UUID.
    transaction = _reference(Transaction, "tx_id", "CASCADE", backref="approvals")  #: The transaction that waits.
    required_by = UTCDateTime()  #: When the owner should have answered.
    expires_at = UTCDateTime()  #: When it expires.
    approved_at = UTCDateTime(null=True)  #: When the owner approved; NULL: not yet.
    rejected_at = UTCDateTime(null=True)  #: When the owner rejected; NULL: not yet.
    owner_signature = Text(null=True)  #: The owner's signature.
    approval_channel = Text(null=True, default="rest_api")  #: How the owner is asked.
    created_at = UTCDateTime()  #: When it was requested.

    class Meta:
        table_name = "pending_approvals"


@_index("idx_audit_log_event_type", "event_type")
@_index("idx_audit_log_severity", "severity")
@_index("idx_audit_log_timestamp", "timestamp")
@_index("idx_audit_log_wallet_id", "wallet_id")
@_index("idx_audit_log_wallet_timestamp", "wallet_id", "timestamp")
class AuditLog(BaseModel):
    """A permanent record of events: it contains ids of wallets, sessions and transactions without foreign keys."""

    id = AutoIncrement()  #: A number that is never reused.
    timestamp = UTCDateTime()  #: When it happened.
    event_type = Text()  #: The event; the daemon's events are in :data:`waiaas.vocabularies.AUDIT_ACTIONS`.
    actor = Text()  #: Who did it.
    wallet_id = Text(null=True)  #: The wallet's id, kept after the wallet is deleted.
    session_id = Text(null=True)  #: The session's id, kept after the session is deleted.
    tx_id = Text(null=True)  #: The transaction's id, kept after the transaction is deleted.
    details = JSONText()  #: The details of the event.
    severity = Text(default="info", values=enums.AUDIT_SEVERITIES)  #: The severity.
    ip_address = Text(null=True)  #: The IP address of the request.

    class Meta:
        table_name = "audit_log"


class KeyValue(BaseModel):
    """A value stored by the daemon, such as the token key or the kill switch's state."""

    key = _key()  #: Its name, such as `jwt_secret_current` or `kill_switch_state`.
    value = Text()  #: The value, as the daemon writes it.
    updated_at = UTCDateTime()  #: When it last changed.

    class Meta:
        table_name = "key_value_store"


@_index("idx_notification_logs_created_at", "created_at")
@_index("idx_notification_logs_event_type", "event_type")
@_index("idx_notification_logs_status", "status")
@_index("idx_notification_logs_wallet_id", "wallet_id")
class NotificationLog(BaseModel):
    """A notification that was sent, or failed."""

    id = _key()  #: UUID.
    event_type = Text()  #: The event; see :data:`waiaas.vocabularies.NOTIFICATION_EVENT_TYPES`.
    wallet_id = Text(null=True)  #: The wallet's id, kept after the wallet is deleted.
    channel = Text()  #: The channel.
    status = Text(values=enums.NOTIFICATION_LOG_STATUSES)  #: Whether it was sent.
    error = Text(null=True)  #: Why it failed.
    message = Text(null=True)  #: The text; NULL in rows from before version 10.
    created_at = UTCDateTime()  #: When it was sent, or failed.

    class Meta:
        table_name = "notification_logs"


@_index("idx_token_registry_network", "network")
@_index("idx_token_registry_network_address", "network", "address", unique=True)
class Token(BaseModel):
    """A token (coin) that the service knows on a network."""

    id = _key()  #: UUID.
    network = Text()  #: Its network.
    address = Text()  #: Its address there, unique per network.
    symbol = Text()  #: Its short name, such as USDC.
    name = Text()  #: Its name.
    decimals = Integer()  #: The number of decimal places of its amounts.
    source = Text(default="custom", values=enums.TOKEN_SOURCES)  #: Whether it is built in or was added by a user.
    created_at = UTCDateTime()  #: When it was added.

    class Meta:
        table_name = "token_registry"


@_index("idx_settings_category", "category")
class Setting(BaseModel):
    """A setting that overrides the daemon's configuration file."""

    key = _key()  #: Its name.
    value = Text()  #: Its value; ciphertext if `encrypted` is 1.
    encrypted = Flag(default=False, values=(0, 1))  #: Whether the value is encrypted.
    category = Text()  #: Its group.
    updated_at = UTCDateTime()  #: When it last changed.

    class Meta:
        table_name = "settings"


class ApiKey(BaseModel):
    """An encrypted key for the API of an action provider."""

    provider_name = _key()  #: The action provider.
    encrypted_key = Text()  #: The key as ciphertext.
    created_at = UTCDateTime()  #: When it was added.
    updated_at = UTCDateTime()  #: When it last changed.

    class Meta:
        table_name = "api_keys"


@_index("idx_telegram_users_role", "role")
class TelegramUser(BaseModel):
    """A user of the service's Telegram bot, and their role."""

    chat_id = Integer(primary_key=True, null=True)  #: The id of the Telegram chat.
    username = Text(null=True)  #: Their name on Telegram.
    role = Text(default="PENDING", values=enums.TELEGRAM_ROLES)  #: Their role.
    registered_at = UTCDateTime()  #: When they first wrote.
    approved_at = UTCDateTime(null=True)  #: When they were approved; NULL: not yet.

    class Meta:
        table_name = "telegram_users"


@_index("idx_wc_sessions_topic", "topic")
class WalletConnectSession(BaseModel):
    """The WalletConnect session of a wallet's owner."""

    #: The wallet of the owner; one session per wallet.
    wallet = _reference(Wallet, "wallet_id", "CASCADE", primary_key=True, null=True, backref="walletconnect")
    topic = Text(constraints=[SQL("UNIQUE")])  #: WalletConnect's id of the session.
    peer_meta = JSONText(null=True)  #: What the owner's wallet app reports about itself.
    chain_id = Text()  #: The chain, as WalletConnect names it.
    owner_address = Text()  #: The address that the owner connected with.
    namespaces = JSONText(null=True)  #: What the owner's wallet app allows.
    expiry = UTCDateTime()  #: When it expires.
    created_at = UTCDateTime()  #: When it was created.

    class Meta:
        table_name = "wc_sessions"


class WalletConnectStore(BaseModel):
    """The storage of the WalletConnect library, in its own format."""

    key = _key()  #: WalletConnect's key.
    value = Text()  #: The value.

    class Meta:
        table_name = "wc_store"


class SchemaVersion(BaseModel):
    """A schema version that was applied to the file."""

    version = Integer(primary_key=True, null=True)  #: The version.
    applied_at = UTCDateTime()  #: When it was applied.
    description = Text()  #: Its description.

    class Meta:
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
