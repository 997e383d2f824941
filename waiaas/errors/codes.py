"""The 104 error codes of WAIaaS, and those that only this library has, with their texts.

An entry is ``NAME (DOMAIN STATUS): message``, with ``, retryable`` if the same request may succeed later; see
:mod:`waiaas.errors.entries`. To add a code, write one entry in the second table.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from waiaas.errors.entries import facts_in


class ErrorCode(NamedTuple):
    """The properties of an error code that are the same in every language."""

    code: str
    domain: str
    http_status: int
    retryable: bool


_OF_THE_DAEMON: Final = """\
INVALID_TOKEN (AUTH 401): The session token is not valid.
  > Send the token that creating or last renewing the session returned. If it is lost, create a new session.
  ko: 세션 토큰이 올바르지 않습니다.
  > 세션을 만들거나 마지막으로 갱신할 때 받은 토큰을 보내십시오. 토큰을 잃어버렸다면 새 세션을 만드십시오.
TOKEN_EXPIRED (AUTH 401): The session token has expired.
  > Create a new session, and renew its token before it expires.
  ko: 세션 토큰이 만료되었습니다.
  > 새 세션을 만들고, 토큰이 만료되기 전에 갱신하십시오.
SESSION_REVOKED (AUTH 401): The session has been revoked.
  > Create a new session: a revoked one cannot be used again.
  ko: 취소된 세션입니다.
  > 새 세션을 만드십시오. 취소된 세션은 다시 사용할 수 없습니다.
INVALID_SIGNATURE (AUTH 401): The signature could not be verified.
  > Sign the exact message that was given, with the key of the named address, and send the request again.
  ko: 서명을 검증할 수 없습니다.
  > 제시된 메시지를 그대로, 지정된 주소의 키로 서명하여 요청을 다시 보내십시오.
INVALID_NONCE (AUTH 401): The nonce is unknown, already used or expired.
  > Ask for a new nonce and sign that one: each can be used once.
  ko: 논스(nonce)가 올바르지 않거나 이미 사용되었거나 만료되었습니다.
  > 새 논스(nonce)를 요청하여 서명하십시오. 논스는 한 번만 사용할 수 있습니다.
INVALID_MASTER_PASSWORD (AUTH 401): The master password is wrong.
  > Enter the right master password. Too many wrong attempts lock it.
  ko: 마스터 비밀번호가 올바르지 않습니다.
  > 올바른 마스터 비밀번호를 입력하십시오. 여러 번 잘못 입력하면 잠깁니다.
MASTER_PASSWORD_LOCKED (AUTH 429): The master password is locked after too many wrong attempts.
  > Wait until the lock ends, then enter the right master password.
  ko: 마스터 비밀번호를 여러 번 잘못 입력하여 잠겼습니다.
  > 잠금이 풀릴 때까지 기다린 후 올바른 마스터 비밀번호를 입력하십시오.
SYSTEM_LOCKED (AUTH 503): The system is locked and does not accept requests.
  > Ask the administrator to unlock the system, then send the request again.
  ko: 시스템이 잠겨 있어 요청을 처리할 수 없습니다.
  > 관리자에게 시스템 잠금 해제를 요청한 후 요청을 다시 보내십시오.

SESSION_NOT_FOUND (SESSION 404): There is no such session.
  > Check the session's id, or create a new session.
  ko: 세션을 찾을 수 없습니다.
  > 세션 ID를 확인하거나 새 세션을 만드십시오.
SESSION_EXPIRED (SESSION 401): The session has expired.
  > Create a new session.
  ko: 세션이 만료되었습니다.
  > 새 세션을 만드십시오.
SESSION_LIMIT_EXCEEDED (SESSION 403): The wallet has reached its limit of active sessions.
  > Revoke a session of this wallet that is no longer needed, or raise the limit of sessions per wallet.
  ko: 지갑의 활성 세션 수가 한도에 도달했습니다.
  > 이 지갑의 세션 중 필요 없는 것을 취소하거나 지갑당 세션 수 한도를 늘리십시오.
CONSTRAINT_VIOLATED (SESSION 403): The request violates a constraint of the session.
  > Stay within the session's constraints, or create a session with wider ones.
  ko: 세션에 설정된 제약 조건에 어긋나는 요청입니다.
  > 세션의 제약 조건을 지키거나 제약이 더 넓은 세션을 만드십시오.
RENEWAL_LIMIT_REACHED (SESSION 403): The session has reached its limit of renewals.
  > Create a new session before this one expires.
  ko: 세션의 최대 갱신 횟수에 도달했습니다.
  > 이 세션이 만료되기 전에 새 세션을 만드십시오.
SESSION_ABSOLUTE_LIFETIME_EXCEEDED (SESSION 403): The absolute lifetime of the session has ended.
  > Create a new session: this one can no longer be renewed.
  ko: 세션의 최대 수명이 끝났습니다.
  > 새 세션을 만드십시오. 이 세션은 더 이상 갱신할 수 없습니다.
RENEWAL_TOO_EARLY (SESSION 403, retryable): The session can be renewed only after half of its time to live.
  > Keep using the current token, and renew it after half of its time to live has passed.
  ko: 아직 세션을 갱신할 수 없습니다. 유효 기간이 절반 이상 지나야 합니다.
  > 현재 토큰을 계속 사용하고, 유효 기간이 절반 이상 지난 후 갱신하십시오.
SESSION_RENEWAL_MISMATCH (SESSION 403): The token to renew is older than the session's current one, or belongs to
    another session.
  > Renew with the newest token of the session. If another process renewed the session, take the token from there.
  ko: 갱신에 사용한 토큰이 세션의 현재 토큰보다 오래되었거나 다른 세션의 토큰입니다.
  > 세션의 가장 최근 토큰으로 갱신하십시오. 다른 프로세스가 세션을 갱신했다면 그 토큰을 사용하십시오.
WALLET_ACCESS_DENIED (SESSION 403): The wallet is not linked to this session.
  > Name a wallet that is linked to the session, or link this one first.
  ko: 이 세션에 연결되지 않은 지갑입니다.
  > 세션에 연결된 지갑을 지정하거나 먼저 이 지갑을 연결하십시오.
WALLET_ALREADY_LINKED (SESSION 409): The wallet is already linked to this session.
  > Nothing needs to be done: the session can use the wallet.
  ko: 이미 이 세션에 연결된 지갑입니다.
  > 아무것도 하지 않아도 됩니다. 세션에서 이미 이 지갑을 사용할 수 있습니다.
CANNOT_REMOVE_DEFAULT_WALLET (SESSION 400): The session's default wallet cannot be unlinked.
  > Make another linked wallet the default first, then unlink this one.
  ko: 세션의 기본 지갑은 연결을 해제할 수 없습니다.
  > 먼저 연결된 다른 지갑을 기본 지갑으로 지정한 후 이 지갑의 연결을 해제하십시오.
SESSION_REQUIRES_WALLET (SESSION 400): A session must keep at least one wallet.
  > Link another wallet first, or revoke the session.
  ko: 세션에는 지갑이 하나 이상 있어야 합니다.
  > 먼저 다른 지갑을 연결하거나 세션을 취소하십시오.

PIPELINE_HALTED (TX 409): The transaction is on hold until its delay ends or the owner approves it.
  > Do not send it again: it continues when the delay ends or the owner approves.
  ko: 트랜잭션이 지연 시간 경과 또는 소유자 승인을 기다리고 있습니다.
  > 다시 보내지 마십시오. 지연 시간이 끝나거나 소유자가 승인하면 계속 진행됩니다.
TX_ALREADY_PROCESSED (TX 409): The transaction has already been processed.
  > Do not send it again: check the status of the transaction.
  ko: 이미 처리된 트랜잭션입니다.
  > 다시 보내지 말고 트랜잭션의 상태를 확인하십시오.
INSUFFICIENT_BALANCE (TX 400): The wallet's balance does not cover the transaction.
  > Fund the wallet, or send less.
  ko: 지갑 잔액이 부족합니다.
  > 지갑에 자금을 넣거나 더 적은 금액을 보내십시오.
INVALID_ADDRESS (TX 400): The address is not valid on this chain.
  > Check the address, and that it belongs to the wallet's chain.
  ko: 이 체인에서 사용할 수 없는 주소입니다.
  > 주소가 올바른지, 지갑의 체인에 속하는지 확인하십시오.
INSUFFICIENT_TOKEN_BALANCE (TX 400): The wallet does not hold enough of the token.
  > Fund the wallet with the token, or send less of it.
  ko: 지갑의 토큰 잔액이 부족합니다.
  > 지갑에 토큰을 넣거나 더 적은 수량을 보내십시오.
BATCH_NOT_SUPPORTED (TX 400): This chain does not support batch transactions.
  > Send the instructions one by one.
  ko: 이 체인은 배치 트랜잭션을 지원하지 않습니다.
  > 명령을 하나씩 보내십시오.
BATCH_SIZE_EXCEEDED (TX 400): The batch has too many instructions.
  > Split it into smaller batches.
  ko: 배치에 담을 수 있는 명령 수를 초과했습니다.
  > 더 작은 배치로 나누십시오.
ENVIRONMENT_NETWORK_MISMATCH (TX 400): The network does not belong to the wallet's environment.
  > Name a network of the wallet's environment (testnet or mainnet), or use a wallet of the other one.
  ko: 지갑 환경에 속하지 않는 네트워크입니다.
  > 지갑 환경(testnet 또는 mainnet)에 속하는 네트워크를 지정하거나 다른 환경의 지갑을 사용하십시오.
INVALID_TRANSACTION (TX 400): The transaction is malformed.
  > Build the transaction again for the wallet's chain, and check its encoding.
  ko: 트랜잭션 형식이 올바르지 않습니다.
  > 지갑의 체인에 맞게 트랜잭션을 다시 만들고 인코딩을 확인하십시오.
WALLET_NOT_SIGNER (TX 400): The wallet is not a signer of the transaction.
  > Build the transaction so that this wallet signs it, or use the wallet that does.
  ko: 지갑이 트랜잭션의 서명자가 아닙니다.
  > 이 지갑이 서명하도록 트랜잭션을 만들거나 서명자인 지갑을 사용하십시오.
UNSUPPORTED_TX_TYPE (TX 400): This type of transaction is not supported.
  > Use a type of transaction that the wallet's chain supports.
  ko: 지원하지 않는 트랜잭션 유형입니다.
  > 지갑의 체인에서 지원하는 트랜잭션 유형을 사용하십시오.
CHAIN_ID_MISMATCH (TX 400): The chain ID of the transaction does not match the network.
  > Build the transaction with the network's chain ID, or name the network for which it was built.
  ko: 트랜잭션의 체인 ID가 네트워크와 일치하지 않습니다.
  > 네트워크의 체인 ID로 트랜잭션을 만들거나, 트랜잭션을 만든 네트워크를 지정하십시오.
ABI_ENCODING_FAILED (TX 400): The contract call could not be ABI-encoded.
  > Check the ABI, the function's name, and the number and types of its arguments.
  ko: 컨트랙트 호출을 ABI로 인코딩하지 못했습니다.
  > ABI, 함수 이름, 인수의 개수와 타입을 확인하십시오.
INSUFFICIENT_FOR_FEE (TX 400): The wallet's balance does not cover the network fee.
  > Fund the wallet with the chain's own coin for the fee.
  ko: 지갑 잔액이 네트워크 수수료보다 적습니다.
  > 수수료로 쓸 체인의 기본 코인을 지갑에 넣으십시오.
TX_NOT_FOUND (TX 404): There is no such transaction.
  > Check the transaction's id.
  ko: 트랜잭션을 찾을 수 없습니다.
  > 트랜잭션 ID를 확인하십시오.
TOKEN_NOT_FOUND (TX 404): There is no such token on this network.
  > Check the token's address and network, or add the token to the registry.
  ko: 이 네트워크에서 토큰을 찾을 수 없습니다.
  > 토큰의 주소와 네트워크를 확인하거나 토큰을 레지스트리에 추가하십시오.
TX_EXPIRED (TX 410): The transaction has expired.
  > If you still need it, send it as a new transaction.
  ko: 트랜잭션이 만료되었습니다.
  > 여전히 필요하다면 새 트랜잭션으로 보내십시오.
CHAIN_ERROR (TX 502, retryable): The blockchain node answered with an error.
  > Check whether the transaction reached the chain before you try again.
  ko: 블록체인 노드에서 오류를 반환했습니다.
  > 다시 시도하기 전에 트랜잭션이 체인에 도달했는지 확인하십시오.
SIMULATION_FAILED (TX 422): The transaction failed in simulation and was not sent.
  > Find out why it would fail on chain (balance, arguments, state of the contract) before you send it again.
  ko: 시뮬레이션에 실패하여 트랜잭션을 전송하지 않았습니다.
  > 체인에서 실패하는 원인(잔액, 인수, 컨트랙트 상태)을 찾아 고친 후 다시 보내십시오.
TOKEN_NOT_ALLOWED (TX 403): The wallet's policies do not allow this token.
  > Use an allowed token, or ask the administrator to add this one to the policy ALLOWED_TOKENS.
  ko: 지갑 정책에서 허용하지 않는 토큰입니다.
  > 허용된 토큰을 사용하거나, ALLOWED_TOKENS 정책에 이 토큰을 추가하도록 관리자에게 요청하십시오.
CONTRACT_CALL_DISABLED (TX 403): Contract calls are not enabled for this wallet.
  > Ask the administrator to allow the contract in a policy CONTRACT_WHITELIST.
  ko: 이 지갑에는 컨트랙트 호출이 허용되어 있지 않습니다.
  > CONTRACT_WHITELIST 정책에서 이 컨트랙트를 허용하도록 관리자에게 요청하십시오.
CONTRACT_NOT_WHITELISTED (TX 403): The contract is not on the whitelist.
  > Check the contract's address, or ask the administrator to add it to the policy CONTRACT_WHITELIST.
  ko: 화이트리스트에 없는 컨트랙트입니다.
  > 컨트랙트 주소를 확인하거나, CONTRACT_WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
METHOD_NOT_WHITELISTED (TX 403): The contract method is not on the whitelist.
  > Check the method, or ask the administrator to add it to the policy METHOD_WHITELIST.
  ko: 화이트리스트에 없는 컨트랙트 메서드입니다.
  > 메서드를 확인하거나, METHOD_WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
APPROVE_DISABLED (TX 403): Token approvals are not enabled for this wallet.
  > Ask the administrator to allow the spender in a policy APPROVED_SPENDERS.
  ko: 이 지갑에는 토큰 승인(approve)이 허용되어 있지 않습니다.
  > APPROVED_SPENDERS 정책에서 이 지출자(spender)를 허용하도록 관리자에게 요청하십시오.
SPENDER_NOT_APPROVED (TX 403): The spender is not one of the approved spenders.
  > Check the spender's address, or ask the administrator to add it to the policy APPROVED_SPENDERS.
  ko: 승인된 지출자(spender) 목록에 없는 주소입니다.
  > 지출자(spender) 주소를 확인하거나, APPROVED_SPENDERS 정책에 추가하도록 관리자에게 요청하십시오.
APPROVE_AMOUNT_EXCEEDED (TX 403): The token approval is for more than the limit allows.
  > Approve a smaller amount, or ask the administrator to raise the policy APPROVE_AMOUNT_LIMIT.
  ko: 토큰 승인(approve) 금액이 한도를 초과했습니다.
  > 더 적은 금액을 승인(approve)하거나, APPROVE_AMOUNT_LIMIT 정책의 한도를 늘리도록 관리자에게 요청하십시오.
UNLIMITED_APPROVE_BLOCKED (TX 403): Token approvals without a limit are blocked.
  > Approve the exact amount that is needed.
  ko: 무제한 토큰 승인(approve)은 차단되어 있습니다.
  > 필요한 금액만 승인(approve)하십시오.
BATCH_POLICY_VIOLATION (TX 403): An instruction of the batch violates a policy.
  > Take that instruction out of the batch, or ask the administrator to change the policy.
  ko: 배치에 정책을 위반하는 명령이 있습니다.
  > 해당 명령을 배치에서 빼거나, 정책을 변경하도록 관리자에게 요청하십시오.

POLICY_NOT_FOUND (POLICY 404): There is no such policy.
  > Check the policy's id.
  ko: 정책을 찾을 수 없습니다.
  > 정책 ID를 확인하십시오.
POLICY_DENIED (POLICY 403): A policy denied the request.
  > Send a request that the wallet's policies allow, or ask the administrator to change them.
  ko: 정책에 따라 요청이 거부되었습니다.
  > 지갑 정책에서 허용하는 요청을 보내거나, 정책을 변경하도록 관리자에게 요청하십시오.
SPENDING_LIMIT_EXCEEDED (POLICY 403): The amount is above the spending limit.
  > Send less, wait until the limit's period is over, or ask the administrator to raise the limit.
  ko: 지출 한도를 초과하는 금액입니다.
  > 더 적은 금액을 보내거나, 한도 기간이 끝날 때까지 기다리거나, 한도를 늘리도록 관리자에게 요청하십시오.
WHITELIST_DENIED (POLICY 403): The recipient's address is not on the whitelist.
  > Check the recipient's address, or ask the administrator to add it to the policy WHITELIST.
  ko: 받는 주소가 화이트리스트에 없습니다.
  > 받는 주소를 확인하거나, WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
RATE_LIMIT_EXCEEDED (POLICY 429, retryable): Too many requests.
  > Wait a moment and try again.
  ko: 요청이 너무 많습니다.
  > 잠시 후 다시 시도하십시오.

OWNER_ALREADY_CONNECTED (OWNER 409): An owner is already connected.
  > To connect another owner, disconnect the current one first.
  ko: 이미 소유자가 연결되어 있습니다.
  > 다른 소유자로 바꾸려면 먼저 현재 소유자의 연결을 해제하십시오.
OWNER_NOT_CONNECTED (OWNER 404): No owner is connected.
  > Ask the owner to connect, then try again.
  ko: 연결된 소유자가 없습니다.
  > 소유자에게 연결을 요청한 후 다시 시도하십시오.
OWNER_NOT_FOUND (OWNER 404): There is no such owner.
  > Check the owner's address and the wallet.
  ko: 소유자를 찾을 수 없습니다.
  > 소유자의 주소와 지갑을 확인하십시오.
APPROVAL_NOT_FOUND (OWNER 404): There is no such approval request.
  > Check the id of the approval request and the status of its transaction.
  ko: 승인 요청을 찾을 수 없습니다.
  > 승인 요청의 ID와 해당 트랜잭션의 상태를 확인하십시오.
APPROVAL_TIMEOUT (OWNER 410): The owner did not approve in time.
  > If you still need it, send the transaction again and ask the owner to approve in time.
  ko: 소유자가 제한 시간 안에 승인하지 않았습니다.
  > 여전히 필요하다면 트랜잭션을 다시 보내고, 제한 시간 안에 승인하도록 소유자에게 요청하십시오.
OWNER_NOT_SET (OWNER 400): No owner address is set for the wallet.
  > Set the wallet's owner address first.
  ko: 지갑에 소유자 주소가 설정되어 있지 않습니다.
  > 먼저 지갑의 소유자 주소를 설정하십시오.
OWNER_ADDRESS_MISMATCH (OWNER 403): The address is not the owner's.
  > Use the address that is set as the wallet's owner.
  ko: 소유자의 주소와 일치하지 않습니다.
  > 지갑의 소유자로 설정된 주소를 사용하십시오.

KILL_SWITCH_ACTIVE (SYSTEM 409): The kill switch is on, so the request was refused.
  > Do not send requests until the administrator has switched it off.
  ko: 킬 스위치가 작동 중이므로 요청을 거부했습니다.
  > 관리자가 킬 스위치를 해제할 때까지 요청을 보내지 마십시오.
KILL_SWITCH_NOT_ACTIVE (SYSTEM 409): The kill switch is not on.
  > Nothing needs to be done: the system accepts requests.
  ko: 킬 스위치가 작동 중이 아닙니다.
  > 아무것도 하지 않아도 됩니다. 시스템은 요청을 받고 있습니다.
KILL_SWITCH_ALREADY_ACTIVE (SYSTEM 409): The kill switch is already on.
  > Nothing needs to be done: the system refuses requests already.
  ko: 킬 스위치가 이미 작동 중입니다.
  > 아무것도 하지 않아도 됩니다. 시스템은 이미 요청을 거부하고 있습니다.
INVALID_STATE_TRANSITION (SYSTEM 409): The current state does not allow this change.
  > Check the current state first: it allows only some changes.
  ko: 현재 상태에서는 이렇게 변경할 수 없습니다.
  > 먼저 현재 상태를 확인하십시오. 상태마다 가능한 변경이 정해져 있습니다.
KEYSTORE_LOCKED (SYSTEM 503, retryable): The keystore is locked.
  > Unlock the keystore with the master password, then try again.
  ko: 키 저장소가 잠겨 있습니다.
  > 마스터 비밀번호로 키 저장소의 잠금을 해제한 후 다시 시도하십시오.
SHUTTING_DOWN (SYSTEM 503): The service is shutting down and does not accept new requests.
  > Send the request again once the service has been started.
  ko: 서비스가 종료되는 중이므로 새 요청을 받지 않습니다.
  > 서비스가 다시 시작된 후 요청을 다시 보내십시오.
ADAPTER_NOT_AVAILABLE (SYSTEM 503, retryable): The adapter of this chain is not available at the moment.
  > Try again later. If that does not help, check the chain's settings and its node.
  ko: 현재 이 체인의 어댑터를 사용할 수 없습니다.
  > 잠시 후 다시 시도하십시오. 계속되면 체인 설정과 노드를 확인하십시오.
SCHEMA_INCOMPATIBLE (SYSTEM 503): The schema of the database is not compatible with this version.
  > Inform the operator of the service.
  ko: 데이터베이스 스키마가 이 버전과 호환되지 않습니다.
  > 서비스 운영자에게 알리십시오.
WC_NOT_CONFIGURED (SYSTEM 503): WalletConnect is not configured.
  > Ask the administrator to configure WalletConnect, or use another approval method.
  ko: WalletConnect가 설정되어 있지 않습니다.
  > 관리자에게 WalletConnect 설정을 요청하거나 다른 승인 방법을 사용하십시오.
CHAIN_NOT_SUPPORTED (SYSTEM 400): This chain is not supported.
  > Name a supported chain: solana or ethereum.
  ko: 지원하지 않는 체인입니다.
  > 지원하는 체인(solana 또는 ethereum)을 지정하십시오.
SKILL_NOT_FOUND (SYSTEM 404): There is no such skill.
  > Check the skill's name.
  ko: 스킬을 찾을 수 없습니다.
  > 스킬 이름을 확인하십시오.
WC_SIGNING_FAILED (SYSTEM 502, retryable): Signing over WalletConnect failed.
  > Make sure that the owner's wallet app is open and connected, then try again.
  ko: WalletConnect를 통한 서명에 실패했습니다.
  > 소유자의 지갑 앱이 열려 있고 연결되어 있는지 확인한 후 다시 시도하십시오.

WALLET_NOT_FOUND (WALLET 404): There is no such wallet.
  > Check the wallet's id.
  ko: 지갑을 찾을 수 없습니다.
  > 지갑 ID를 확인하십시오.
WC_SESSION_NOT_FOUND (WALLET 404): The wallet has no WalletConnect session.
  > Ask the wallet's owner to connect over WalletConnect first.
  ko: 지갑에 WalletConnect 세션이 없습니다.
  > 먼저 지갑 소유자에게 WalletConnect 연결을 요청하십시오.
WALLET_SUSPENDED (WALLET 409): The wallet is suspended.
  > Ask the administrator to resume the wallet, or use another one.
  ko: 사용이 정지된 지갑입니다.
  > 관리자에게 지갑의 정지 해제를 요청하거나 다른 지갑을 사용하십시오.
WC_SESSION_EXISTS (WALLET 409): The wallet already has a WalletConnect session.
  > Use the existing WalletConnect session, or disconnect it first.
  ko: 지갑에 이미 WalletConnect 세션이 있습니다.
  > 기존 WalletConnect 세션을 사용하거나 먼저 연결을 끊으십시오.
WALLET_TERMINATED (WALLET 410): The wallet has been terminated.
  > Use another wallet: a terminated wallet cannot be used again.
  ko: 사용이 종료된 지갑입니다.
  > 다른 지갑을 사용하십시오. 종료된 지갑은 다시 사용할 수 없습니다.

NO_OWNER (WITHDRAW 404): The wallet has no owner to withdraw to.
  > Set the wallet's owner address first.
  ko: 지갑에 출금받을 소유자가 없습니다.
  > 먼저 지갑의 소유자 주소를 설정하십시오.
WITHDRAW_LOCKED_ONLY (WITHDRAW 403): Only a wallet whose owner state is LOCKED can be withdrawn from.
  > Ask the owner to verify the owner address first: this sets the owner state to LOCKED.
  ko: 소유자 상태가 LOCKED인 지갑에서만 출금할 수 있습니다.
  > 먼저 소유자가 소유자 주소를 인증해야 합니다. 인증하면 소유자 상태가 LOCKED로 바뀝니다.
SWEEP_TOTAL_FAILURE (WITHDRAW 500, retryable): Every transfer of the withdrawal failed.
  > Check the balance for the fees and the chain's node, then try again.
  ko: 출금의 모든 전송이 실패했습니다.
  > 수수료를 낼 잔액과 체인 노드를 확인한 후 다시 시도하십시오.

ACTION_NOT_FOUND (ACTION 404): There is no such action.
  > Check the names of the provider and of the action.
  ko: 액션을 찾을 수 없습니다.
  > 제공자 이름과 액션 이름을 확인하십시오.
API_KEY_REQUIRED (ACTION 403): The action needs an API key, which is not set.
  > Ask the administrator to set the API key of the action's provider.
  ko: 액션에 필요한 API 키가 설정되어 있지 않습니다.
  > 관리자에게 액션 제공자의 API 키 설정을 요청하십시오.
ACTION_VALIDATION_FAILED (ACTION 400): The input is not valid.
  > Correct the fields named in the details, and send the request again.
  ko: 입력값이 올바르지 않습니다.
  > 세부 정보(details)에 표시된 필드를 바로잡아 요청을 다시 보내십시오.
ACTION_CHAIN_MISMATCH (ACTION 400): The action does not work on the wallet's chain.
  > Use a wallet on a chain that the action works on.
  ko: 지갑의 체인에서 사용할 수 없는 액션입니다.
  > 액션을 사용할 수 있는 체인의 지갑을 사용하십시오.
ACTION_RESOLVE_FAILED (ACTION 502, retryable): The action could not be turned into a transaction.
  > Try again later. If that does not help, check the action's parameters and its provider.
  ko: 액션을 트랜잭션으로 변환하지 못했습니다.
  > 잠시 후 다시 시도하십시오. 계속되면 액션의 매개변수와 제공자를 확인하십시오.
ACTION_RETURN_INVALID (ACTION 500): The action returned an invalid result.
  > Report this to the author of the action's plugin.
  ko: 액션이 반환한 결과의 형식이 올바르지 않습니다.
  > 액션 플러그인의 작성자에게 제보하십시오.
ACTION_PLUGIN_LOAD_FAILED (ACTION 500): The action plugin could not be loaded.
  > Look for the cause in the service's log, then fix or remove the plugin.
  ko: 액션 플러그인을 불러오지 못했습니다.
  > 서비스 로그에서 원인을 찾아 플러그인을 고치거나 제거하십시오.
ACTION_NAME_CONFLICT (ACTION 409): An action of this name is already registered.
  > Rename one of the two actions, or remove one of their plugins.
  ko: 같은 이름의 액션이 이미 등록되어 있습니다.
  > 두 액션 중 하나의 이름을 바꾸거나 플러그인 하나를 제거하십시오.

ROTATION_TOO_RECENT (ADMIN 429): The key was created less than 5 minutes ago.
  > Rotate it 5 minutes after it was created.
  ko: 키를 만든 지 얼마 되지 않았습니다.
  > 키를 만든 지 5분이 지나면 교체하십시오.

X402_DISABLED (X402 403): x402 payments are disabled.
  > Ask the administrator to enable x402 payments.
  ko: x402 결제가 비활성화되어 있습니다.
  > 관리자에게 x402 결제 활성화를 요청하십시오.
X402_DOMAIN_NOT_ALLOWED (X402 403): The wallet's policies do not allow x402 payments to this domain.
  > Check the domain, or ask the administrator to add it to the policy X402_ALLOWED_DOMAINS.
  ko: 지갑 정책에서 x402 결제를 허용하지 않는 도메인입니다.
  > 도메인을 확인하거나, X402_ALLOWED_DOMAINS 정책에 추가하도록 관리자에게 요청하십시오.
X402_SSRF_BLOCKED (X402 403): The URL leads to an internal address and was blocked.
  > Use a public URL.
  ko: 내부 주소로 연결되는 URL이므로 차단했습니다.
  > 공개된 URL을 사용하십시오.
X402_APPROVAL_REQUIRED (X402 403): The x402 payment needs the owner's approval.
  > Ask the owner to approve the payment, or pay an amount that needs no approval.
  ko: x402 결제에 소유자의 승인이 필요합니다.
  > 소유자에게 결제 승인을 요청하거나 승인이 필요 없는 금액을 결제하십시오.
X402_UNSUPPORTED_SCHEME (X402 400): The server asks for an x402 payment scheme that is not supported.
  > Pay in another way: this scheme cannot be paid from here.
  ko: 서버에서 요구하는 x402 결제 방식을 지원하지 않습니다.
  > 다른 방법으로 결제하십시오. 이 방식은 여기에서 결제할 수 없습니다.
X402_PAYMENT_REJECTED (X402 402): The server rejected the x402 payment.
  > Read the server's answer before you pay again.
  ko: 서버가 x402 결제를 거절했습니다.
  > 다시 결제하기 전에 서버의 응답을 확인하십시오.
X402_DELAY_TIMEOUT (X402 408, retryable): The delay of the x402 payment did not end while the request waited.
  > Try again later, or pay an amount that the policies allow without a delay.
  ko: 요청 대기 시간 안에 x402 결제의 지연 시간이 끝나지 않았습니다.
  > 나중에 다시 시도하거나 정책상 지연 없이 결제할 수 있는 금액을 결제하십시오.
X402_SERVER_ERROR (X402 502, retryable): The server of the x402 payment answered with an error.
  > Try again later. If that does not help, ask the server's operator.
  ko: x402 결제 서버에서 오류를 반환했습니다.
  > 나중에 다시 시도하십시오. 계속되면 서버 운영자에게 문의하십시오.

WALLET_NOT_REGISTERED (SIGNING 404): The wallet app is not registered for signing.
  > Register the wallet app for signing first.
  ko: 서명용으로 등록되지 않은 지갑 앱입니다.
  > 먼저 지갑 앱을 서명용으로 등록하십시오.
SIGN_REQUEST_NOT_FOUND (SIGNING 404): There is no such sign request.
  > Check the id of the sign request.
  ko: 서명 요청을 찾을 수 없습니다.
  > 서명 요청의 ID를 확인하십시오.
SIGNING_SDK_DISABLED (SIGNING 403): The signing SDK is disabled.
  > Ask the administrator to enable the signing SDK, or use another approval method.
  ko: 서명 SDK가 비활성화되어 있습니다.
  > 관리자에게 서명 SDK 활성화를 요청하거나 다른 승인 방법을 사용하십시오.
SIGNER_ADDRESS_MISMATCH (SIGNING 403): The sign request was not signed by the owner's address.
  > Sign with the wallet's owner address.
  ko: 소유자가 아닌 주소로 서명되었습니다.
  > 지갑의 소유자 주소로 서명하십시오.
SIGN_REQUEST_EXPIRED (SIGNING 408): The sign request has expired.
  > If the signature is still needed, request it again.
  ko: 서명 요청이 만료되었습니다.
  > 서명이 여전히 필요하다면 다시 요청하십시오.
INVALID_SIGN_RESPONSE (SIGNING 400): The response to the sign request is malformed.
  > Send the response again in the format of the signing SDK.
  ko: 서명 응답의 형식이 올바르지 않습니다.
  > 서명 SDK에서 정한 형식으로 응답을 다시 보내십시오.
SIGN_REQUEST_ALREADY_PROCESSED (SIGNING 409): The sign request has already been processed.
  > Nothing needs to be done: check the status of its transaction.
  ko: 이미 처리된 서명 요청입니다.
  > 아무것도 하지 않아도 됩니다. 해당 트랜잭션의 상태를 확인하십시오.
"""

_OF_THE_LIBRARY: Final = """\
DATABASE_BUSY (DATABASE 503, retryable): The database is busy.
  > Send the request again in a moment.
  ko: 데이터베이스가 다른 요청을 처리하고 있습니다.
  > 잠시 후 다시 요청하십시오.
DATABASE_UNAVAILABLE (DATABASE 503): The database cannot be used at the moment.
  > Inform the operator of the service.
  ko: 지금은 데이터베이스를 사용할 수 없습니다.
  > 서비스 운영자에게 알리십시오.
"""

#: The entries of all codes.
CODES: Final = _OF_THE_DAEMON + _OF_THE_LIBRARY


def _table(entries: str) -> Mapping[str, ErrorCode]:
    return MappingProxyType(
        {
            name: ErrorCode(name, domain, int(status), "retryable" in rest)
            for name, (domain, status, *rest) in facts_in(entries)
        }
    )


#: The daemon's error codes by name; read-only. The library raises those about sessions, wallets and the database.
ERROR_CODES: Final = _table(_OF_THE_DAEMON)

#: The codes that only this library has, by name; read-only.
OWN_CODES: Final = _table(_OF_THE_LIBRARY)

#: All codes by name; read-only.
ALL_CODES: Final[Mapping[str, ErrorCode]] = MappingProxyType({**ERROR_CODES, **OWN_CODES})
