"""The English texts: message and hint (what to do next) of each error code, each reason and each kind of finding."""

from typing import Final

#: Error code -> message; it stands alone, without details.
MESSAGES: Final[dict[str, str]] = {
    # AUTH
    "INVALID_TOKEN": "The session token is not valid.",
    "TOKEN_EXPIRED": "The session token has expired.",
    "SESSION_REVOKED": "The session has been revoked.",
    "INVALID_SIGNATURE": "The signature could not be verified.",
    "INVALID_NONCE": "The nonce is unknown, already used or expired.",
    "INVALID_MASTER_PASSWORD": "The master password is wrong.",
    "MASTER_PASSWORD_LOCKED": "The master password is locked after too many wrong attempts.",
    "SYSTEM_LOCKED": "The system is locked and takes no requests.",
    # SESSION
    "SESSION_NOT_FOUND": "There is no such session.",
    "SESSION_EXPIRED": "The session has expired.",
    "SESSION_LIMIT_EXCEEDED": "The wallet already has as many active sessions as it may have.",
    "CONSTRAINT_VIOLATED": "The request goes against a constraint of the session.",
    "RENEWAL_LIMIT_REACHED": "The session has been renewed as often as it may be.",
    "SESSION_ABSOLUTE_LIFETIME_EXCEEDED": "The absolute lifetime of the session is over.",
    "RENEWAL_TOO_EARLY": "The session can be renewed only after half of its time to live.",
    "SESSION_RENEWAL_MISMATCH": "The token to renew is not the session's current one.",
    "WALLET_ACCESS_DENIED": "The wallet is not linked to this session.",
    "WALLET_ALREADY_LINKED": "The wallet is already linked to this session.",
    "CANNOT_REMOVE_DEFAULT_WALLET": "The session's default wallet cannot be unlinked.",
    "SESSION_REQUIRES_WALLET": "A session must keep at least one wallet.",
    # TX
    "PIPELINE_HALTED": "The transaction is on hold until its delay ends or the owner approves it.",
    "INSUFFICIENT_BALANCE": "The wallet's balance does not cover the transaction.",
    "INVALID_ADDRESS": "The address is not valid on this chain.",
    "TX_NOT_FOUND": "There is no such transaction.",
    "TX_EXPIRED": "The transaction has expired.",
    "TX_ALREADY_PROCESSED": "The transaction has already been processed.",
    "CHAIN_ERROR": "The blockchain node answered with an error.",
    "SIMULATION_FAILED": "The transaction failed in simulation and was not sent.",
    "TOKEN_NOT_FOUND": "There is no such token on this network.",
    "TOKEN_NOT_ALLOWED": "The wallet's policies do not allow this token.",
    "INSUFFICIENT_TOKEN_BALANCE": "The wallet does not hold enough of the token.",
    "CONTRACT_CALL_DISABLED": "Contract calls are not enabled for this wallet.",
    "CONTRACT_NOT_WHITELISTED": "The contract is not on the whitelist.",
    "METHOD_NOT_WHITELISTED": "The contract method is not on the whitelist.",
    "APPROVE_DISABLED": "Token approvals are not enabled for this wallet.",
    "SPENDER_NOT_APPROVED": "The spender is not one of the approved spenders.",
    "APPROVE_AMOUNT_EXCEEDED": "The token approval is for more than the limit allows.",
    "UNLIMITED_APPROVE_BLOCKED": "Token approvals without a limit are blocked.",
    "BATCH_NOT_SUPPORTED": "This chain does not support batch transactions.",
    "BATCH_SIZE_EXCEEDED": "The batch holds more instructions than it may.",
    "BATCH_POLICY_VIOLATION": "An instruction of the batch goes against a policy.",
    "ENVIRONMENT_NETWORK_MISMATCH": "The network does not belong to the wallet's environment.",
    "INVALID_TRANSACTION": "The transaction is malformed.",
    "WALLET_NOT_SIGNER": "The wallet is not a signer of the transaction.",
    "UNSUPPORTED_TX_TYPE": "This type of transaction is not supported.",
    "CHAIN_ID_MISMATCH": "The transaction's chain ID is not that of the network.",
    "ABI_ENCODING_FAILED": "The contract call could not be ABI-encoded.",
    # POLICY
    "POLICY_NOT_FOUND": "There is no such policy.",
    "POLICY_DENIED": "A policy denied the request.",
    "SPENDING_LIMIT_EXCEEDED": "The amount is above the spending limit.",
    "RATE_LIMIT_EXCEEDED": "There were too many requests.",
    "WHITELIST_DENIED": "The recipient's address is not on the whitelist.",
    # OWNER
    "OWNER_ALREADY_CONNECTED": "An owner is already connected.",
    "OWNER_NOT_CONNECTED": "No owner is connected.",
    "OWNER_NOT_FOUND": "There is no such owner.",
    "APPROVAL_TIMEOUT": "The owner did not approve in time.",
    "APPROVAL_NOT_FOUND": "There is no such approval request.",
    "OWNER_NOT_SET": "No owner address is set for the wallet.",
    "OWNER_ADDRESS_MISMATCH": "The address is not the owner's.",
    # SYSTEM
    "KILL_SWITCH_ACTIVE": "The kill switch is on, so the request was refused.",
    "KILL_SWITCH_NOT_ACTIVE": "The kill switch is not on.",
    "KILL_SWITCH_ALREADY_ACTIVE": "The kill switch is already on.",
    "INVALID_STATE_TRANSITION": "The current state does not allow this change.",
    "KEYSTORE_LOCKED": "The keystore is locked.",
    "CHAIN_NOT_SUPPORTED": "This chain is not supported.",
    "SHUTTING_DOWN": "The service is shutting down and takes no new requests.",
    "ADAPTER_NOT_AVAILABLE": "The adapter of this chain is not available at the moment.",
    "SKILL_NOT_FOUND": "There is no such skill.",
    "SCHEMA_INCOMPATIBLE": "The database does not have a schema that this version can work with.",
    # WALLET
    "WALLET_NOT_FOUND": "There is no such wallet.",
    "WALLET_SUSPENDED": "The wallet is suspended.",
    "WALLET_TERMINATED": "The wallet has been terminated.",
    "WC_SESSION_EXISTS": "The wallet already has a WalletConnect session.",
    "WC_SESSION_NOT_FOUND": "The wallet has no WalletConnect session.",
    # SYSTEM
    "WC_NOT_CONFIGURED": "WalletConnect is not configured.",
    "WC_SIGNING_FAILED": "Signing over WalletConnect failed.",
    # WITHDRAW
    "NO_OWNER": "The wallet has no owner to withdraw to.",
    "WITHDRAW_LOCKED_ONLY": "Only a wallet whose owner state is LOCKED can be withdrawn from.",
    "SWEEP_TOTAL_FAILURE": "Every transfer of the withdrawal failed.",
    # TX
    "INSUFFICIENT_FOR_FEE": "The wallet's balance does not cover the network fee.",
    # ACTION
    "ACTION_NOT_FOUND": "There is no such action.",
    "API_KEY_REQUIRED": "The action needs an API key, and none is set.",
    "ACTION_VALIDATION_FAILED": "The input is not valid.",
    "ACTION_RESOLVE_FAILED": "The action could not be turned into a transaction.",
    "ACTION_RETURN_INVALID": "The action returned a result of the wrong form.",
    "ACTION_PLUGIN_LOAD_FAILED": "The action plugin could not be loaded.",
    "ACTION_NAME_CONFLICT": "An action of this name is already registered.",
    "ACTION_CHAIN_MISMATCH": "The action does not work on the wallet's chain.",
    # ADMIN
    "ROTATION_TOO_RECENT": "The key was made a short while ago.",
    # X402
    "X402_DISABLED": "x402 payments are disabled.",
    "X402_DOMAIN_NOT_ALLOWED": "The wallet's policies do not allow x402 payments to this domain.",
    "X402_SSRF_BLOCKED": "The URL leads to an internal address and was blocked.",
    "X402_UNSUPPORTED_SCHEME": "The server asks for an x402 payment scheme that is not supported.",
    "X402_PAYMENT_REJECTED": "The server rejected the x402 payment.",
    "X402_DELAY_TIMEOUT": "The delay of the x402 payment did not end while the request waited.",
    "X402_APPROVAL_REQUIRED": "The x402 payment needs the owner's approval.",
    "X402_SERVER_ERROR": "The server of the x402 payment answered with an error.",
    # SIGNING
    "WALLET_NOT_REGISTERED": "The wallet app is not registered for signing.",
    "SIGNING_SDK_DISABLED": "The signing SDK is disabled.",
    "SIGN_REQUEST_NOT_FOUND": "There is no such sign request.",
    "SIGN_REQUEST_EXPIRED": "The sign request has expired.",
    "SIGNER_ADDRESS_MISMATCH": "The sign request was signed by another address than the owner's.",
    "INVALID_SIGN_RESPONSE": "The response to the sign request is malformed.",
    "SIGN_REQUEST_ALREADY_PROCESSED": "The sign request has already been processed.",
    # DATABASE
    "DATABASE_BUSY": "The database is busy.",
    "DATABASE_UNAVAILABLE": "The database cannot be used at the moment.",
}

#: Error code -> what to do next; it stands alone, without details.
HINTS: Final[dict[str, str]] = {
    # AUTH
    "INVALID_TOKEN": (
        "Send the token that creating or last renewing the session returned. If it is lost, create a new session."
    ),
    "TOKEN_EXPIRED": "Create a new session, and renew its token before it expires.",
    "SESSION_REVOKED": "Create a new session: a revoked one cannot be used again.",
    "INVALID_SIGNATURE": (
        "Sign the exact message that was given, with the key of the named address, and send the request again."
    ),
    "INVALID_NONCE": "Ask for a new nonce and sign that one: each can be used once.",
    "INVALID_MASTER_PASSWORD": "Enter the right master password. Too many wrong attempts lock it.",
    "MASTER_PASSWORD_LOCKED": "Wait until the lock ends, then enter the right master password.",
    "SYSTEM_LOCKED": "Ask the administrator to unlock the system, then send the request again.",
    # SESSION
    "SESSION_NOT_FOUND": "Check the session's id, or create a new session.",
    "SESSION_EXPIRED": "Create a new session.",
    "SESSION_LIMIT_EXCEEDED": (
        "Revoke a session of this wallet that is no longer needed, or raise the limit of sessions a wallet."
    ),
    "CONSTRAINT_VIOLATED": "Stay within the session's constraints, or create a session with wider ones.",
    "RENEWAL_LIMIT_REACHED": "Create a new session before this one expires.",
    "SESSION_ABSOLUTE_LIFETIME_EXCEEDED": "Create a new session: this one cannot be renewed any more.",
    "RENEWAL_TOO_EARLY": "Go on with the present token, and renew it once half of its time to live has passed.",
    "SESSION_RENEWAL_MISMATCH": (
        "Renew with the newest token. If another process renewed the session, take the token from there."
    ),
    "WALLET_ACCESS_DENIED": "Name a wallet that is linked to the session, or link this one first.",
    "WALLET_ALREADY_LINKED": "Nothing needs to be done: the session can use the wallet.",
    "CANNOT_REMOVE_DEFAULT_WALLET": "Make another linked wallet the default first, then unlink this one.",
    "SESSION_REQUIRES_WALLET": "Link another wallet first, or revoke the session.",
    # TX
    "PIPELINE_HALTED": "Do not send it again: it goes on when the delay ends or the owner approves.",
    "INSUFFICIENT_BALANCE": "Fund the wallet, or send less.",
    "INVALID_ADDRESS": "Check the address, and that it belongs to the wallet's chain.",
    "TX_NOT_FOUND": "Check the transaction's id.",
    "TX_EXPIRED": "If it is still wanted, send it as a new transaction.",
    "TX_ALREADY_PROCESSED": "Do not send it again: look at the transaction's status.",
    "CHAIN_ERROR": "Look whether the transaction reached the chain before you try again.",
    "SIMULATION_FAILED": (
        "Find out why it would fail on chain (balance, arguments, state of the contract) before you send it again."
    ),
    "TOKEN_NOT_FOUND": "Check the token's address and network, or add the token to the registry.",
    "TOKEN_NOT_ALLOWED": (
        "Use an allowed token, or ask the administrator to add this one to the policy ALLOWED_TOKENS."
    ),
    "INSUFFICIENT_TOKEN_BALANCE": "Fund the wallet with the token, or send less of it.",
    "CONTRACT_CALL_DISABLED": "Ask the administrator to allow the contract in a policy CONTRACT_WHITELIST.",
    "CONTRACT_NOT_WHITELISTED": (
        "Check the contract's address, or ask the administrator to add it to the policy CONTRACT_WHITELIST."
    ),
    "METHOD_NOT_WHITELISTED": "Check the method, or ask the administrator to add it to the policy METHOD_WHITELIST.",
    "APPROVE_DISABLED": "Ask the administrator to allow the spender in a policy APPROVED_SPENDERS.",
    "SPENDER_NOT_APPROVED": (
        "Check the spender's address, or ask the administrator to add it to the policy APPROVED_SPENDERS."
    ),
    "APPROVE_AMOUNT_EXCEEDED": (
        "Approve a smaller amount, or ask the administrator to raise the policy APPROVE_AMOUNT_LIMIT."
    ),
    "UNLIMITED_APPROVE_BLOCKED": "Approve the exact amount that is needed.",
    "BATCH_NOT_SUPPORTED": "Send the instructions one by one.",
    "BATCH_SIZE_EXCEEDED": "Split it into smaller batches.",
    "BATCH_POLICY_VIOLATION": "Take that instruction out of the batch, or ask the administrator to change the policy.",
    "ENVIRONMENT_NETWORK_MISMATCH": (
        "Name a network of the wallet's environment (testnet or mainnet), or use a wallet of the other one."
    ),
    "INVALID_TRANSACTION": "Build the transaction again for the wallet's chain, and check its encoding.",
    "WALLET_NOT_SIGNER": "Build the transaction so that this wallet signs it, or use the wallet that does.",
    "UNSUPPORTED_TX_TYPE": "Use a type of transaction that the wallet's chain supports.",
    "CHAIN_ID_MISMATCH": (
        "Build the transaction with the network's chain ID, or name the network that it was built for."
    ),
    "ABI_ENCODING_FAILED": "Check the ABI, the function's name, and the number and types of its arguments.",
    # POLICY
    "POLICY_NOT_FOUND": "Check the policy's id.",
    "POLICY_DENIED": "Ask for something that the wallet's policies allow, or ask the administrator to change them.",
    "SPENDING_LIMIT_EXCEEDED": (
        "Send less, wait until the limit's period is over, or ask the administrator to raise the limit."
    ),
    "RATE_LIMIT_EXCEEDED": "Wait a moment and try again.",
    "WHITELIST_DENIED": "Check the recipient's address, or ask the administrator to add it to the policy WHITELIST.",
    # OWNER
    "OWNER_ALREADY_CONNECTED": "Disconnect the present owner first, if another is to take over.",
    "OWNER_NOT_CONNECTED": "Ask the owner to connect, then try again.",
    "OWNER_NOT_FOUND": "Check the owner's address and the wallet.",
    "APPROVAL_TIMEOUT": "If it is still wanted, send the transaction again and ask the owner to approve in time.",
    "APPROVAL_NOT_FOUND": "Check the id of the approval request and the status of its transaction.",
    "OWNER_NOT_SET": "Set the wallet's owner address first.",
    "OWNER_ADDRESS_MISMATCH": "Use the address that is set as the wallet's owner.",
    # SYSTEM
    "KILL_SWITCH_ACTIVE": "Send nothing more until the administrator has switched it off.",
    "KILL_SWITCH_NOT_ACTIVE": "Nothing needs to be done: the system takes requests.",
    "KILL_SWITCH_ALREADY_ACTIVE": "Nothing needs to be done: the system refuses requests already.",
    "INVALID_STATE_TRANSITION": "Look at the current state first: it allows only some changes.",
    "KEYSTORE_LOCKED": "Unlock the keystore with the master password, then try again.",
    "CHAIN_NOT_SUPPORTED": "Name a supported chain: solana or ethereum.",
    "SHUTTING_DOWN": "Send the request again once the service has been started.",
    "ADAPTER_NOT_AVAILABLE": "Try again later. If it stays so, check the chain's settings and its node.",
    "SKILL_NOT_FOUND": "Check the skill's name.",
    "SCHEMA_INCOMPATIBLE": "Inform the operator of the service.",
    # WALLET
    "WALLET_NOT_FOUND": "Check the wallet's id.",
    "WALLET_SUSPENDED": "Ask the administrator to resume the wallet, or use another one.",
    "WALLET_TERMINATED": "Use another wallet: a terminated one does not come back.",
    "WC_SESSION_EXISTS": "Use the WalletConnect session that is there, or disconnect it first.",
    "WC_SESSION_NOT_FOUND": "Ask the wallet's owner to connect over WalletConnect first.",
    # SYSTEM
    "WC_NOT_CONFIGURED": "Ask the administrator to configure WalletConnect, or use another way of approval.",
    "WC_SIGNING_FAILED": "Make sure that the owner's wallet app is open and connected, then try again.",
    # WITHDRAW
    "NO_OWNER": "Set the wallet's owner address first.",
    "WITHDRAW_LOCKED_ONLY": "Have the owner verify the owner address first: the owner state is LOCKED from then on.",
    "SWEEP_TOTAL_FAILURE": "Check the balance for the fees and the chain's node, then try again.",
    # TX
    "INSUFFICIENT_FOR_FEE": "Fund the wallet with the chain's own coin for the fee.",
    # ACTION
    "ACTION_NOT_FOUND": "Check the names of the provider and of the action.",
    "API_KEY_REQUIRED": "Ask the administrator to set the API key of the action's provider.",
    "ACTION_VALIDATION_FAILED": "Correct the fields that the details name, and send the request again.",
    "ACTION_RESOLVE_FAILED": "Try again later. If it stays so, check the action's parameters and its provider.",
    "ACTION_RETURN_INVALID": "Report this to the author of the action's plugin.",
    "ACTION_PLUGIN_LOAD_FAILED": "Look for the cause in the service's log, then mend or remove the plugin.",
    "ACTION_NAME_CONFLICT": "Rename one of the two actions, or remove one of their plugins.",
    "ACTION_CHAIN_MISMATCH": "Use a wallet on a chain that the action works on.",
    # ADMIN
    "ROTATION_TOO_RECENT": "Rotate it when 5 minutes have passed since it was made.",
    # X402
    "X402_DISABLED": "Ask the administrator to enable x402 payments.",
    "X402_DOMAIN_NOT_ALLOWED": (
        "Check the domain, or ask the administrator to add it to the policy X402_ALLOWED_DOMAINS."
    ),
    "X402_SSRF_BLOCKED": "Use a public URL.",
    "X402_UNSUPPORTED_SCHEME": "Pay in another way: this scheme cannot be paid from here.",
    "X402_PAYMENT_REJECTED": "Read the server's answer before you pay again.",
    "X402_DELAY_TIMEOUT": "Try again later, or pay an amount that the policies let through without a delay.",
    "X402_APPROVAL_REQUIRED": "Ask the owner to approve the payment, or pay an amount that needs no approval.",
    "X402_SERVER_ERROR": "Try again later. If it stays so, ask the server's operator.",
    # SIGNING
    "WALLET_NOT_REGISTERED": "Register the wallet app for signing first.",
    "SIGNING_SDK_DISABLED": "Ask the administrator to enable the signing SDK, or use another way of approval.",
    "SIGN_REQUEST_NOT_FOUND": "Check the id of the sign request.",
    "SIGN_REQUEST_EXPIRED": "If the signature is still needed, ask for it anew.",
    "SIGNER_ADDRESS_MISMATCH": "Sign with the wallet's owner address.",
    "INVALID_SIGN_RESPONSE": "Send the response again in the form that the signing SDK prescribes.",
    "SIGN_REQUEST_ALREADY_PROCESSED": "Nothing needs to be done: look at the status of its transaction.",
    # DATABASE
    "DATABASE_BUSY": "Send the request again in a moment.",
    "DATABASE_UNAVAILABLE": "Inform the operator of the service.",
}

#: Reason -> templates of message and hint; the placeholders are filled from the details.
REASONS: Final[dict[str, tuple[str, str]]] = {
    "file_not_found": (
        "There is no file {path}.",
        "Check the path. `waiaas init PATH` creates a new database.",
    ),
    "file_exists": (
        "A file that is not empty already stands at {path}.",
        "Choose another path, or bring an existing database up to date with `waiaas upgrade`.",
    ),
    "not_a_database": (
        "{path} is not an SQLite database, or it is encrypted.",
        "Name the right file. If it was a database once, restore it from a backup.",
    ),
    "other_program": (
        "{path} is the database of another program: it lacks the WAIaaS tables {tables}.",
        "Name the database file of WAIaaS.",
    ),
    "schema_version_missing": (
        "{path} has WAIaaS tables but no table schema_version, so its version cannot be known.",
        "Restore the database from a backup.",
    ),
    "schema_version_empty": (
        "The table schema_version of {path} has no usable row, so its version cannot be known.",
        "Restore the database from a backup.",
    ),
    "code_too_old": (
        "code too old: {path} is at schema version {version}, "
        "and this release of waiaas knows versions up to {latest} only.",
        "Install a newer release of waiaas.",
    ),
    "empty_database": (
        "{path} has no tables yet, so there is nothing to upgrade.",
        "Create the tables with connect() or `waiaas init`.",
    ),
    "not_a_path": (
        "A URL or a connection string was given where the path of a database file is needed.",
        "Name the path of an SQLite file. "
        "Give a PostgreSQL database to the services as a Peewee `PostgresqlDatabase`.",
    ),
    "not_sqlite": (
        "This needs an open SQLite database, and was given a {backend}.",
        "Open the file with connect(path, upgrade=False), and give what that returns.",
    ),
    "upgrade_pending": (
        "{path} has no table session_wallets, as files before schema version 19 have none: sessions cannot be served.",
        "Upgrade it with connect() or `waiaas upgrade`; `waiaas plan` tells what that would do.",
    ),
    "inside_transaction": (
        "A transaction is open on this connection, and this change needs one of its own.",
        "Commit it or roll it back first, then run again.",
    ),
    "connection_settings": (
        "This connection cannot change tables safely: {problem}.",
        "Change the setting, or open the database again without it, then run again.",
    ),
    "unfinished_query": (
        "A query of this connection has rows that were not read yet, so no table can be changed.",
        "Read the query to its end or close its cursor, then run again.",
    ),
    "hidden_table": (
        "This connection to {path} has a temporary table or view named {table}, which hides the table of the "
        "database. Nothing was changed.",
        "Give the temporary table another name, or use another connection for it.",
    ),
    "change_undone": (
        "A trigger undid a change to the table {table} of {path}. Nothing was changed.",
        "Run `waiaas check FILE`, which names the triggers of the file, and drop the one that does this. A temporary "
        "trigger belongs to the connection of the program.",
    ),
    "database_busy": (
        "{path} is locked by another connection, which did not let go within {seconds} s.",
        "Stop the daemon or the other program that uses the file, then try again.",
    ),
    "read_only": (
        "{path} cannot be written: the file or its folder is read-only.",
        "Give write permission to the file and to its folder, because SQLite writes its journal beside the file.",
    ),
    "cannot_open": (
        "SQLite cannot open {path}: {cause}.",
        "Check the path, and the permissions of the file and of its folder.",
    ),
    "log_unreadable": (
        "{path} has a write-ahead log that cannot be read: SQLite must write the log's index beside it, "
        "and the folder is read-only.",
        "Give write permission to the folder, or copy the file and its log (the file `-wal` beside it) to a folder "
        "of your own and name the copy.",
    ),
    "log_without_database": (
        "{path} is missing or empty, but {sidecar} is not: SQLite would delete {sidecar} and what it contains.",
        "Put the database file that belongs to {sidecar} back, or move {sidecar} to another folder.",
    ),
    "sidecar_not_a_file": (
        "{sidecar} is not a regular file with one name. SQLite would read it as part of {path}.",
        "Find out who created {sidecar}, and remove it. The folder of a database must belong to you.",
    ),
    "sidecar_of_another_user": (
        "{sidecar} belongs to another user (user id {owner}), who cannot write {path}. "
        "SQLite would read it as part of {path}.",
        "Find out who created {sidecar}, and move it away. The folder of a database must belong to you. "
        "If that user is to use the database, let a common group write {path}.",
    ),
    "file_replaced": (
        "{path} is no longer the file that was opened: it was renamed, deleted or replaced.",
        "Put the file back, or restart the program so that it opens the file that is there now.",
    ),
    "file_in_use": (
        "Another program has {path} open: {programs}.",
        "Restart it if it is a daemon of an older version: it cannot work with the new tables.",
    ),
    "disk_full": (
        "There is no room left to write {path}: the disk is full, or a quota or a file-size limit is reached.",
        "Free some space, then try again.",
    ),
    "io_error": (
        "The operating system reported an I/O error on {path}: {cause}.",
        "Check the disk and its connection, then try again.",
    ),
    "no_room_for_temporary_files": (
        "There is no room left to write {path} or SQLite's temporary files in {folder}: {cause}.",
        "Free some space in both folders, or set `SQLITE_TMPDIR` to another folder, then try again.",
    ),
    "clock_unusable": (
        "The clock gives {time} (Unix seconds), which is not a time of the years 1970 to 9999.",
        "Set the clock, then try again.",
    ),
    "too_many_files": (
        "{path} cannot be opened: this process or this system has too many open files.",
        "Raise the limit (`ulimit -n`), or close files, then try again.",
    ),
    "out_of_memory": (
        "There is not enough memory to work with {path}.",
        "Free some memory or raise the limit (`ulimit -v`), then try again.",
    ),
    "sqlite_error": (
        "SQLite cannot work with {path}: {cause}.",
        "Run `waiaas status`: a file of an older version must be upgraded first. If it is not that, run "
        "`waiaas check` and report what it says together with this message.",
    ),
    "corrupt": (
        "The database file {path} is damaged: {cause}.",
        "Run `waiaas check FILE`, which reads every page. If it confirms the damage, restore the file from a backup, "
        "or recover what can be read with `sqlite3 FILE .recover`.",
    ),
    "unreadable_value": (
        "A value in {path} cannot be read: {cause}.",
        "Run `waiaas check FILE`, which names the rows whose values cannot be read. Then correct the value, or take "
        "it from a backup.",
    ),
    "backup_failed": (
        "The backup of {path} could not be written or verified: {cause}. Nothing was changed.",
        "Free some space and check the permissions of the folder, "
        "or run with `--no-backup` (`backup=False`) when you have a backup of your own.",
    ),
    "token_key_unusable": (
        "The token key {key} in the table key_value_store is not in the form that WAIaaS stores, "
        "so no token can be signed or verified.",
        "Restore the row from a backup. If you delete it, a new key is made and every token is void.",
    ),
    "no_room_to_rehearse": (
        "A rehearsal on a copy of {path} needs {needed} bytes on its file system, where {free} are free.",
        "Free some space, or copy the file to a larger disk and rehearse there. "
        "An upgrade needs as much for its backup.",
    ),
    "copy_failed": (
        "No copy of {path} could be made to rehearse on: {cause}. The file was left alone.",
        "Free some space and check the permissions of the folder, or copy the file and its log (the file `-wal` "
        "beside it, where there is one) to a folder of your own and rehearse there.",
    ),
    "copy_left": (
        "The copy of {path} on which the upgrade was rehearsed could not be removed from {folder}: {cause}. The file "
        "was left alone.",
        "Remove the folder: the copy contains the key that signs session tokens.",
    ),
    "invalid_url": (
        "This is not a PostgreSQL URL that can be read.",
        "Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and percent-encode what is special in a password.",
    ),
    "driver_missing": (
        "PostgreSQL needs the package psycopg 3, which is not installed.",
        "Install it with `pip install 'waiaas[postgresql]'`.",
    ),
    "server_unavailable": (
        "The server of {path} cannot be reached: {cause}.",
        "Check host, port and network, and whether the server runs. Then try again.",
    ),
    "connection_lost": (
        "The connection to {path} ended: {cause}. The change was not made.",
        "Try again. If it happens often, look in the log of the server.",
    ),
    "commit_unknown": (
        "The connection to {path} ended during COMMIT: the change may be in the database or not.",
        "Read what the change was about before you repeat it.",
    ),
    "transaction_conflict": (
        "Another transaction on {path} changed the same rows: {cause}. The change was not made.",
        "Run the whole transaction again.",
    ),
    "pool_exhausted": (
        "All {size} connections of the pool to {path} were in use for {seconds} s.",
        "Try again, or make the pool larger.",
    ),
    "too_many_connections": (
        "The server of {path} has no connection left: {cause}.",
        "Use a smaller pool or a connection pooler, or raise `max_connections` of the server.",
    ),
    "access_denied": (
        "The server of {path} refused the login: {cause}.",
        "Check user and password, and the file pg_hba.conf of the server.",
    ),
    "database_not_found": (
        "The server has no database {path}.",
        "Check the name, or create the database with `createdb`.",
    ),
    "insufficient_privilege": (
        "The user of {path} may not do this: {cause}.",
        "Grant the user what the documentation of PostgreSQL databases lists.",
    ),
    "server_read_only": (
        "The server of {path} is read-only: it is a standby, or its administrator has set it so.",
        "Name the primary, or several hosts with `target_session_attrs=read-write` in the URL.",
    ),
    "statement_canceled": (
        "The server of {path} cancelled a statement: {cause}. The change was not made.",
        "Try again, or raise `statement_timeout` of the server.",
    ),
    "unsuitable_database": (
        "The database {path} cannot be used: {problem}.",
        "Create a database for WAIaaS with `createdb --encoding=UTF8 --template=template0`.",
    ),
    "server_error": (
        "PostgreSQL cannot work with {path}: {cause}.",
        "Run `waiaas check URL` and report its findings together with this message.",
    ),
    "unexpected_schema": (
        "The table {table} is not what this schema version has: {problem}.",
        "Restore the database from a backup, or report this.",
    ),
    "strange_schema": (
        "The schema of {path} has a row that SQLite does not write: {problem}. Nothing was changed.",
        "Restore the database from a backup, or copy what it has into a new file with `sqlite3 FILE .dump`.",
    ),
    "leftover_table": (
        "A table has the name of one that must be created: {table} is not empty or has another shape (rows: {rows}).",
        "Look at the table, move the rows that you need, drop or rename it, and run again.",
    ),
    "dependent_object": (
        "The {kind} {name} depends on {table}.{column}, which would be dropped or changed.",
        "Drop or change the {kind}, run again, and create it anew in a form that does without.",
    ),
    "dependent_on_table": (
        "The {kind} {name} depends on the table {table}, which would be dropped.",
        "Drop or change the {kind}, then run again.",
    ),
    "name_taken": (
        "The {kind} {name} would read the new {table}.{column} where it now means something else. "
        "Nothing was changed.",
        "Write texts in the {kind} in single quotes and name columns with their tables (t.column), then run again.",
    ),
    "value_not_allowed": (
        "The table {table} has values in {column} that the new schema version does not allow: {values} "
        "(rows: {rows}; {count} in all). Nothing was changed.",
        "Correct these rows, then run again.",
    ),
    "foreign_key_elsewhere": (
        "The foreign key of {table}.{column} names the table {parent} instead of {expected}.",
        "Restore the database from a backup, or mend the foreign key, and run again.",
    ),
    "orphan_sessions": (
        "Some sessions name a wallet that does not exist ({count} in all): {sessions}.",
        "Add the wallets back, or run again with `--skip-orphans` (`skip_orphans=True`) "
        "to leave these sessions without a wallet.",
    ),
    "links_lost": (
        "Going back to schema version 18 would lose links: "
        "some sessions are linked to more than one wallet ({count} in all): {sessions}.",
        "Unlink the other wallets, or run again with `--drop-links` (`drop_links=True`) "
        "to keep the link of the default wallet only.",
    ),
    "cannot_downgrade": (
        "The database cannot be taken back from schema version {version} to {target}.",
        "Only version 19 can be taken back, to 18. For another version put its backup in the file's place.",
    ),
    "rebuild_refused": (
        "Rebuilding the table {table} would lose something: {problem}. Nothing was changed.",
        "Remove or change what is named, run again, and put it back afterwards.",
    ),
    "alter_refused": (
        "SQLite refuses to change the table {table}: {cause}. Nothing was changed.",
        "Correct what is named, then run again.",
    ),
    "name_exists": (
        "There is a {kind} {name} already. Nothing was changed.",
        "Choose another name, or rename or drop what has it.",
    ),
    "foreign_key_violations": (
        "The change would leave new foreign-key violations in the table {table} "
        "({count} in all), so it was rolled back.",
        "Run `waiaas check` and report what it says.",
    ),
    "rows_lost": (
        "The table {table} does not have the rows that it should have "
        "(before: {before}, after: {after}), so the change was rolled back.",
        "The file is as it was. Report this.",
    ),
    "migration_failed": (
        "The step to schema version {version} failed: {cause}. Nothing was changed.",
        "Run `waiaas check` and report what it says together with this message.",
    ),
    "not_synced": (
        "{path} is changed and the change is committed, but the operating system reported an error when it was to be "
        "made durable: {cause}. A power cut now may undo the change.",
        "Check the disk. Then run `waiaas status FILE`: it shows the version that the file is at.",
    ),
    "log_not_written_back": (
        "{path} is changed and the change is committed, but its write-ahead log could not be written back into the "
        "file: {cause}.",
        "Keep the file and its log (the file `-wal` next to it) together. The next program that opens the file writes "
        "the log back.",
    ),
    "journal_mode_kept": (
        "{path} is changed and the change is committed, but it could not be switched to write-ahead-log mode: "
        "{cause}.",
        "Nothing needs to be done: the next `waiaas.connect` switches the file.",
    ),
    "settings_not_restored": (
        "{path} is changed and the change is committed, but settings of this connection could not be restored: "
        "{settings} ({cause}).",
        "Close the connection and open a new one.",
    ),
}

_AS_IN_A_NEW_DATABASE: Final = (
    "as it is in a new database: `waiaas init NEW` makes one, and `sqlite3 NEW .schema` shows it."
)
_REBUILD: Final = f"Restore the database from a backup, or rebuild the table {_AS_IN_A_NEW_DATABASE}"

#: Kind of what the check finds -> template of the message, filled from the finding; and what to do next, which stands
#: alone.
FINDINGS: Final[dict[str, tuple[str, str]]] = {
    "damage": (
        "{cause}",
        "Restore the database from a backup, or recover what can be read with `sqlite3 FILE .recover`. "
        "Where a CHECK or a NULL value is named, correct the rows of that table instead.",
    ),
    # References
    "foreign_key_violation": (
        "foreign-key violations in {where}, rows that refer to a missing row of {parent}: {count}",
        "Put the missing rows back from a backup, or correct or delete the rows that refer to them: "
        "`--json` lists their rowids.",
    ),
    "foreign_key_mismatch": (
        "{cause}",
        "Restore the database from a backup, or rebuild the table that is referred to with the PRIMARY KEY or UNIQUE "
        "that it lacks.",
    ),
    # Links
    "session_without_wallet": (
        "a session that is not revoked reaches no wallet: {rows}",
        "Link a wallet to it (`SessionWalletService.link`), or revoke it (`SessionService.revoke`).",
    ),
    "session_without_default": (
        "a session that is not revoked has no default wallet: {rows}",
        "Make one of its wallets the default (`SessionWalletService.set_default`), "
        "or revoke it (`SessionService.revoke`).",
    ),
    "session_with_many_defaults": (
        "a session that is not revoked has more than one default wallet: {rows}",
        "Make one of its wallets the only default (`SessionWalletService.set_default`), "
        "or revoke it (`SessionService.revoke`).",
    ),
    "kill_switch_state": (
        "{where} has a value that is not a state of the kill switch; it locks the system",
        "Unlock the system (`KillSwitchService.recover`), or activate the kill switch (`KillSwitchService.activate`).",
    ),
    # Values
    "invalid_text": (
        "values of {where} that are no UTF-8 text: {count}",
        "Correct them, or put the values back from a backup: the services refuse such a row. `--json` lists the "
        "rowids, and SQL's `hex` shows the bytes.",
    ),
    "invalid_time": (
        "values of {where} that are no Unix seconds of the years 1 to 9999: {count}",
        "Correct them: the services cannot tell such a time. `--json` lists the rowids; times in milliseconds are "
        "1,000 times too large.",
    ),
    "invalid_json": (
        "values of {where} that are no JSON: {count}",
        "Correct them, or put the values back from a backup: the services refuse such a row. `--json` lists the "
        "rowids.",
    ),
    "not_text": (
        "values of {where} that are BLOBs instead of text: {count}",
        "Correct them, or put the values back from a backup: a BLOB is not equal to any text. `--json` lists the "
        "rowids.",
    ),
    "invalid_count": (
        "values of {where} that are not integers: {count}",
        "Correct them, or put the values back from a backup: such a session cannot be renewed. `--json` lists the "
        "rowids.",
    ),
    "invalid_limits": (
        "values of {where} that are JSON, but not an object: {count}",
        "Correct them, or put the values back from a backup: such limits cannot be applied. `--json` lists the "
        "rowids.",
    ),
    # What is missing
    "missing_table": (
        "table {where} is missing",
        f"Restore the database from a backup. If the table never had a row, create it {_AS_IN_A_NEW_DATABASE}",
    ),
    "missing_column": (
        "column {where} is missing",
        f"Restore the database from a backup, or add the column {_AS_IN_A_NEW_DATABASE}",
    ),
    "missing_foreign_key": ("table {where} lacks the foreign key {key}", _REBUILD),
    "missing_unique": ("table {table} lacks {where}", _REBUILD),
    "missing_index": ("index {where} of {table} is missing", f"Create it {_AS_IN_A_NEW_DATABASE}"),
    "missing_check": ("table {where} lacks CHECK ({check})", _REBUILD),
    # What differs
    "column_type": ("column type of {where} is {actual}, not {wanted}", _REBUILD),
    "not_null": ("not null of {where} is {actual}, not {wanted}", _REBUILD),
    "column_default": ("column default of {where} is {actual}, not {wanted}", _REBUILD),
    "primary_key": ("primary key of {where} is {actual}, not {wanted}", _REBUILD),
    "generated_column": ("generated column of {where} is {actual}, not {wanted}", _REBUILD),
    "autoincrement": ("autoincrement of {where} is {actual}, not {wanted}", _REBUILD),
    "table_options": ("table options of {where} is {actual}, not {wanted}", _REBUILD),
    "index_differs": (
        "index {where} of {table} is {actual}, not {wanted}",
        f"Drop it, and create it {_AS_IN_A_NEW_DATABASE}",
    ),
    # What is not the library's own
    "extra_table": ("table {where} is not one of WAIaaS", "Nothing needs to be done: WAIaaS leaves it alone."),
    "extra_column": (
        "column {where} is not one of WAIaaS",
        "Nothing needs to be done, unless it is NOT NULL without a default: then WAIaaS cannot add rows to the table.",
    ),
    "extra_foreign_key": (
        "table {where} has the foreign key {key}, not one of WAIaaS",
        "Nothing needs to be done, unless the table lacks a foreign key as well: then this is that one in another "
        "form, and to be mended with it.",
    ),
    "extra_index": (
        "index {where} of {table} is not one of WAIaaS",
        "Nothing needs to be done, unless it is UNIQUE: then it may refuse rows that WAIaaS writes.",
    ),
    "extra_check": (
        "table {where} has CHECK ({check}), not one of WAIaaS",
        "Nothing needs to be done, unless it refuses rows that WAIaaS writes, or the table lacks a CHECK as well: "
        "then this is that one in another form, and to be mended with it.",
    ),
    "extra_trigger": (
        "trigger {where} is not one of WAIaaS",
        "Make sure that you know it and want it: it runs when WAIaaS writes. Otherwise drop it.",
    ),
    "unsafe_trigger": (
        "trigger {where} is on or writes to {table}, which decides who may use which wallet",
        "Drop it, unless you are sure that it gives nobody a right: it runs when WAIaaS writes.",
    ),
    "extra_view": ("view {where} is not one of WAIaaS", "Nothing needs to be done: WAIaaS leaves it alone."),
}
