"""The Korean texts, with the names and placeholders of :mod:`waiaas.errors.en`.

No particle whose form depends on the sound before it (을/를, 이/가, 은/는, 으로/로) follows a placeholder, because
nobody knows how the value ends.
"""

from typing import Final

CODES: Final = """\
INVALID_TOKEN: 세션 토큰이 올바르지 않습니다.
  > 세션을 만들거나 마지막으로 갱신할 때 받은 토큰을 보내십시오. 토큰을 잃어버렸다면 새 세션을 만드십시오.
TOKEN_EXPIRED: 세션 토큰이 만료되었습니다.
  > 새 세션을 만들고, 토큰이 만료되기 전에 갱신하십시오.
SESSION_REVOKED: 취소된 세션입니다.
  > 새 세션을 만드십시오. 취소된 세션은 다시 사용할 수 없습니다.
INVALID_SIGNATURE: 서명을 검증할 수 없습니다.
  > 제시된 메시지를 그대로, 지정된 주소의 키로 서명하여 요청을 다시 보내십시오.
INVALID_NONCE: 논스(nonce)가 올바르지 않거나 이미 사용되었거나 만료되었습니다.
  > 새 논스(nonce)를 요청하여 서명하십시오. 논스는 한 번만 사용할 수 있습니다.
INVALID_MASTER_PASSWORD: 마스터 비밀번호가 올바르지 않습니다.
  > 올바른 마스터 비밀번호를 입력하십시오. 여러 번 잘못 입력하면 잠깁니다.
MASTER_PASSWORD_LOCKED: 마스터 비밀번호를 여러 번 잘못 입력하여 잠겼습니다.
  > 잠금이 풀릴 때까지 기다린 후 올바른 마스터 비밀번호를 입력하십시오.
SYSTEM_LOCKED: 시스템이 잠겨 있어 요청을 처리할 수 없습니다.
  > 관리자에게 시스템 잠금 해제를 요청한 후 요청을 다시 보내십시오.

SESSION_NOT_FOUND: 세션을 찾을 수 없습니다.
  > 세션 ID를 확인하거나 새 세션을 만드십시오.
SESSION_EXPIRED: 세션이 만료되었습니다.
  > 새 세션을 만드십시오.
SESSION_LIMIT_EXCEEDED: 지갑의 활성 세션 수가 한도에 도달했습니다.
  > 이 지갑의 세션 중 필요 없는 것을 취소하거나 지갑당 세션 수 한도를 늘리십시오.
CONSTRAINT_VIOLATED: 세션에 설정된 제약 조건에 어긋나는 요청입니다.
  > 세션의 제약 조건을 지키거나 제약이 더 넓은 세션을 만드십시오.
RENEWAL_LIMIT_REACHED: 세션의 최대 갱신 횟수에 도달했습니다.
  > 이 세션이 만료되기 전에 새 세션을 만드십시오.
SESSION_ABSOLUTE_LIFETIME_EXCEEDED: 세션의 최대 수명이 끝났습니다.
  > 새 세션을 만드십시오. 이 세션은 더 이상 갱신할 수 없습니다.
RENEWAL_TOO_EARLY: 아직 세션을 갱신할 수 없습니다. 유효 기간이 절반 이상 지나야 합니다.
  > 현재 토큰을 계속 사용하고, 유효 기간이 절반 이상 지난 후 갱신하십시오.
SESSION_RENEWAL_MISMATCH: 갱신에 사용한 토큰이 세션의 현재 토큰과 다릅니다.
  > 가장 최근의 토큰으로 갱신하십시오. 다른 프로세스가 세션을 갱신했다면 그 토큰을 사용하십시오.
WALLET_ACCESS_DENIED: 이 세션에 연결되지 않은 지갑입니다.
  > 세션에 연결된 지갑을 지정하거나 먼저 이 지갑을 연결하십시오.
WALLET_ALREADY_LINKED: 이미 이 세션에 연결된 지갑입니다.
  > 아무것도 하지 않아도 됩니다. 세션에서 이미 이 지갑을 사용할 수 있습니다.
CANNOT_REMOVE_DEFAULT_WALLET: 세션의 기본 지갑은 연결을 해제할 수 없습니다.
  > 먼저 연결된 다른 지갑을 기본 지갑으로 지정한 후 이 지갑의 연결을 해제하십시오.
SESSION_REQUIRES_WALLET: 세션에는 지갑이 하나 이상 있어야 합니다.
  > 먼저 다른 지갑을 연결하거나 세션을 취소하십시오.

PIPELINE_HALTED: 트랜잭션이 지연 시간 경과 또는 소유자 승인을 기다리고 있습니다.
  > 다시 보내지 마십시오. 지연 시간이 끝나거나 소유자가 승인하면 계속 진행됩니다.
TX_ALREADY_PROCESSED: 이미 처리된 트랜잭션입니다.
  > 다시 보내지 말고 트랜잭션의 상태를 확인하십시오.
INSUFFICIENT_BALANCE: 지갑 잔액이 부족합니다.
  > 지갑에 자금을 넣거나 더 적은 금액을 보내십시오.
INVALID_ADDRESS: 이 체인에서 사용할 수 없는 주소입니다.
  > 주소가 올바른지, 지갑의 체인에 속하는지 확인하십시오.
INSUFFICIENT_TOKEN_BALANCE: 지갑의 토큰 잔액이 부족합니다.
  > 지갑에 토큰을 넣거나 더 적은 수량을 보내십시오.
BATCH_NOT_SUPPORTED: 이 체인은 배치 트랜잭션을 지원하지 않습니다.
  > 명령을 하나씩 보내십시오.
BATCH_SIZE_EXCEEDED: 배치에 담을 수 있는 명령 수를 초과했습니다.
  > 더 작은 배치로 나누십시오.
ENVIRONMENT_NETWORK_MISMATCH: 지갑 환경에 속하지 않는 네트워크입니다.
  > 지갑 환경(testnet 또는 mainnet)에 속하는 네트워크를 지정하거나 다른 환경의 지갑을 사용하십시오.
INVALID_TRANSACTION: 트랜잭션 형식이 올바르지 않습니다.
  > 지갑의 체인에 맞게 트랜잭션을 다시 만들고 인코딩을 확인하십시오.
WALLET_NOT_SIGNER: 지갑이 트랜잭션의 서명자가 아닙니다.
  > 이 지갑이 서명하도록 트랜잭션을 만들거나 서명자인 지갑을 사용하십시오.
UNSUPPORTED_TX_TYPE: 지원하지 않는 트랜잭션 유형입니다.
  > 지갑의 체인에서 지원하는 트랜잭션 유형을 사용하십시오.
CHAIN_ID_MISMATCH: 트랜잭션의 체인 ID가 네트워크와 일치하지 않습니다.
  > 네트워크의 체인 ID로 트랜잭션을 만들거나, 트랜잭션을 만든 네트워크를 지정하십시오.
ABI_ENCODING_FAILED: 컨트랙트 호출을 ABI로 인코딩하지 못했습니다.
  > ABI, 함수 이름, 인수의 개수와 타입을 확인하십시오.
INSUFFICIENT_FOR_FEE: 지갑 잔액이 네트워크 수수료보다 적습니다.
  > 수수료로 쓸 체인의 기본 코인을 지갑에 넣으십시오.
TX_NOT_FOUND: 트랜잭션을 찾을 수 없습니다.
  > 트랜잭션 ID를 확인하십시오.
TOKEN_NOT_FOUND: 이 네트워크에서 토큰을 찾을 수 없습니다.
  > 토큰의 주소와 네트워크를 확인하거나 토큰을 레지스트리에 추가하십시오.
TX_EXPIRED: 트랜잭션이 만료되었습니다.
  > 여전히 필요하다면 새 트랜잭션으로 보내십시오.
CHAIN_ERROR: 블록체인 노드에서 오류를 반환했습니다.
  > 다시 시도하기 전에 트랜잭션이 체인에 도달했는지 확인하십시오.
SIMULATION_FAILED: 시뮬레이션에 실패하여 트랜잭션을 전송하지 않았습니다.
  > 체인에서 실패하는 원인(잔액, 인수, 컨트랙트 상태)을 찾아 고친 후 다시 보내십시오.
TOKEN_NOT_ALLOWED: 지갑 정책에서 허용하지 않는 토큰입니다.
  > 허용된 토큰을 사용하거나, ALLOWED_TOKENS 정책에 이 토큰을 추가하도록 관리자에게 요청하십시오.
CONTRACT_CALL_DISABLED: 이 지갑에는 컨트랙트 호출이 허용되어 있지 않습니다.
  > CONTRACT_WHITELIST 정책에서 이 컨트랙트를 허용하도록 관리자에게 요청하십시오.
CONTRACT_NOT_WHITELISTED: 화이트리스트에 없는 컨트랙트입니다.
  > 컨트랙트 주소를 확인하거나, CONTRACT_WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
METHOD_NOT_WHITELISTED: 화이트리스트에 없는 컨트랙트 메서드입니다.
  > 메서드를 확인하거나, METHOD_WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
APPROVE_DISABLED: 이 지갑에는 토큰 승인(approve)이 허용되어 있지 않습니다.
  > APPROVED_SPENDERS 정책에서 이 지출자(spender)를 허용하도록 관리자에게 요청하십시오.
SPENDER_NOT_APPROVED: 승인된 지출자(spender) 목록에 없는 주소입니다.
  > 지출자(spender) 주소를 확인하거나, APPROVED_SPENDERS 정책에 추가하도록 관리자에게 요청하십시오.
APPROVE_AMOUNT_EXCEEDED: 토큰 승인(approve) 금액이 한도를 초과했습니다.
  > 더 적은 금액을 승인(approve)하거나, APPROVE_AMOUNT_LIMIT 정책의 한도를 늘리도록 관리자에게 요청하십시오.
UNLIMITED_APPROVE_BLOCKED: 무제한 토큰 승인(approve)은 차단되어 있습니다.
  > 필요한 금액만 승인(approve)하십시오.
BATCH_POLICY_VIOLATION: 배치에 정책을 위반하는 명령이 있습니다.
  > 해당 명령을 배치에서 빼거나, 정책을 변경하도록 관리자에게 요청하십시오.

POLICY_NOT_FOUND: 정책을 찾을 수 없습니다.
  > 정책 ID를 확인하십시오.
POLICY_DENIED: 정책에 따라 요청이 거부되었습니다.
  > 지갑 정책에서 허용하는 요청을 보내거나, 정책을 변경하도록 관리자에게 요청하십시오.
SPENDING_LIMIT_EXCEEDED: 지출 한도를 초과하는 금액입니다.
  > 더 적은 금액을 보내거나, 한도 기간이 끝날 때까지 기다리거나, 한도를 늘리도록 관리자에게 요청하십시오.
WHITELIST_DENIED: 받는 주소가 화이트리스트에 없습니다.
  > 받는 주소를 확인하거나, WHITELIST 정책에 추가하도록 관리자에게 요청하십시오.
RATE_LIMIT_EXCEEDED: 요청이 너무 많습니다.
  > 잠시 후 다시 시도하십시오.

OWNER_ALREADY_CONNECTED: 이미 소유자가 연결되어 있습니다.
  > 다른 소유자로 바꾸려면 먼저 현재 소유자의 연결을 해제하십시오.
OWNER_NOT_CONNECTED: 연결된 소유자가 없습니다.
  > 소유자에게 연결을 요청한 후 다시 시도하십시오.
OWNER_NOT_FOUND: 소유자를 찾을 수 없습니다.
  > 소유자의 주소와 지갑을 확인하십시오.
APPROVAL_NOT_FOUND: 승인 요청을 찾을 수 없습니다.
  > 승인 요청의 ID와 해당 트랜잭션의 상태를 확인하십시오.
APPROVAL_TIMEOUT: 소유자가 제한 시간 안에 승인하지 않았습니다.
  > 여전히 필요하다면 트랜잭션을 다시 보내고, 제한 시간 안에 승인하도록 소유자에게 요청하십시오.
OWNER_NOT_SET: 지갑에 소유자 주소가 설정되어 있지 않습니다.
  > 먼저 지갑의 소유자 주소를 설정하십시오.
OWNER_ADDRESS_MISMATCH: 소유자의 주소와 일치하지 않습니다.
  > 지갑의 소유자로 설정된 주소를 사용하십시오.

KILL_SWITCH_ACTIVE: 킬 스위치가 작동 중이므로 요청을 거부했습니다.
  > 관리자가 킬 스위치를 해제할 때까지 요청을 보내지 마십시오.
KILL_SWITCH_NOT_ACTIVE: 킬 스위치가 작동 중이 아닙니다.
  > 아무것도 하지 않아도 됩니다. 시스템은 요청을 받고 있습니다.
KILL_SWITCH_ALREADY_ACTIVE: 킬 스위치가 이미 작동 중입니다.
  > 아무것도 하지 않아도 됩니다. 시스템은 이미 요청을 거부하고 있습니다.
INVALID_STATE_TRANSITION: 현재 상태에서는 이렇게 변경할 수 없습니다.
  > 먼저 현재 상태를 확인하십시오. 상태마다 가능한 변경이 정해져 있습니다.
KEYSTORE_LOCKED: 키 저장소가 잠겨 있습니다.
  > 마스터 비밀번호로 키 저장소의 잠금을 해제한 후 다시 시도하십시오.
SHUTTING_DOWN: 서비스가 종료되는 중이므로 새 요청을 받지 않습니다.
  > 서비스가 다시 시작된 후 요청을 다시 보내십시오.
ADAPTER_NOT_AVAILABLE: 현재 이 체인의 어댑터를 사용할 수 없습니다.
  > 잠시 후 다시 시도하십시오. 계속되면 체인 설정과 노드를 확인하십시오.
SCHEMA_INCOMPATIBLE: 데이터베이스 스키마가 이 버전과 호환되지 않습니다.
  > 서비스 운영자에게 알리십시오.
WC_NOT_CONFIGURED: WalletConnect가 설정되어 있지 않습니다.
  > 관리자에게 WalletConnect 설정을 요청하거나 다른 승인 방법을 사용하십시오.
CHAIN_NOT_SUPPORTED: 지원하지 않는 체인입니다.
  > 지원하는 체인(solana 또는 ethereum)을 지정하십시오.
SKILL_NOT_FOUND: 스킬을 찾을 수 없습니다.
  > 스킬 이름을 확인하십시오.
WC_SIGNING_FAILED: WalletConnect를 통한 서명에 실패했습니다.
  > 소유자의 지갑 앱이 열려 있고 연결되어 있는지 확인한 후 다시 시도하십시오.

WALLET_NOT_FOUND: 지갑을 찾을 수 없습니다.
  > 지갑 ID를 확인하십시오.
WC_SESSION_NOT_FOUND: 지갑에 WalletConnect 세션이 없습니다.
  > 먼저 지갑 소유자에게 WalletConnect 연결을 요청하십시오.
WALLET_SUSPENDED: 사용이 정지된 지갑입니다.
  > 관리자에게 지갑의 정지 해제를 요청하거나 다른 지갑을 사용하십시오.
WC_SESSION_EXISTS: 지갑에 이미 WalletConnect 세션이 있습니다.
  > 기존 WalletConnect 세션을 사용하거나 먼저 연결을 끊으십시오.
WALLET_TERMINATED: 사용이 종료된 지갑입니다.
  > 다른 지갑을 사용하십시오. 종료된 지갑은 다시 사용할 수 없습니다.

NO_OWNER: 지갑에 출금받을 소유자가 없습니다.
  > 먼저 지갑의 소유자 주소를 설정하십시오.
WITHDRAW_LOCKED_ONLY: 소유자 상태가 LOCKED인 지갑에서만 출금할 수 있습니다.
  > 먼저 소유자가 소유자 주소를 인증해야 합니다. 인증하면 소유자 상태가 LOCKED로 바뀝니다.
SWEEP_TOTAL_FAILURE: 출금의 모든 전송이 실패했습니다.
  > 수수료를 낼 잔액과 체인 노드를 확인한 후 다시 시도하십시오.

ACTION_NOT_FOUND: 액션을 찾을 수 없습니다.
  > 제공자 이름과 액션 이름을 확인하십시오.
API_KEY_REQUIRED: 액션에 필요한 API 키가 설정되어 있지 않습니다.
  > 관리자에게 액션 제공자의 API 키 설정을 요청하십시오.
ACTION_VALIDATION_FAILED: 입력값이 올바르지 않습니다.
  > 세부 정보(details)에 표시된 필드를 바로잡아 요청을 다시 보내십시오.
ACTION_CHAIN_MISMATCH: 지갑의 체인에서 사용할 수 없는 액션입니다.
  > 액션을 사용할 수 있는 체인의 지갑을 사용하십시오.
ACTION_RESOLVE_FAILED: 액션을 트랜잭션으로 변환하지 못했습니다.
  > 잠시 후 다시 시도하십시오. 계속되면 액션의 매개변수와 제공자를 확인하십시오.
ACTION_RETURN_INVALID: 액션이 반환한 결과의 형식이 올바르지 않습니다.
  > 액션 플러그인의 작성자에게 제보하십시오.
ACTION_PLUGIN_LOAD_FAILED: 액션 플러그인을 불러오지 못했습니다.
  > 서비스 로그에서 원인을 찾아 플러그인을 고치거나 제거하십시오.
ACTION_NAME_CONFLICT: 같은 이름의 액션이 이미 등록되어 있습니다.
  > 두 액션 중 하나의 이름을 바꾸거나 플러그인 하나를 제거하십시오.

ROTATION_TOO_RECENT: 키를 만든 지 얼마 되지 않았습니다.
  > 키를 만든 지 5분이 지나면 교체하십시오.

X402_DISABLED: x402 결제가 비활성화되어 있습니다.
  > 관리자에게 x402 결제 활성화를 요청하십시오.
X402_DOMAIN_NOT_ALLOWED: 지갑 정책에서 x402 결제를 허용하지 않는 도메인입니다.
  > 도메인을 확인하거나, X402_ALLOWED_DOMAINS 정책에 추가하도록 관리자에게 요청하십시오.
X402_SSRF_BLOCKED: 내부 주소로 연결되는 URL이므로 차단했습니다.
  > 공개된 URL을 사용하십시오.
X402_APPROVAL_REQUIRED: x402 결제에 소유자의 승인이 필요합니다.
  > 소유자에게 결제 승인을 요청하거나 승인이 필요 없는 금액을 결제하십시오.
X402_UNSUPPORTED_SCHEME: 서버에서 요구하는 x402 결제 방식을 지원하지 않습니다.
  > 다른 방법으로 결제하십시오. 이 방식은 여기에서 결제할 수 없습니다.
X402_PAYMENT_REJECTED: 서버가 x402 결제를 거절했습니다.
  > 다시 결제하기 전에 서버의 응답을 확인하십시오.
X402_DELAY_TIMEOUT: 요청 대기 시간 안에 x402 결제의 지연 시간이 끝나지 않았습니다.
  > 나중에 다시 시도하거나 정책상 지연 없이 결제할 수 있는 금액을 결제하십시오.
X402_SERVER_ERROR: x402 결제 서버에서 오류를 반환했습니다.
  > 나중에 다시 시도하십시오. 계속되면 서버 운영자에게 문의하십시오.

WALLET_NOT_REGISTERED: 서명용으로 등록되지 않은 지갑 앱입니다.
  > 먼저 지갑 앱을 서명용으로 등록하십시오.
SIGN_REQUEST_NOT_FOUND: 서명 요청을 찾을 수 없습니다.
  > 서명 요청의 ID를 확인하십시오.
SIGNING_SDK_DISABLED: 서명 SDK가 비활성화되어 있습니다.
  > 관리자에게 서명 SDK 활성화를 요청하거나 다른 승인 방법을 사용하십시오.
SIGNER_ADDRESS_MISMATCH: 소유자가 아닌 주소로 서명되었습니다.
  > 지갑의 소유자 주소로 서명하십시오.
SIGN_REQUEST_EXPIRED: 서명 요청이 만료되었습니다.
  > 서명이 여전히 필요하다면 다시 요청하십시오.
INVALID_SIGN_RESPONSE: 서명 응답의 형식이 올바르지 않습니다.
  > 서명 SDK에서 정한 형식으로 응답을 다시 보내십시오.
SIGN_REQUEST_ALREADY_PROCESSED: 이미 처리된 서명 요청입니다.
  > 아무것도 하지 않아도 됩니다. 해당 트랜잭션의 상태를 확인하십시오.

DATABASE_BUSY: 데이터베이스가 다른 요청을 처리하고 있습니다.
  > 잠시 후 다시 요청하십시오.
DATABASE_UNAVAILABLE: 지금은 데이터베이스를 사용할 수 없습니다.
  > 서비스 운영자에게 알리십시오.
"""

REASONS: Final = """\
file_not_found: {path} 파일이 없습니다.
  > 경로에 오타가 없는지 확인하십시오. `waiaas init PATH` 명령은 새 데이터베이스를 만들 때만 사용합니다.
not_a_file: {path}: 폴더나 장치이며 파일이 아닙니다.
  > 데이터베이스 파일의 경로를 지정하십시오.
file_exists: {path} 경로에 비어 있지 않은 파일이 이미 있습니다.
  > 다른 경로를 지정하거나 기존 파일을 사용하십시오. `waiaas status` 명령으로 스키마 버전을 확인할 수 있습니다.
not_a_database: {path} 파일은 SQLite 데이터베이스가 아니거나 암호화되어 있습니다.
  > 올바른 파일을 지정하십시오. 원래 데이터베이스였다면 백업에서 복원하십시오.
other_program: {path}: 다른 프로그램의 데이터베이스입니다. 다음 WAIaaS 테이블이 없습니다: {tables}.
  > WAIaaS 데이터베이스 파일을 지정하십시오.
schema_version_missing: {path} 파일에 WAIaaS 테이블은 있지만 schema_version 테이블이 없어 스키마 버전을 알 수
    없습니다.
  > 백업에서 데이터베이스를 복원하십시오.
schema_version_empty: {path} 파일의 schema_version 테이블에 유효한 행이 없어 스키마 버전을 알 수 없습니다.
  > 백업에서 데이터베이스를 복원하십시오.
code_too_old: 설치된 waiaas 릴리스가 너무 오래되었습니다. 스키마 버전 {latest}까지만 지원하는데 {path} 파일의 스키마
    버전은 {version}입니다.
  > waiaas의 최신 릴리스를 설치하십시오.
empty_database: {path} 데이터베이스에 아직 테이블이 없어 업그레이드할 내용이 없습니다.
  > connect() 함수나 `waiaas init` 명령으로 테이블을 만드십시오.
not_a_path: 데이터베이스 파일 경로가 필요한 자리에 URL 또는 연결 문자열이 지정되었습니다.
  > SQLite 파일의 경로를 지정하십시오. PostgreSQL 데이터베이스는 Peewee의 `PostgresqlDatabase`로 서비스에
    전달하십시오.
not_sqlite: 이 라이브러리로 다룰 수 없는 데이터베이스입니다. 형식: {backend}.
  > SQLite 파일 경로, PostgreSQL 데이터베이스 URL 또는 connect() 함수의 반환값을 사용하십시오.
needs_file: {path} 데이터베이스는 파일이 아닙니다. 이 작업은 SQLite 파일에만 사용할 수 있습니다.
  > 서버에 있는 데이터베이스에는 pg_dump, pg_restore 등 PostgreSQL 도구를 사용하십시오.
upgrade_pending: {path} 데이터베이스(스키마 버전: {version})는 업그레이드해야 사용할 수 있습니다.
  > connect() 함수나 `waiaas upgrade` 명령으로 업그레이드하십시오. `waiaas plan` 명령은 업그레이드할 내용을 미리 알려
    줍니다.

database_closed: 이 프로그램에서 {path} 데이터베이스를 이미 닫았습니다.
  > connect() 함수로 다시 열고, 마지막으로 사용한 뒤에만 닫으십시오.
inside_transaction: 이 연결에 열려 있는 트랜잭션이 있어 이 변경에 필요한 새 트랜잭션을 시작할 수 없습니다.
  > 먼저 트랜잭션을 커밋하거나 롤백한 후 다시 실행하십시오.
connection_settings: 이 연결로는 테이블을 안전하게 변경할 수 없습니다. 문제: {problem}.
  > 해당 설정을 바꾸거나 그 설정 없이 데이터베이스를 다시 연 후 다시 실행하십시오.
unfinished_query: 이 연결에 아직 다 읽지 않은 조회 결과가 있어 테이블을 변경할 수 없습니다.
  > 조회 결과를 끝까지 읽거나 커서를 닫은 후 다시 실행하십시오.
hidden_table: 이 {path} 연결에 이름이 {table}인 임시 테이블이나 뷰가 있어 데이터베이스의 테이블이 가려집니다. 변경된
    내용은 없습니다.
  > 임시 테이블의 이름을 바꾸거나 다른 연결에서 사용하십시오.
change_undone: 트리거가 {path} 파일의 {table} 테이블 변경을 되돌렸습니다. 변경된 내용은 없습니다.
  > `waiaas check FILE` 명령으로 파일의 트리거 이름을 확인하고 원인이 되는 트리거를 삭제하십시오. 임시 트리거는
    프로그램의 연결에 속합니다.
database_busy: 다른 연결이 {path} 데이터베이스를 잠그고 있으며 {seconds}초 안에 잠금을 풀지 않았습니다.
  > 데몬이나 파일을 사용하는 다른 프로그램을 중지한 후 다시 시도하십시오.
read_only: {path} 파일에 쓸 수 없습니다. 파일이나 폴더가 읽기 전용입니다.
  > 파일과 폴더에 모두 쓰기 권한을 부여하십시오. SQLite는 파일과 같은 폴더에 저널을 기록합니다.
cannot_open: SQLite에서 {path} 파일을 열 수 없습니다. 원인: {cause}.
  > 경로와 파일 및 폴더의 권한을 확인하십시오.
log_unreadable: {path} 파일의 WAL 로그를 읽을 수 없습니다. SQLite가 로그의 인덱스를 같은 폴더에 써야 하지만 폴더가
    읽기 전용입니다.
  > 폴더에 쓰기 권한을 부여하십시오. 또는 파일과 그 로그(옆에 있는 `-wal` 파일)를 쓸 수 있는 폴더에 함께 복사하고
    사본을 지정하십시오.
log_without_database: {path} 파일이 없거나 비어 있지만 {sidecar} 파일에는 내용이 있습니다. 이대로 열면 SQLite가
    {sidecar} 파일을 내용과 함께 삭제합니다.
  > {sidecar} 파일에 해당하는 데이터베이스 파일을 되돌려 놓거나 {sidecar} 파일을 다른 폴더로 옮기십시오.
sidecar_not_a_file: {sidecar} 파일은 이름이 하나뿐인 일반 파일이 아닙니다. SQLite가 이 파일을 {path} 파일의 일부로
    읽게 됩니다.
  > 누가 {sidecar} 파일을 만들었는지 확인하고 제거하십시오. 데이터베이스의 폴더는 사용자 본인의 소유여야 합니다.
sidecar_of_another_user: {sidecar} 파일은 {path} 파일에 쓸 수 없는 다른 사용자(사용자 ID {owner})의 소유입니다.
    SQLite가 이 파일을 {path} 파일의 일부로 읽게 됩니다.
  > 누가 {sidecar} 파일을 만들었는지 확인하고 다른 곳으로 옮기십시오. 데이터베이스의 폴더는 사용자 본인의 소유여야
    합니다. 그 사용자도 데이터베이스를 사용해야 한다면 공용 그룹에 {path} 파일의 쓰기 권한을 부여하십시오.
file_replaced: {path} 파일은 처음에 연 파일이 아닙니다. 파일의 이름이 바뀌었거나 삭제 또는 교체되었습니다.
  > 파일을 되돌려 놓거나, 지금 있는 파일을 열도록 프로그램을 다시 시작하십시오.
file_in_use: 다른 프로그램이 {path} 파일을 열어 두고 있습니다: {programs}.
  > 이전 버전의 데몬이면 다시 시작하십시오. 새 테이블로는 작동하지 않습니다.
disk_full: 디스크 공간이 부족하거나 할당량 또는 파일 크기 제한에 도달하여 {path} 파일에 쓸 수 없습니다.
  > 공간을 확보한 후 다시 시도하십시오.
io_error: {path} 파일에서 운영 체제 입출력 오류가 발생했습니다. 원인: {cause}.
  > 디스크와 연결 상태를 확인한 후 다시 시도하십시오.
no_room_for_temporary_files: {path} 파일이나 {folder} 폴더에 있는 SQLite 임시 파일을 쓸 공간이 부족합니다. 원인:
    {cause}.
  > 두 폴더에 공간을 확보하거나 `SQLITE_TMPDIR`에 다른 폴더를 지정한 후 다시 시도하십시오.
clock_unusable: 시계의 값 {time}(Unix 초)은 1970년에서 9999년 사이의 시각이 아닙니다.
  > 시계를 맞춘 후 다시 시도하십시오.
too_many_files: 이 프로세스 또는 시스템에서 열린 파일이 너무 많아 {path} 파일을 열 수 없습니다.
  > 열린 파일 수 제한(`ulimit -n`)을 늘리거나 파일을 닫은 후 다시 시도하십시오.
out_of_memory: {path} 파일을 처리할 메모리가 부족합니다.
  > 메모리를 확보하거나 제한(`ulimit -v`)을 늘린 후 다시 시도하십시오.
sqlite_error: SQLite에서 {path} 파일을 처리할 수 없습니다. 원인: {cause}.
  > `waiaas status` 명령을 실행하십시오. 이전 버전의 파일이면 먼저 업그레이드해야 합니다. 그렇지 않으면 `waiaas check`
    명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.
corrupt: {path} 데이터베이스 파일이 손상되었습니다. 원인: {cause}.
  > 모든 페이지를 읽는 `waiaas check FILE` 명령을 실행하십시오. 손상이 확인되면 백업에서 복원하거나 `sqlite3 FILE
    .recover` 명령으로 읽을 수 있는 데이터를 복구하십시오.
unreadable_value: {path} 파일에 읽을 수 없는 값이 있습니다. 원인: {cause}.
  > 값을 읽을 수 없는 행은 `waiaas check FILE` 명령으로 찾을 수 있습니다. 값을 바로잡거나 백업에서 되살리십시오.
backup_failed: {path} 파일의 백업을 쓰거나 검증하지 못했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 공간을 확보하고 폴더 권한을 확인하십시오. 직접 만든 백업이 있다면 `--no-backup`(`backup=False`) 옵션으로 실행할 수
    있습니다.
file_open: 다른 프로그램이 {path} 파일을 열어 두고 있습니다: {programs}. 변경된 내용은 없습니다.
  > 그 프로그램을 종료한 후 다시 시도하십시오.
restore_failed: {backup} 백업에서 {path} 파일을 복원하지 못했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 공간을 확보하고 폴더 권한을 확인한 후 다시 시도하십시오.
token_key_unusable: key_value_store 테이블의 토큰 키({key})가 WAIaaS에서 저장하는 형식이 아니어서 토큰에 서명하거나
    토큰을 검증할 수 없습니다.
  > 백업에서 해당 행을 복원하십시오. 행을 삭제하면 새 키가 만들어지고 기존 토큰은 모두 무효가 됩니다.
no_room_to_rehearse: {path} 파일의 사본으로 예행연습을 하려면 같은 파일 시스템에 {needed}바이트가 필요하지만
    {free}바이트만 남아 있습니다.
  > 공간을 확보하거나 파일을 더 큰 디스크에 복사하여 그곳에서 실행하십시오. 백업을 만드는 업그레이드에도 같은 공간이
    필요합니다.
copy_failed: 예행연습에 쓸 {path} 파일의 사본을 만들지 못했습니다. 원인: {cause}. 원본 파일은 그대로입니다.
  > 공간을 확보하고 폴더 권한을 확인하십시오. 또는 파일과 그 로그(있다면 옆에 있는 `-wal` 파일)를 쓸 수 있는 폴더에
    함께 복사하여 그곳에서 실행하십시오.
copy_left: 예행연습에 쓴 {path} 파일의 사본을 {folder} 폴더에서 삭제하지 못했습니다. 원인: {cause}. 원본 파일은
    그대로입니다.
  > 폴더를 삭제하십시오. 사본에는 세션 토큰에 서명하는 키가 들어 있습니다.

invalid_url: 올바른 PostgreSQL URL이 아닙니다.
  > postgresql://USER:PASSWORD@HOST:PORT/DATABASE 형식으로 쓰고, 비밀번호의 특수 문자는 퍼센트 인코딩하십시오.
driver_missing: PostgreSQL에 필요한 psycopg 3 패키지가 설치되어 있지 않습니다.
  > `pip install 'waiaas[postgresql]'` 명령으로 설치하십시오.
server_unavailable: {path} 서버에 연결할 수 없습니다. 원인: {cause}.
  > 호스트, 포트, 네트워크와 서버가 실행 중인지 확인한 후 다시 시도하십시오.
connection_lost: {path} 연결이 끊겼습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 다시 시도하십시오. 자주 발생하면 서버 로그를 확인하십시오.
commit_unknown: COMMIT 도중 {path} 연결이 끊겨 변경 내용이 저장되었는지 알 수 없습니다.
  > 변경을 다시 실행하기 전에 해당 데이터를 조회하여 확인하십시오.
transaction_conflict: {path} 데이터베이스에서 다른 트랜잭션이 같은 행을 변경했습니다. 원인: {cause}. 변경된 내용은
    없습니다.
  > 트랜잭션 전체를 다시 실행하십시오.
pool_exhausted: {path} 연결 풀의 연결 {size}개가 {seconds}초 동안 모두 사용 중이었습니다.
  > 다시 시도하거나 풀의 크기를 늘리십시오.
too_many_connections: {path} 서버에 남은 연결이 없습니다. 원인: {cause}.
  > 풀의 크기를 줄이거나 커넥션 풀러를 사용하거나 서버의 `max_connections` 값을 늘리십시오.
access_denied: {path} 서버가 로그인을 거부했습니다. 원인: {cause}.
  > 사용자와 비밀번호, 서버의 pg_hba.conf 파일을 확인하십시오.
database_not_found: 서버에 {path} 데이터베이스가 없습니다.
  > 이름을 확인하거나 `createdb` 명령으로 데이터베이스를 만드십시오.
insufficient_privilege: {path} 사용자에게 이 작업의 권한이 없습니다. 원인: {cause}.
  > PostgreSQL 문서 페이지에 나열된 권한을 사용자에게 부여하십시오.
server_read_only: {path} 서버는 읽기 전용입니다. 스탠바이이거나 관리자가 읽기 전용으로 설정했습니다.
  > 프라이머리를 지정하거나, URL에 여러 호스트와 `target_session_attrs=read-write`를 지정하십시오.
statement_canceled: {path} 서버가 문장을 취소했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 다시 시도하거나 서버의 `statement_timeout` 값을 늘리십시오.
unsuitable_database: {path} 데이터베이스를 사용할 수 없습니다. 문제: {problem}.
  > `createdb --encoding=UTF8 --template=template0` 명령으로 WAIaaS용 데이터베이스를 만드십시오.
server_error: PostgreSQL이 {path} 데이터베이스로 작업할 수 없습니다. 원인: {cause}.
  > `waiaas check URL` 명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.

move_refused: {path}: PostgreSQL이 저장할 수 없는 값이 {count}개 있습니다: {values}. 기록된 내용은 없습니다.
  > 파일의 사본에서 이 값들을 고친 후 그 사본을 옮기십시오. `waiaas check FILE` 명령으로 대부분 확인할 수 있습니다.
target_not_empty: {path} 데이터베이스에 이미 WAIaaS 테이블이 있습니다. 기록된 내용은 없습니다.
  > `createdb` 명령으로 빈 데이터베이스를 만들어 지정하십시오.
source_changed: 옮기는 동안 다른 프로그램이 {path} 파일에 기록했습니다. 대상은 변경되지 않았습니다.
  > 서비스와 데이터베이스를 사용하는 모든 프로그램을 중지한 후 다시 옮기십시오.
copy_differs: {path}: 복사한 {table} 테이블이 원본과 다릅니다({before}행, {after}행). 복사한 내용은 버렸습니다.
  > 다시 시도하십시오. 반복되면 두 컴퓨터의 메모리와 디스크를 점검하고 제보하십시오.

unexpected_schema: {table} 테이블이 이 스키마 버전의 구조와 다릅니다. 문제: {problem}.
  > 백업에서 데이터베이스를 복원하거나 이 문제를 제보하십시오.
strange_schema: {path} 파일의 스키마에 SQLite가 쓰지 않는 행이 있습니다. 문제: {problem}. 변경된 내용은 없습니다.
  > 백업에서 데이터베이스를 복원하거나 `sqlite3 FILE .dump` 명령으로 내용을 새 파일에 옮기십시오.
leftover_table: 새로 만들어야 할 테이블과 이름이 같은 {table} 테이블이 이미 있습니다. 테이블이 비어 있지 않거나 구조가
    다릅니다(행 수: {rows}).
  > 테이블을 살펴보고 필요한 행을 옮긴 다음, 테이블을 삭제하거나 이름을 바꾸고 다시 실행하십시오.
dependent_object: {name} 객체({kind})가 삭제되거나 변경될 {table}.{column} 열에 의존합니다.
  > 해당 객체({kind})를 삭제하거나 수정하고 다시 실행한 다음, 이 열 없이 동작하는 형태로 다시 만드십시오.
dependent_on_table: {name} 객체({kind})가 삭제될 {table} 테이블에 의존합니다.
  > 해당 객체({kind})를 삭제하거나 수정한 후 다시 실행하십시오.
name_taken: {name} 객체({kind})에서 지금은 다른 뜻으로 쓰이는 이름이 새 {table}.{column} 항목을 가리키게 됩니다.
    변경된 내용은 없습니다.
  > 해당 객체({kind})의 문자열은 작은따옴표로 쓰고 열 이름에는 테이블 이름을 붙인(t.column) 후 다시 실행하십시오.
value_not_allowed: {table} 테이블의 {column} 항목에 새 스키마 버전에서 허용하지 않는 값이 있습니다: {values} (행:
    {rows}, 모두 {count}개). 변경된 내용은 없습니다.
  > 해당 행의 값을 바로잡은 후 다시 실행하십시오.
foreign_key_elsewhere: {table}.{column} 열의 외래 키가 {expected} 테이블이 아닌 {parent} 테이블을 참조합니다.
  > 백업에서 데이터베이스를 복원하거나 외래 키를 바로잡은 후 다시 실행하십시오.
orphan_sessions: 존재하지 않는 지갑을 가리키는 세션이 {count}개 있습니다: {sessions}.
  > 지갑을 다시 추가하십시오. 세션을 지갑 없이 남겨 두려면 `--skip-orphans`(`skip_orphans=True`) 옵션으로 다시
    실행하십시오.
links_lost: 스키마 버전 18로 되돌리면 지갑 연결을 잃게 됩니다. 지갑이 둘 이상 연결된 세션이 {count}개 있습니다:
    {sessions}.
  > 나머지 지갑의 연결을 해제하십시오. 기본 지갑의 연결만 남기려면 `--drop-links`(`drop_links=True`) 옵션으로 다시
    실행하십시오.
cannot_downgrade: 스키마 버전 {version}에서 {target} 버전으로 되돌릴 수 없습니다.
  > 버전 19에서 18로만 되돌릴 수 있습니다. 다른 버전이 필요하면 해당 버전의 백업으로 파일을 교체하십시오.

rebuild_refused: {table} 테이블을 다시 만들면 일부 내용이 손실됩니다. 문제: {problem}. 변경된 내용은 없습니다.
  > 해당 항목을 제거하거나 수정하고 다시 실행한 다음 원래대로 되돌리십시오.
alter_refused: SQLite가 {table} 테이블 변경을 거부했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 해당 문제를 해결한 후 다시 실행하십시오.
name_exists: 같은 이름이 이미 사용 중입니다: {name} (종류: {kind}). 변경된 내용은 없습니다.
  > 다른 이름을 선택하거나, 기존 항목의 이름을 바꾸거나 삭제하십시오.
foreign_key_violations: 변경하면 {table} 테이블에 외래 키 위반이 새로 {count}건 생기므로 롤백했습니다.
  > `waiaas check` 명령을 실행하고 그 결과를 제보하십시오.
rows_lost: {table} 테이블의 행 수가 맞지 않아 변경을 롤백했습니다(변경 전: {before}, 변경 후: {after}).
  > 파일은 이전 상태 그대로입니다. 이 문제를 제보하십시오.
migration_failed: 스키마 버전 {version} 마이그레이션이 실패했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > `waiaas check` 명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.

not_synced: {path} 파일의 변경은 커밋되었지만 디스크에 확실히 기록하는 과정에서 운영 체제 오류가 발생했습니다. 원인:
    {cause}. 지금 전원이 끊기면 변경이 취소될 수 있습니다.
  > 디스크를 점검한 후 `waiaas status FILE` 명령으로 파일의 버전을 확인하십시오.
log_not_written_back: {path} 파일의 변경은 커밋되었지만 WAL 로그를 파일에 반영하지 못했습니다. 원인: {cause}.
  > 파일과 로그(옆에 있는 `-wal` 파일)를 함께 보관하십시오. 다음에 파일을 여는 프로그램이 로그를 반영합니다.
journal_mode_kept: {path} 파일의 변경은 커밋되었지만 WAL 모드로 전환하지 못했습니다. 원인: {cause}.
  > 조치할 필요가 없습니다. 다음에 `waiaas.connect` 함수로 파일을 열 때 전환됩니다.
settings_not_restored: {path} 파일의 변경은 커밋되었지만 이 연결의 설정({settings})을 되돌리지 못했습니다. 원인:
    {cause}.
  > 연결을 닫고 새로 여십시오.
rights_returned: {path} 파일을 복원했습니다. 백업 이후에 제거된 다음 권한이 다시 유효합니다. 세션: {sessions}; 연결:
    {links}; 지갑: {wallets}; 설정: {settings}.
  > 서비스가 파일을 사용하기 전에 `waiaas sessions revoke`, `waiaas links remove`, `waiaas wallets suspend`,
    `waiaas tokens rotate`, `waiaas kill-switch activate` 명령으로 다시 제거하십시오.
rights_not_compared: {path} 파일을 복원했습니다. 비교할 수 있는 기존 파일이 없으므로 백업 이후에 제거된 권한이 다시
    유효할 수 있습니다.
  > 서비스가 파일을 사용하기 전에 `waiaas sessions list FILE --status ACTIVE`와 `waiaas wallets list FILE` 명령으로
    확인하고 허용하지 않을 권한을 제거하십시오.
"""

_AS_NEW: Final = (
    "올바른 정의는 `waiaas init NEW` 명령으로 새 데이터베이스를 만들어 `sqlite3 NEW .schema` 명령으로 볼 수 있습니다."
)
_REBUILD: Final = f"백업에서 데이터베이스를 복원하거나 테이블을 다시 만드십시오. {_AS_NEW}"

FINDINGS: Final = """\
damage: SQLite 검사에서 문제가 발견되었습니다: {cause}.
  > 백업에서 데이터베이스를 복원하거나 `sqlite3 FILE .recover` 명령으로 읽을 수 있는 데이터를 복구하십시오. CHECK 또는
    NULL 값이 언급된 경우에는 복원 대신 해당 테이블의 행을 바로잡으십시오.

foreign_key_violation: {where} 테이블에 외래 키 위반이 있습니다. {parent} 테이블에 없는 행을 참조하는 행 수: {count}.
  > 없어진 행을 백업에서 되살리거나, 그 행을 참조하는 행을 바로잡거나 삭제하십시오. 해당 행의 rowid는 `--json`
    옵션으로 확인할 수 있습니다.
foreign_key_mismatch: 외래 키를 검사할 수 없습니다: {cause}.
  > 백업에서 데이터베이스를 복원하거나, 참조되는 테이블을 다시 만들어 없어진 PRIMARY KEY 또는 UNIQUE 제약 조건을
    되살리십시오.

session_without_wallet: 취소되지 않은 세션에 연결된 지갑이 없습니다: {rows}.
  > `waiaas links add` 명령으로 지갑을 연결하거나 `waiaas sessions revoke` 명령으로 세션을 취소하십시오.
session_without_default: 취소되지 않은 세션에 기본 지갑이 없습니다: {rows}.
  > `waiaas links default` 명령으로 연결된 지갑 중 하나를 기본 지갑으로 지정하거나 `waiaas sessions revoke` 명령으로
    세션을 취소하십시오.
session_with_many_defaults: 취소되지 않은 세션에 기본 지갑이 둘 이상 있습니다: {rows}.
  > `waiaas links default` 명령으로 연결된 지갑 중 하나만 기본 지갑으로 지정하거나 `waiaas sessions revoke` 명령으로
    세션을 취소하십시오.
kill_switch_state: {where}의 값이 킬 스위치 상태가 아니어서 시스템이 잠겨 있습니다.
  > `waiaas kill-switch recover` 명령으로 시스템 잠금을 해제하거나 `waiaas kill-switch activate` 명령으로 모든 권한을
    취소하십시오.

invalid_text: {where} 열에 UTF-8 텍스트가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 서비스는 이런 행을 거부합니다. 해당 행의 rowid는 `--json` 옵션으로, 저장된
    바이트는 SQL의 `hex` 함수로 확인할 수 있습니다.
invalid_time: {where} 열에 1년부터 9999년까지의 유닉스 시간(초)이 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡으십시오. 서비스는 이런 시각을 알아볼 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할 수
    있습니다. 밀리초로 저장된 시각은 1,000배 큽니다.
invalid_json: {where} 열에 JSON이 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 서비스는 이런 행을 거부합니다. 해당 행의 rowid는 `--json` 옵션으로 확인할
    수 있습니다.
not_text: {where} 열에 텍스트가 아니라 BLOB인 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. BLOB은 어떤 텍스트와도 같지 않습니다. 해당 행의 rowid는 `--json` 옵션으로
    확인할 수 있습니다.
invalid_count: {where} 열에 정수가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 이런 세션은 갱신할 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할
    수 있습니다.
invalid_limits: {where} 열에 JSON이지만 객체가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 이런 제한은 적용할 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할
    수 있습니다.

sequence_behind: {where} 열의 다음 번호가 이미 사용되었습니다. 다음 번호: {actual}, 사용할 수 있는 번호: {wanted}.
  > `SELECT setval(pg_get_serial_sequence('audit_log', 'id'), max(id)) FROM audit_log` 문으로 설정하십시오.
    그전에는 변경을 기록할 수 없습니다.

missing_table: {where} 테이블이 없습니다.
  > 백업에서 데이터베이스를 복원하십시오. 테이블에 행이 있었던 적이 없다면 새로 만들어도 됩니다. $AS_NEW
missing_column: {where} 열이 없습니다.
  > 백업에서 데이터베이스를 복원하거나 열을 추가하십시오. $AS_NEW
missing_foreign_key: {where} 테이블에 다음 외래 키가 없습니다: {key}.
  > $REBUILD
missing_unique: {table} 테이블에 다음 제약 조건이 없습니다: {where}.
  > $REBUILD
missing_index: {table} 테이블의 {where} 인덱스가 없습니다.
  > 인덱스를 만드십시오. $AS_NEW
missing_check: {where} 테이블에 다음 제약 조건이 없습니다: CHECK ({check}).
  > $REBUILD

column_type: {where} 열의 데이터 유형이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
not_null: {where} 열의 NOT NULL 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
column_default: {where} 열의 기본값이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
primary_key: {where} 열의 기본 키 순번이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
generated_column: {where} 열의 생성 열(generated column) 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
autoincrement: {where} 테이블의 AUTOINCREMENT 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
table_options: {where} 테이블의 옵션이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD
index_differs: {table} 테이블의 {where} 인덱스가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > 인덱스를 삭제하고 다시 만드십시오. $AS_NEW

extra_table: {where} 테이블은 WAIaaS의 테이블이 아닙니다.
  > 아무것도 하지 않아도 됩니다. WAIaaS는 이 테이블을 건드리지 않습니다.
extra_column: {where} 열은 WAIaaS의 열이 아닙니다.
  > 아무것도 하지 않아도 됩니다. 단, 기본값 없이 NOT NULL이면 WAIaaS가 테이블에 행을 추가할 수 없습니다.
extra_foreign_key: {where} 테이블에 WAIaaS에 없는 외래 키가 있습니다: {key}.
  > 아무것도 하지 않아도 됩니다. 단, 같은 테이블에 없는 외래 키도 발견되었다면 그 외래 키가 다르게 정의된 것이니 함께
    바로잡으십시오.
extra_index: {table} 테이블의 {where} 인덱스는 WAIaaS의 인덱스가 아닙니다.
  > 아무것도 하지 않아도 됩니다. 단, UNIQUE 인덱스는 WAIaaS가 쓰는 행을 거부할 수 있습니다.
extra_check: {where} 테이블에 WAIaaS에 없는 제약 조건이 있습니다: CHECK ({check}).
  > 아무것도 하지 않아도 됩니다. 단, WAIaaS가 쓰는 행을 거부하거나 같은 테이블에 없는 CHECK도 발견되었다면
    바로잡으십시오.
extra_trigger: {where} 트리거는 WAIaaS의 트리거가 아닙니다.
  > 의도한 트리거인지 확인하십시오. WAIaaS가 쓸 때 실행됩니다. 의도하지 않았다면 삭제하십시오.
unsafe_trigger: {where} 트리거가 지갑 사용 권한을 결정하는 테이블({table})에서 실행되거나 그 테이블에 씁니다.
  > 아무에게도 권한을 주지 않는 것이 확실하지 않다면 삭제하십시오. WAIaaS가 쓸 때 실행됩니다.
extra_view: {where} 뷰는 WAIaaS의 뷰가 아닙니다.
  > 아무것도 하지 않아도 됩니다. WAIaaS는 이 뷰를 건드리지 않습니다.
""".replace("$REBUILD", _REBUILD).replace("$AS_NEW", _AS_NEW)

FIELDS: Final = """\
required: 필수 항목입니다.
unknown: 알 수 없는 항목입니다.
null: null 값은 쓸 수 없습니다.

uuid: UUID여야 합니다. 16진수 32자리를 8-4-4-4-12자리로 나누어 하이픈으로 이은 형식입니다.
text: 문자열이어야 합니다.
storable_text: NUL 문자와 짝 없는 서로게이트가 없는 문자열이어야 합니다.
printable: 출력할 수 있는 문자로만 된 문자열이어야 합니다.
printable_not: 출력할 수 있는 문자로만 된 문자열이어야 합니다. {type} 값은 쓸 수 없습니다.
not_blank: 비어 있거나 공백만으로 되어 있으면 안 됩니다.
max_characters: 최대 {count}자까지 쓸 수 있습니다.
max_items: 최대 {count}개까지 쓸 수 있습니다.
max_keys: 항목은 최대 {count}개까지 쓸 수 있습니다.
max_bytes: JSON으로 나타냈을 때 최대 {count}바이트까지 쓸 수 있습니다.
one_of: 다음 중 하나여야 합니다: {choices}.
integer: 정수여야 합니다.
boolean: true 또는 false여야 합니다.
integer_range: {min} 이상 {max} 이하의 정수여야 합니다.
seconds_range: {min} 이상 {max} 이하의 정수(초)여야 합니다.
time: 시각이어야 합니다. 유닉스 시간(초)을 정수로 나타낸 값입니다.
list: 배열이어야 합니다.
list_of_objects: 객체의 배열이어야 합니다.
object: 객체여야 합니다.
object_or_null: 객체 또는 null이어야 합니다.
json: JSON 값만 담을 수 있습니다. NaN과 무한대는 쓸 수 없고 중첩은 최대 {depth}단계까지입니다.
as_loaded: {schema}().load 결과와 같은 형태여야 합니다.

some_wallet: 지갑을 하나 이상 지정해야 합니다.
wallet_missing: walletIds 또는 walletId 항목에 지갑을 하나 이상 지정하십시오.
one_wallet_key: walletId 또는 walletIds 항목 중 하나만 지정하십시오.
repeated_wallets: 같은 지갑을 두 번 지정할 수 없습니다: {wallets}.
default_not_named: 요청에 지정된 지갑 중 하나여야 합니다.
token_alone: token 항목만 있어야 합니다.
network_of_chain: {chain} 체인의 네트워크여야 합니다: {networks}.
public_key_exists: 이 공개 키를 사용하는 지갑이 이미 있습니다.
next_after: 페이지의 next_after 값이어야 합니다.
aware_datetime: 시간대가 있는 datetime이어야 합니다.
"""
