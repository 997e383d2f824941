"""The English texts.

An entry is ``NAME: message``, and after ``>`` the hint: what to do next. Long lines continue with four spaces.
A blank line between entries has no meaning.
"""

from typing import Final

#: Error codes.
CODES: Final = """\
INVALID_TOKEN: The session token is not valid.
  > Send the token that creating or last renewing the session returned. If it is lost, create a new session.
TOKEN_EXPIRED: The session token has expired.
  > Create a new session, and renew its token before it expires.
SESSION_REVOKED: The session has been revoked.
  > Create a new session: a revoked one cannot be used again.
INVALID_SIGNATURE: The signature could not be verified.
  > Sign the exact message that was given, with the key of the named address, and send the request again.
INVALID_NONCE: The nonce is unknown, already used or expired.
  > Ask for a new nonce and sign that one: each can be used once.
INVALID_MASTER_PASSWORD: The master password is wrong.
  > Enter the right master password. Too many wrong attempts lock it.
MASTER_PASSWORD_LOCKED: The master password is locked after too many wrong attempts.
  > Wait until the lock ends, then enter the right master password.
SYSTEM_LOCKED: The system is locked and does not accept requests.
  > Ask the administrator to unlock the system, then send the request again.

SESSION_NOT_FOUND: There is no such session.
  > Check the session's id, or create a new session.
SESSION_EXPIRED: The session has expired.
  > Create a new session.
SESSION_LIMIT_EXCEEDED: The wallet has reached its limit of active sessions.
  > Revoke a session of this wallet that is no longer needed, or raise the limit of sessions per wallet.
CONSTRAINT_VIOLATED: The request violates a constraint of the session.
  > Stay within the session's constraints, or create a session with wider ones.
RENEWAL_LIMIT_REACHED: The session has reached its limit of renewals.
  > Create a new session before this one expires.
SESSION_ABSOLUTE_LIFETIME_EXCEEDED: The absolute lifetime of the session has ended.
  > Create a new session: this one can no longer be renewed.
RENEWAL_TOO_EARLY: The session can be renewed only after half of its time to live.
  > Keep using the current token, and renew it after half of its time to live has passed.
SESSION_RENEWAL_MISMATCH: The token to renew is not the session's current one.
  > Renew with the newest token. If another process renewed the session, take the token from there.
WALLET_ACCESS_DENIED: The wallet is not linked to this session.
  > Name a wallet that is linked to the session, or link this one first.
WALLET_ALREADY_LINKED: The wallet is already linked to this session.
  > Nothing needs to be done: the session can use the wallet.
CANNOT_REMOVE_DEFAULT_WALLET: The session's default wallet cannot be unlinked.
  > Make another linked wallet the default first, then unlink this one.
SESSION_REQUIRES_WALLET: A session must keep at least one wallet.
  > Link another wallet first, or revoke the session.

PIPELINE_HALTED: The transaction is on hold until its delay ends or the owner approves it.
  > Do not send it again: it goes on when the delay ends or the owner approves.
TX_ALREADY_PROCESSED: The transaction has already been processed.
  > Do not send it again: check the status of the transaction.
INSUFFICIENT_BALANCE: The wallet's balance does not cover the transaction.
  > Fund the wallet, or send less.
INVALID_ADDRESS: The address is not valid on this chain.
  > Check the address, and that it belongs to the wallet's chain.
INSUFFICIENT_TOKEN_BALANCE: The wallet does not hold enough of the token.
  > Fund the wallet with the token, or send less of it.
BATCH_NOT_SUPPORTED: This chain does not support batch transactions.
  > Send the instructions one by one.
BATCH_SIZE_EXCEEDED: The batch has too many instructions.
  > Split it into smaller batches.
ENVIRONMENT_NETWORK_MISMATCH: The network does not belong to the wallet's environment.
  > Name a network of the wallet's environment (testnet or mainnet), or use a wallet of the other one.
INVALID_TRANSACTION: The transaction is malformed.
  > Build the transaction again for the wallet's chain, and check its encoding.
WALLET_NOT_SIGNER: The wallet is not a signer of the transaction.
  > Build the transaction so that this wallet signs it, or use the wallet that does.
UNSUPPORTED_TX_TYPE: This type of transaction is not supported.
  > Use a type of transaction that the wallet's chain supports.
CHAIN_ID_MISMATCH: The chain ID of the transaction does not match the network.
  > Build the transaction with the network's chain ID, or name the network for which it was built.
ABI_ENCODING_FAILED: The contract call could not be ABI-encoded.
  > Check the ABI, the function's name, and the number and types of its arguments.
INSUFFICIENT_FOR_FEE: The wallet's balance does not cover the network fee.
  > Fund the wallet with the chain's own coin for the fee.
TX_NOT_FOUND: There is no such transaction.
  > Check the transaction's id.
TOKEN_NOT_FOUND: There is no such token on this network.
  > Check the token's address and network, or add the token to the registry.
TX_EXPIRED: The transaction has expired.
  > If you still need it, send it as a new transaction.
CHAIN_ERROR: The blockchain node answered with an error.
  > Check whether the transaction reached the chain before you try again.
SIMULATION_FAILED: The transaction failed in simulation and was not sent.
  > Find out why it would fail on chain (balance, arguments, state of the contract) before you send it again.
TOKEN_NOT_ALLOWED: The wallet's policies do not allow this token.
  > Use an allowed token, or ask the administrator to add this one to the policy ALLOWED_TOKENS.
CONTRACT_CALL_DISABLED: Contract calls are not enabled for this wallet.
  > Ask the administrator to allow the contract in a policy CONTRACT_WHITELIST.
CONTRACT_NOT_WHITELISTED: The contract is not on the whitelist.
  > Check the contract's address, or ask the administrator to add it to the policy CONTRACT_WHITELIST.
METHOD_NOT_WHITELISTED: The contract method is not on the whitelist.
  > Check the method, or ask the administrator to add it to the policy METHOD_WHITELIST.
APPROVE_DISABLED: Token approvals are not enabled for this wallet.
  > Ask the administrator to allow the spender in a policy APPROVED_SPENDERS.
SPENDER_NOT_APPROVED: The spender is not one of the approved spenders.
  > Check the spender's address, or ask the administrator to add it to the policy APPROVED_SPENDERS.
APPROVE_AMOUNT_EXCEEDED: The token approval is for more than the limit allows.
  > Approve a smaller amount, or ask the administrator to raise the policy APPROVE_AMOUNT_LIMIT.
UNLIMITED_APPROVE_BLOCKED: Token approvals without a limit are blocked.
  > Approve the exact amount that is needed.
BATCH_POLICY_VIOLATION: An instruction of the batch violates a policy.
  > Take that instruction out of the batch, or ask the administrator to change the policy.

POLICY_NOT_FOUND: There is no such policy.
  > Check the policy's id.
POLICY_DENIED: A policy denied the request.
  > Send a request that the wallet's policies allow, or ask the administrator to change them.
SPENDING_LIMIT_EXCEEDED: The amount is above the spending limit.
  > Send less, wait until the limit's period is over, or ask the administrator to raise the limit.
WHITELIST_DENIED: The recipient's address is not on the whitelist.
  > Check the recipient's address, or ask the administrator to add it to the policy WHITELIST.
RATE_LIMIT_EXCEEDED: Too many requests.
  > Wait a moment and try again.

OWNER_ALREADY_CONNECTED: An owner is already connected.
  > To connect another owner, disconnect the current one first.
OWNER_NOT_CONNECTED: No owner is connected.
  > Ask the owner to connect, then try again.
OWNER_NOT_FOUND: There is no such owner.
  > Check the owner's address and the wallet.
APPROVAL_NOT_FOUND: There is no such approval request.
  > Check the id of the approval request and the status of its transaction.
APPROVAL_TIMEOUT: The owner did not approve in time.
  > If you still need it, send the transaction again and ask the owner to approve in time.
OWNER_NOT_SET: No owner address is set for the wallet.
  > Set the wallet's owner address first.
OWNER_ADDRESS_MISMATCH: The address is not the owner's.
  > Use the address that is set as the wallet's owner.

KILL_SWITCH_ACTIVE: The kill switch is on, so the request was refused.
  > Do not send requests until the administrator has switched it off.
KILL_SWITCH_NOT_ACTIVE: The kill switch is not on.
  > Nothing needs to be done: the system accepts requests.
KILL_SWITCH_ALREADY_ACTIVE: The kill switch is already on.
  > Nothing needs to be done: the system refuses requests already.
INVALID_STATE_TRANSITION: The current state does not allow this change.
  > Check the current state first: it allows only some changes.
KEYSTORE_LOCKED: The keystore is locked.
  > Unlock the keystore with the master password, then try again.
SHUTTING_DOWN: The service is shutting down and does not accept new requests.
  > Send the request again once the service has been started.
ADAPTER_NOT_AVAILABLE: The adapter of this chain is not available at the moment.
  > Try again later. If that does not help, check the chain's settings and its node.
SCHEMA_INCOMPATIBLE: The schema of the database is not compatible with this version.
  > Inform the operator of the service.
WC_NOT_CONFIGURED: WalletConnect is not configured.
  > Ask the administrator to configure WalletConnect, or use another approval method.
CHAIN_NOT_SUPPORTED: This chain is not supported.
  > Name a supported chain: solana or ethereum.
SKILL_NOT_FOUND: There is no such skill.
  > Check the skill's name.
WC_SIGNING_FAILED: Signing over WalletConnect failed.
  > Make sure that the owner's wallet app is open and connected, then try again.

WALLET_NOT_FOUND: There is no such wallet.
  > Check the wallet's id.
WC_SESSION_NOT_FOUND: The wallet has no WalletConnect session.
  > Ask the wallet's owner to connect over WalletConnect first.
WALLET_SUSPENDED: The wallet is suspended.
  > Ask the administrator to resume the wallet, or use another one.
WC_SESSION_EXISTS: The wallet already has a WalletConnect session.
  > Use the existing WalletConnect session, or disconnect it first.
WALLET_TERMINATED: The wallet has been terminated.
  > Use another wallet: a terminated wallet cannot be used again.

NO_OWNER: The wallet has no owner to withdraw to.
  > Set the wallet's owner address first.
WITHDRAW_LOCKED_ONLY: Only a wallet whose owner state is LOCKED can be withdrawn from.
  > Ask the owner to verify the owner address first: this sets the owner state to LOCKED.
SWEEP_TOTAL_FAILURE: Every transfer of the withdrawal failed.
  > Check the balance for the fees and the chain's node, then try again.

ACTION_NOT_FOUND: There is no such action.
  > Check the names of the provider and of the action.
API_KEY_REQUIRED: The action needs an API key, which is not set.
  > Ask the administrator to set the API key of the action's provider.
ACTION_VALIDATION_FAILED: The input is not valid.
  > Correct the fields named in the details, and send the request again.
ACTION_CHAIN_MISMATCH: The action does not work on the wallet's chain.
  > Use a wallet on a chain that the action works on.
ACTION_RESOLVE_FAILED: The action could not be turned into a transaction.
  > Try again later. If that does not help, check the action's parameters and its provider.
ACTION_RETURN_INVALID: The action returned an invalid result.
  > Report this to the author of the action's plugin.
ACTION_PLUGIN_LOAD_FAILED: The action plugin could not be loaded.
  > Look for the cause in the service's log, then fix or remove the plugin.
ACTION_NAME_CONFLICT: An action of this name is already registered.
  > Rename one of the two actions, or remove one of their plugins.

ROTATION_TOO_RECENT: The key was created less than 5 minutes ago.
  > Rotate it 5 minutes after it was created.

X402_DISABLED: x402 payments are disabled.
  > Ask the administrator to enable x402 payments.
X402_DOMAIN_NOT_ALLOWED: The wallet's policies do not allow x402 payments to this domain.
  > Check the domain, or ask the administrator to add it to the policy X402_ALLOWED_DOMAINS.
X402_SSRF_BLOCKED: The URL leads to an internal address and was blocked.
  > Use a public URL.
X402_APPROVAL_REQUIRED: The x402 payment needs the owner's approval.
  > Ask the owner to approve the payment, or pay an amount that needs no approval.
X402_UNSUPPORTED_SCHEME: The server asks for an x402 payment scheme that is not supported.
  > Pay in another way: this scheme cannot be paid from here.
X402_PAYMENT_REJECTED: The server rejected the x402 payment.
  > Read the server's answer before you pay again.
X402_DELAY_TIMEOUT: The delay of the x402 payment did not end while the request waited.
  > Try again later, or pay an amount that the policies allow without a delay.
X402_SERVER_ERROR: The server of the x402 payment answered with an error.
  > Try again later. If that does not help, ask the server's operator.

WALLET_NOT_REGISTERED: The wallet app is not registered for signing.
  > Register the wallet app for signing first.
SIGN_REQUEST_NOT_FOUND: There is no such sign request.
  > Check the id of the sign request.
SIGNING_SDK_DISABLED: The signing SDK is disabled.
  > Ask the administrator to enable the signing SDK, or use another approval method.
SIGNER_ADDRESS_MISMATCH: The sign request was not signed by the owner's address.
  > Sign with the wallet's owner address.
SIGN_REQUEST_EXPIRED: The sign request has expired.
  > If the signature is still needed, request it again.
INVALID_SIGN_RESPONSE: The response to the sign request is malformed.
  > Send the response again in the format of the signing SDK.
SIGN_REQUEST_ALREADY_PROCESSED: The sign request has already been processed.
  > Nothing needs to be done: check the status of its transaction.

DATABASE_BUSY: The database is busy.
  > Send the request again in a moment.
DATABASE_UNAVAILABLE: The database cannot be used at the moment.
  > Inform the operator of the service.
"""

#: Why a database was refused. Placeholders are filled from the details of the error.
REASONS: Final = """\
file_not_found: There is no file {path}.
  > Check the spelling of the path. `waiaas init PATH` is only for a new database.
not_a_file: {path} is a folder or a device, not a file.
  > Use the path of the database file itself.
file_exists: {path} already exists and is not empty.
  > Choose another path, or use the existing file: `waiaas status` shows its schema version.
not_a_database: {path} is not an SQLite database, or it is encrypted.
  > Check the path. If this was a database, restore it from a backup.
other_program: {path} is a database of another program: the WAIaaS tables {tables} are missing.
  > Check the path. It must be the database file of WAIaaS.
schema_version_missing: {path} has WAIaaS tables but no table schema_version, so its version is unknown.
  > Restore the database from a backup.
schema_version_empty: The table schema_version of {path} has no usable row, so its version is unknown.
  > Restore the database from a backup.
code_too_old: code too old: {path} is at schema version {version}, but this release of waiaas supports versions up to
    {latest}.
  > Install a newer release of waiaas.
empty_database: {path} has no tables yet, so there is nothing to upgrade.
  > Create the tables with connect() or `waiaas init`.
not_a_path: This is a URL or a connection string, but the path of a database file is needed.
  > Use the path of an SQLite file. Pass a PostgreSQL database to the services as a Peewee `PostgresqlDatabase`.
not_sqlite: A {backend} is not a database that this library works with.
  > Use the path of a SQLite file, the URL of a PostgreSQL database, or what connect() returns.
needs_file: {path} is not a file, and this works on SQLite files only.
  > Use the tools of PostgreSQL for a database on a server, such as pg_dump and pg_restore.
upgrade_pending: {path} is at schema version {version}: it must be upgraded before it can be used.
  > Upgrade it with connect() or `waiaas upgrade`. `waiaas plan` shows what an upgrade would do.

database_closed: {path} was closed by this program.
  > Open it again with connect(), and close it only after the last use.
inside_transaction: A transaction is open on this connection, but this change needs a transaction of its own.
  > Commit it or roll it back, then try again.
connection_settings: This connection cannot change tables safely: {problem}.
  > Change the setting, or open the database again without it, then try again.
unfinished_query: A query of this connection still has unread rows, so no table can be changed.
  > Read all rows of the query or close its cursor, then try again.
hidden_table: This connection to {path} has a temporary table or view named {table}, which hides the table of the
    database. Nothing was changed.
  > Give the temporary table another name, or use another connection for it.
change_undone: A trigger undid a change to the table {table} of {path}. Nothing was changed.
  > Run `waiaas check FILE`, which names the triggers of the file, and drop the one that does this. A temporary
    trigger belongs to the connection of the program.
database_busy: {path} is still locked by another connection after {seconds} s.
  > Stop the daemon or the other program that uses the file, then try again.
read_only: {path} cannot be written: the file or its folder is read-only.
  > Give write permission to the file and to its folder, because SQLite writes its journal next to the file.
cannot_open: SQLite cannot open {path}: {cause}.
  > Check the path, and the permissions of the file and of its folder.
log_unreadable: {path} has a write-ahead log that cannot be read: SQLite must write the log's index next to it, and
    the folder is read-only.
  > Give write permission to the folder, or copy the file and its log (the file `-wal` next to it) to a folder that
    you can write, and open the copy.
log_without_database: {path} is missing or empty, but {sidecar} is not: SQLite would delete {sidecar} and what it
    contains.
  > Put the database file that belongs to {sidecar} back, or move {sidecar} to another folder.
sidecar_not_a_file: {sidecar} is not a regular file with one name. SQLite would read it as part of {path}.
  > Find out who created {sidecar}, and remove it. The folder of a database must belong to you.
sidecar_of_another_user: {sidecar} belongs to another user (user id {owner}), who cannot write {path}. SQLite would
    read it as part of {path}.
  > Find out who created {sidecar}, and move it away. The folder of a database must belong to you. If that user needs
    the database, let a common group write {path}.
file_replaced: {path} is no longer the file that was opened: it was renamed, deleted or replaced.
  > Put the file back, or restart the program so that it opens the file that is there now.
file_in_use: Another program has {path} open: {programs}.
  > Restart it if it is an older daemon: it cannot work with the new tables.
disk_full: {path} cannot be written: the disk is full, or a quota or a file-size limit was reached.
  > Free some space, then try again.
io_error: The operating system reported an I/O error on {path}: {cause}.
  > Check the disk and its connection, then try again.
no_room_for_temporary_files: There is no space left for {path} or for SQLite's temporary files in {folder}: {cause}.
  > Free some space in both folders, or set `SQLITE_TMPDIR` to another folder, then try again.
clock_unusable: The clock returned {time} (Unix seconds), which is not in the years 1970 to 9999.
  > Set the clock, then try again.
too_many_files: {path} cannot be opened: this process or this system has too many open files.
  > Raise the limit (`ulimit -n`), or close files, then try again.
out_of_memory: There is not enough memory to work with {path}.
  > Free some memory or raise the limit (`ulimit -v`), then try again.
sqlite_error: SQLite cannot work with {path}: {cause}.
  > Run `waiaas status`: a file of an older version must be upgraded first. Otherwise run `waiaas check`, and report
    its output together with this message.
corrupt: The database file {path} is damaged: {cause}.
  > Run `waiaas check FILE`, which reads every page. If it confirms the damage, restore the file from a backup, or
    recover what can be read with `sqlite3 FILE .recover`.
unreadable_value: A value in {path} cannot be read: {cause}.
  > Run `waiaas check FILE`, which lists the rows with such values. Then correct the value, or restore it from a
    backup.
backup_failed: The backup of {path} could not be written or verified: {cause}. Nothing was changed.
  > Free some space and check the permissions of the folder, or run with `--no-backup` (`backup=False`) if you have
    your own backup.
file_open: Another program has {path} open: {programs}. Nothing was changed.
  > Stop it, then try again.
restore_failed: {path} could not be restored from {backup}: {cause}. Nothing was changed.
  > Free some space, check the permissions of the folder, then try again.
token_key_unusable: The token key {key} in the table key_value_store does not have the format of WAIaaS, so no token
    can be signed or verified.
  > Restore the row from a backup. If you delete it, a new key is created and every token becomes invalid.
no_room_to_rehearse: A rehearsal on a copy of {path} needs {needed} bytes on its file system, but only {free} are
    free.
  > Free some space, or copy the file to a larger disk and rehearse there. An upgrade needs the same space for its
    backup.
copy_failed: {path} could not be copied for the rehearsal: {cause}. The file itself is unchanged.
  > Free some space and check the permissions of the folder, or copy the file and its log (the file `-wal` next to it,
    if there is one) to a folder that you can write, and rehearse there.
copy_left: The copy of {path} for the rehearsal could not be removed from {folder}: {cause}. The file itself is
    unchanged.
  > Remove the folder: the copy contains the key that signs session tokens.

invalid_url: This is not a PostgreSQL URL that can be read.
  > Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and percent-encode what is special in a password.
driver_missing: PostgreSQL needs the package psycopg 3, which is not installed.
  > Install it with `pip install 'waiaas[postgresql]'`.
server_unavailable: The server of {path} cannot be reached: {cause}.
  > Check host, port and network, and whether the server runs. Then try again.
connection_lost: The connection to {path} ended: {cause}. The change was not made.
  > Try again. If it happens often, look in the log of the server.
commit_unknown: The connection to {path} ended during COMMIT: the change may be in the database or not.
  > Read what the change was about before you repeat it.
transaction_conflict: Another transaction on {path} changed the same rows: {cause}. The change was not made.
  > Run the whole transaction again.
pool_exhausted: All {size} connections of the pool to {path} were in use for {seconds} s.
  > Try again, or make the pool larger.
too_many_connections: The server of {path} has no connection left: {cause}.
  > Use a smaller pool or a connection pooler, or raise `max_connections` of the server.
access_denied: The server of {path} refused the login: {cause}.
  > Check user and password, and the file pg_hba.conf of the server.
database_not_found: The server has no database {path}.
  > Check the name, or create the database with `createdb`.
insufficient_privilege: The user of {path} may not do this: {cause}.
  > Grant the user what the documentation of PostgreSQL databases lists.
server_read_only: The server of {path} is read-only: it is a standby, or its administrator has set it so.
  > Name the primary, or several hosts with `target_session_attrs=read-write` in the URL.
statement_canceled: The server of {path} cancelled a statement: {cause}. The change was not made.
  > Try again, or raise `statement_timeout` of the server.
unsuitable_database: The database {path} cannot be used: {problem}.
  > Create a database for WAIaaS with `createdb --encoding=UTF8 --template=template0`.
server_error: PostgreSQL cannot work with {path}: {cause}.
  > Run `waiaas check URL` and report its findings together with this message.

move_refused: {path} has {count} values that PostgreSQL cannot store: {values}. Nothing was written.
  > Correct these values in a copy of the file; `waiaas check FILE` lists most of them. Then move the copy.
target_not_empty: {path} already has the tables of WAIaaS. Nothing was written.
  > Create an empty database with `createdb` and name that.
source_changed: Another program wrote to {path} during the move. The target was not changed.
  > Stop the service and every other program that uses the database, then move it again.
copy_differs: {path}: the copied table {table} differs from its source ({before} and {after} rows). Nothing was kept.
  > Try again. If this happens again, check memory and disks of both machines, and report it.

unexpected_schema: The table {table} does not match this schema version: {problem}.
  > Restore the database from a backup, or report this.
strange_schema: The schema of {path} has a row that SQLite does not write: {problem}. Nothing was changed.
  > Restore the database from a backup, or copy its contents into a new file with `sqlite3 FILE .dump`.
leftover_table: The table {table} must be created, but it exists already, and it is not empty or has other columns
    (rows: {rows}).
  > Check the table, move the rows that you need, drop or rename it, and try again.
dependent_object: The {kind} {name} depends on {table}.{column}, which would be dropped or changed.
  > Drop or change the {kind}, try again, and create it again without the column.
dependent_on_table: The {kind} {name} depends on the table {table}, which would be dropped.
  > Drop or change the {kind}, then try again.
name_taken: The {kind} {name} would refer to the new {table}.{column}, where it now means something else. Nothing was
    changed.
  > In the {kind}, write texts in single quotes and columns with their table (t.column), then try again.
value_not_allowed: The table {table} has values in {column} that the new schema version does not allow: {values}
    (rows: {rows}; total: {count}). Nothing was changed.
  > Correct these rows, then try again.
foreign_key_elsewhere: The foreign key of {table}.{column} refers to the table {parent} instead of {expected}.
  > Restore the database from a backup, or fix the foreign key, and try again.
orphan_sessions: Some sessions refer to a wallet that does not exist (total: {count}): {sessions}.
  > Restore the wallets, or try again with `--skip-orphans` (`skip_orphans=True`) to leave these sessions without a
    wallet.
links_lost: A downgrade to schema version 18 would lose links: some sessions are linked to more than one wallet
    (total: {count}): {sessions}.
  > Unlink the other wallets, or try again with `--drop-links` (`drop_links=True`) to keep the link of the default
    wallet only.
cannot_downgrade: The database cannot be downgraded from schema version {version} to {target}.
  > Only version 19 can be downgraded, to 18. For another version, restore a backup of it.

rebuild_refused: Rebuilding the table {table} would lose something: {problem}. Nothing was changed.
  > Remove or change it, try again, and restore it afterwards.
alter_refused: SQLite refuses to change the table {table}: {cause}. Nothing was changed.
  > Correct this, then try again.
name_exists: There is already a {kind} {name}. Nothing was changed.
  > Choose another name, or rename or drop the existing one.
foreign_key_violations: The change would leave new foreign-key violations in the table {table} (total: {count}), so it
    was rolled back.
  > Run `waiaas check` and report its output.
rows_lost: The table {table} does not have the expected rows (before: {before}, after: {after}), so the change was
    rolled back.
  > The file is unchanged. Report this.
migration_failed: The migration to schema version {version} failed: {cause}. Nothing was changed.
  > Run `waiaas check` and report its output together with this message.

not_synced: {path} was changed and the change is committed, but the operating system could not write it to disk:
    {cause}. A power cut now may undo the change.
  > Check the disk. Then run `waiaas status FILE`: it shows the version of the file.
log_not_written_back: {path} was changed and the change is committed, but its write-ahead log could not be written
    back into the file: {cause}.
  > Keep the file and its log (the file `-wal` next to it) together. The next program that opens the file writes the
    log back.
journal_mode_kept: {path} was changed and the change is committed, but it could not be switched to write-ahead-log
    mode: {cause}.
  > Nothing needs to be done: the next `waiaas.connect` switches the file.
settings_not_restored: {path} was changed and the change is committed, but settings of this connection could not be
    restored: {settings} ({cause}).
  > Close the connection and open a new one.
rights_returned: {path} was restored, and rights that were removed after the backup was made are back: sessions:
    {sessions}; links: {links}; wallets: {wallets}; settings: {settings}.
  > Remove them again before a service uses the file: `waiaas sessions revoke`, `waiaas links remove`, `waiaas wallets
    suspend`, `waiaas tokens rotate`, `waiaas kill-switch activate`.
rights_not_compared: {path} was restored. There was no readable file to compare it with, so rights that were removed
    after the backup was made may be back.
  > Before a service uses the file, look at `waiaas sessions list FILE --status ACTIVE` and `waiaas wallets list FILE`,
    and remove what must not work.
"""

_AS_NEW: Final = "as in a new database: `waiaas init NEW` creates one, and `sqlite3 NEW .schema` shows it."
_REBUILD: Final = f"Restore the database from a backup, or rebuild the table {_AS_NEW}"

#: What `check` finds. Placeholders of the message are filled from the finding; the hint has none.
FINDINGS: Final = """\
damage: {cause}
  > Restore the database from a backup, or recover what can be read with `sqlite3 FILE .recover`. If a CHECK or a NULL
    value is named, correct the rows of that table instead.

foreign_key_violation: foreign-key violations in {where}, rows that refer to a missing row of {parent}: {count}
  > Restore the missing rows from a backup, or correct or delete the rows that refer to them: `--json` lists their
    rowids.
foreign_key_mismatch: {cause}
  > Restore the database from a backup, or rebuild the referenced table with the missing PRIMARY KEY or UNIQUE.

session_without_wallet: a session that is not revoked has no wallet: {rows}
  > Link a wallet to it with `waiaas links add`, or revoke it with `waiaas sessions revoke`.
session_without_default: a session that is not revoked has no default wallet: {rows}
  > Make one of its wallets the default with `waiaas links default`, or revoke it with `waiaas sessions revoke`.
session_with_many_defaults: a session that is not revoked has more than one default wallet: {rows}
  > Make one of its wallets the only default with `waiaas links default`, or revoke it with `waiaas sessions revoke`.
kill_switch_state: {where} has a value that is not a state of the kill switch; it locks the system
  > Unlock the system with `waiaas kill-switch recover`, or revoke all rights with `waiaas kill-switch activate`.

invalid_text: values of {where} that are not UTF-8 text: {count}
  > Correct them, or restore them from a backup: the services refuse such a row. `--json` lists the rowids, and SQL's
    `hex` shows the bytes.
invalid_time: values of {where} that are not Unix seconds in the years 1 to 9999: {count}
  > Correct them: the services cannot read such a time. `--json` lists the rowids; times in milliseconds are 1,000
    times too large.
invalid_json: values of {where} that are not JSON: {count}
  > Correct them, or restore them from a backup: the services refuse such a row. `--json` lists the rowids.
not_text: values of {where} that are BLOBs instead of text: {count}
  > Correct them, or restore them from a backup: a BLOB is not equal to any text. `--json` lists the rowids.
invalid_count: values of {where} that are not integers: {count}
  > Correct them, or restore them from a backup: such a session cannot be renewed. `--json` lists the rowids.
invalid_limits: values of {where} that are JSON, but not an object: {count}
  > Correct them, or restore them from a backup: such limits cannot be applied. `--json` lists the rowids.

sequence_behind: the next number of {where} is {actual}, but {wanted} is the first that is free
  > Set it with `SELECT setval(pg_get_serial_sequence('audit_log', 'id'), max(id)) FROM audit_log`: until then no
    change can be recorded.

missing_table: table {where} is missing
  > Restore the database from a backup. If the table never had a row, create it $AS_NEW
missing_column: column {where} is missing
  > Restore the database from a backup, or add the column $AS_NEW
missing_foreign_key: table {where} lacks the foreign key {key}
  > $REBUILD
missing_unique: table {table} lacks {where}
  > $REBUILD
missing_index: index {where} of {table} is missing
  > Create it $AS_NEW
missing_check: table {where} lacks CHECK ({check})
  > $REBUILD

column_type: column type of {where} is {actual}, not {wanted}
  > $REBUILD
not_null: not null of {where} is {actual}, not {wanted}
  > $REBUILD
column_default: column default of {where} is {actual}, not {wanted}
  > $REBUILD
primary_key: primary key of {where} is {actual}, not {wanted}
  > $REBUILD
generated_column: generated column of {where} is {actual}, not {wanted}
  > $REBUILD
autoincrement: autoincrement of {where} is {actual}, not {wanted}
  > $REBUILD
table_options: table options of {where} is {actual}, not {wanted}
  > $REBUILD
index_differs: index {where} of {table} is {actual}, not {wanted}
  > Drop it, and create it $AS_NEW

extra_table: table {where} does not belong to WAIaaS
  > Nothing needs to be done: WAIaaS ignores it.
extra_column: column {where} does not belong to WAIaaS
  > Nothing needs to be done, unless it is NOT NULL without a default: then WAIaaS cannot add rows to the table.
extra_foreign_key: table {where} has the foreign key {key}, which does not belong to WAIaaS
  > Nothing needs to be done, unless the table lacks a foreign key as well: then this is another form of it. Fix both
    together.
extra_index: index {where} of {table} does not belong to WAIaaS
  > Nothing needs to be done, unless it is UNIQUE: then it may refuse rows that WAIaaS writes.
extra_check: table {where} has CHECK ({check}), which does not belong to WAIaaS
  > Nothing needs to be done, unless it refuses rows that WAIaaS writes, or the table lacks a CHECK as well: then this
    is another form of it. Fix both together.
extra_trigger: trigger {where} does not belong to WAIaaS
  > Make sure that you know it and want it: it runs when WAIaaS writes. Otherwise drop it.
unsafe_trigger: trigger {where} is on or writes to {table}, which decides who may use which wallet
  > Drop it, unless you are sure that it grants no rights: it runs when WAIaaS writes.
extra_view: view {where} does not belong to WAIaaS
  > Nothing needs to be done: WAIaaS ignores it.
""".replace("$REBUILD", _REBUILD).replace("$AS_NEW", _AS_NEW)

#: Messages about the fields of a request.
FIELDS: Final = """\
required: Missing data for required field.
unknown: Unknown field.
null: Field may not be null.

uuid: Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens.
text: Must be text.
storable_text: Must be text without NUL characters and lone surrogates.
printable: Must be printable text.
printable_not: Must be printable text, not {type}.
not_blank: Must not be blank.
max_characters: Must have at most {count} characters.
max_items: Must have at most {count} items.
max_keys: Must have at most {count} keys.
max_bytes: Must have at most {count} bytes as JSON.
one_of: Must be one of: {choices}.
integer: Must be an integer.
boolean: Must be true or false.
integer_range: Must be an integer from {min} to {max}.
seconds_range: Must be an integer from {min} to {max} (seconds).
time: Must be a time: an integer, in Unix seconds.
list: Must be a list.
list_of_objects: Must be a list of objects.
object: Must be an object.
object_or_null: Must be an object or null.
json: Must contain only JSON: no NaN, no infinite numbers, at most {depth} levels.
as_loaded: Must be a result of {schema}().load.

some_wallet: Must name at least one wallet.
wallet_missing: Name at least one wallet, in walletIds or in walletId.
one_wallet_key: Give either walletId or walletIds, not both.
repeated_wallets: Must not name a wallet twice: {wallets}.
default_not_named: Must be one of the wallets named in the request.
token_alone: Must have the key token and no other.
network_of_chain: Must be a network of {chain}: {networks}.
public_key_exists: A wallet with this public key exists.
next_after: Must be the next_after of a page.
aware_datetime: Must be a datetime with a time zone.
"""
