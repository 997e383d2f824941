"""The Korean texts of the command line, by their English ones.

The texts of a help are looked up paragraph by paragraph. `{...}` and `%(...)s` are places for values.
"""

from __future__ import annotations

from typing import Final

KOREAN: Final[dict[str, str]] = {
    # click's own texts
    "Usage:": "사용법:",
    "Options": "옵션",
    "Commands": "명령",
    "Positional arguments": "인수",
    "default: {default}": "기본값: {default}",
    "env var: {var}": "환경 변수: {var}",
    "Show this message and exit.": "이 도움말을 출력하고 끝냅니다.",
    "Show the version and exit.": "버전을 출력하고 끝냅니다.",
    "%(prog)s, version %(version)s": "%(prog)s 버전 %(version)s",
    "Error: {message}": "오류: {message}",
    "Try '{command} {option}' for help.": "도움말을 보려면 '{command} {option}' 명령을 실행하십시오.",
    "Invalid value for {param_hint}: {message}": "{param_hint} 값이 올바르지 않습니다. {message}",
    "Invalid value: {message}": "값이 올바르지 않습니다. {message}",
    "Missing argument": "누락된 인수:",
    "Missing option": "누락된 옵션:",
    "Missing parameter": "누락된 값:",
    "Missing command.": "명령을 지정하십시오.",
    "No such option {name!r}.": "{name!r} 옵션이 없습니다.",
    "No such option: {name}": "다음 옵션이 없습니다: {name}",
    "No such command {name!r}.": "{name!r} 명령이 없습니다.",
    "Did you mean {possibility}?": "{possibility} 옵션입니까?",
    "(Did you mean one of: {possibilities}?)": "(다음 중 하나입니까? {possibilities})",
    "(Possible options: {possibilities})": "(가능한 옵션: {possibilities})",
    "Option {name!r} requires an argument.": "{name!r} 옵션에는 값이 필요합니다.",
    "Option {name!r} requires {nargs} arguments.": "{name!r} 옵션에는 값이 {nargs}개 필요합니다.",
    "Option {name!r} does not take a value.": "{name!r} 옵션에는 값을 지정할 수 없습니다.",
    "Got unexpected extra argument ({args})": "불필요한 인수가 있습니다({args}).",
    "Got unexpected extra arguments ({args})": "불필요한 인수가 있습니다({args}).",
    "{value!r} is not {choice}.": "{value!r} 값은 사용할 수 없습니다. {choice} 값만 사용할 수 있습니다.",
    "{value!r} is not one of {choices}.": "{value!r} 값은 사용할 수 없습니다. 다음 중 하나를 지정하십시오: {choices}.",
    "{value!r} is not a valid {number_type}.": "{value!r} 값은 정수가 아닙니다.",
    "{value} is not in the range {range}.": "{value} 값이 범위({range})를 벗어났습니다.",
    "Choose from:\n\t{choices}": "다음 중 하나를 지정하십시오:\n\t{choices}",
    # what is printed around errors, findings and questions
    "Error": "오류",
    "What to do": "해결 방법",
    "Obstacle": "걸림돌",
    "Warning": "경고",
    "problem": "문제",
    "note": "참고",
    "Interrupted": "중단됨",
    "{path} is unchanged.": "{path} 파일은 변경되지 않았습니다.",
    "The command did its work, but its answer could not be written: {cause}.": (
        "명령은 완료되었지만 결과를 출력하지 못했습니다. 원인: {cause}."
    ),
    "Did you mean: {command}": "다음 명령입니까? {command}",
    "Nothing was changed.": "변경된 내용은 없습니다.",
    "Nothing was changed: there is no terminal to confirm on; pass --yes.": (
        "변경된 내용은 없습니다. 확인을 받을 터미널이 없으므로 --yes 옵션을 추가하십시오."
    ),
    "Answer y or n.": "y 또는 n을 입력하십시오.",
    "Without {argument}, set the environment variable {variable}.": (
        "{argument} 인수를 생략하려면 환경 변수 {variable}에 데이터베이스를 지정하십시오."
    ),
    "The path is empty.": "경로가 비어 있습니다.",
    "A database in memory ends with the command.": "메모리 데이터베이스는 명령이 끝나면 사라집니다.",
    "This command is for files. For PostgreSQL, use pg_dump and pg_restore.": (
        "파일에만 사용하는 명령입니다. PostgreSQL에는 pg_dump와 pg_restore를 사용하십시오."
    ),
    "A URL or a connection string is not the path of a database file.": (
        "URL이나 연결 문자열은 데이터베이스 파일의 경로가 아닙니다."
    ),
    "This is the path of a folder.": "폴더의 경로입니다.",
    "--backup and --no-backup exclude each other.": "--backup 옵션과 --no-backup 옵션은 함께 사용할 수 없습니다.",
    # help: the program
    "The language of everything that is printed.": "출력 언어입니다.",
    "Manage the database file of a WAIaaS wallet service.": "WAIaaS 지갑 서비스의 데이터베이스 파일을 관리합니다.",
    "An upgrade brings a file of an older schema version to the latest one, in which the session of an AI"
    " agent can use many wallets. It is all or nothing, and writes a backup first.": (
        "업그레이드는 이전 스키마 버전의 파일을 최신 버전으로 바꿉니다. 최신 버전에서는 AI 에이전트의 세션 하나가"
        " 여러 지갑을 사용할 수 있습니다. 업그레이드는 전부 적용되거나 전혀 적용되지 않으며, 먼저 백업을 만듭니다."
    ),
    "To upgrade a file step by step:": "파일을 단계별로 업그레이드하는 방법:",
    "which version is it?": "현재 버전 확인",
    "what would an upgrade do?": "업그레이드 내용 확인",
    "try it on a copy": "사본에서 시험",
    "do it": "업그레이드 실행",
    "is everything in order?": "결과 검사",
    "To see all of this with an example file: waiaas demo": "예제 파일로 전체 과정을 보려면: waiaas demo",
    "Exit codes:": "종료 코드:",
    "Example:": "예:",
    "Examples:": "예:",
    "Next:": "다음 단계:",
    "done": "완료",
    "done, or nothing to do": "완료되었거나 할 일이 없음",
    "refused or failed, and nothing was changed": "거부되었거나 실패했으며, 변경된 내용이 없음",
    "refused or failed, and nothing was changed;": "거부되었거나 실패했으며, 변경된 내용이 없음",
    "for plan and rehearse: an upgrade would be refused": "(plan과 rehearse에서는 업그레이드가 거부됨을 뜻함)",
    "wrong usage": "잘못된 사용법",
    "(status only) an upgrade is pending": "(status 전용) 업그레이드가 필요함",
    "done, but the answer could not be written": "완료되었으나 결과를 출력하지 못함",
    "(check only) problems were found": "(check 전용) 문제가 발견됨",
    "interrupted by Ctrl-C: nothing was changed": "Ctrl-C로 중단되었으며, 변경된 내용이 없음",
    "interrupted by Ctrl-C, and nothing was changed": "Ctrl-C로 중단되었으며, 변경된 내용이 없음",
    "refused or failed, or you answered no: nothing was changed": (
        "거부되었거나 실패했거나 확인하지 않았으며, 변경된 내용이 없음"
    ),
    "refused or failed, or you answered no": "거부되었거나 실패했거나 확인하지 않음",
    "refused or failed, or you answered no; complete batches are kept": (
        "거부되었거나 실패했거나 확인하지 않았으며, 이미 끝난 묶음은 그대로 남음"
    ),
    "interrupted by Ctrl-C; complete batches are kept": "Ctrl-C로 중단되었으며, 이미 끝난 묶음은 그대로 남음",
    "Print JSON on standard output, and nothing else.": "표준 출력에 JSON만 출력합니다.",
    "Do not ask.": "확인을 요청하지 않습니다.",
    "The name for the audit log. The default is cli: and the user of the operating system.": (
        "감사 로그에 기록할 이름입니다. 기본값은 cli: 뒤에 운영 체제의 사용자 이름을 붙인 것입니다."
    ),
    "How many to print at most.": "최대 출력 개수입니다.",
    "Continue after this entry: the next page.": "이 항목 다음부터 출력합니다(다음 페이지).",
    "TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the database.": (
        "TARGET은 파일 또는 PostgreSQL 데이터베이스의 URL입니다. 생략하면 WAIAAS_DATABASE에 지정된 데이터베이스를"
        " 사용합니다."
    ),
    "Without PATH, WAIAAS_DATABASE names the file.": "PATH를 생략하면 WAIAAS_DATABASE에 지정된 파일을 사용합니다.",
    # help: audit
    "Show who changed what, and when.": "누가 언제 무엇을 변경했는지 표시합니다.",
    "Show the audit log of the database TARGET, the newest entry first.": (
        "데이터베이스 TARGET의 감사 로그를 최신 항목부터 표시합니다."
    ),
    "With --json each entry is one JSON object per line (JSON lines), unlike in other commands, and"
    " without entries nothing is printed. The id of the last entry is the --after of the next page.": (
        "다른 명령과 달리 --json 옵션을 사용하면 항목마다 한 줄에 JSON 객체 하나를 출력하며(JSON Lines), 항목이"
        " 없으면 아무것도 출력하지 않습니다. 마지막 항목의 ID를 --after에 지정하면 다음 페이지를 볼 수 있습니다."
    ),
    "Only entries about the session with this id.": "이 ID의 세션에 관한 항목만 표시합니다.",
    "Only entries about the wallet with this id.": "이 ID의 지갑에 관한 항목만 표시합니다.",
    "Only what this actor did.": "이 행위자가 수행한 항목만 표시합니다.",
    "Only events of this type, such as SESSION_REVOKED.": "SESSION_REVOKED 등 이 유형의 이벤트만 표시합니다.",
    "The earliest time: 2026-11-27, 2026-11-27T09:30 (UTC), or 24h (ago).": (
        "시작 시각입니다. 예: 2026-11-27, 2026-11-27T09:30(UTC), 24h(24시간 전)."
    ),
    "Only entries before this time.": "이 시각보다 앞선 항목만 표시합니다.",
    "Print all entries, whatever --limit is.": "--limit과 관계없이 모든 항목을 출력합니다.",
    "There are no entries.": "항목이 없습니다.",
    "There are more: --after {id}": "항목이 더 있습니다: --after {id}",
    "{value!r} is not a time such as 2026-11-27, 2026-11-27T09:30 or 24h.": (
        "{value!r} 값은 시각이 아닙니다. 예: 2026-11-27, 2026-11-27T09:30, 24h."
    ),
    "wallet": "지갑",
    "session": "세션",
    "transaction": "트랜잭션",
    # help and answers: backup, restore, backups, health
    "Write a verified backup of a file.": "파일의 백업을 만들고 검증합니다.",
    "Write a verified backup of the file at PATH, which can be in use.": (
        "PATH 파일의 백업을 만들고 검증합니다. 파일은 사용 중이어도 됩니다."
    ),
    "It contains every committed row, and has the permissions and the group of the file. TO is the path"
    " of the backup, or a folder for it. Without TO the backup is next to the file, and its name contains"
    " the version and the time.": (
        "백업에는 커밋된 모든 행이 들어 있으며, 권한과 그룹은 원본 파일과 같습니다. TO는 백업의 경로 또는 백업을"
        " 넣을 폴더입니다. TO를 생략하면 파일 옆에 백업을 만들고, 이름에 버전과 시각을 넣습니다."
    ),
    "Without PATH, WAIAAS_DATABASE names the file: with one argument, that is PATH. Back up PostgreSQL"
    " with pg_dump.": (
        "PATH를 생략하면 WAIAAS_DATABASE에 지정된 파일을 사용합니다. 인수가 하나이면 PATH로 간주합니다."
        " PostgreSQL은 pg_dump로 백업하십시오."
    ),
    "written": "백업을 만들었음",
    "refused or failed, and there is no backup": "거부되었거나 실패했으며, 백업이 없음",
    "Backed up {path} (schema version {version}, {size:,} bytes).": (
        "{path} 파일을 백업했습니다(스키마 버전 {version}, {size:,}바이트)."
    ),
    "backup": "백업",
    "none": "없음",
    " (existing, identical)": "(내용이 같은 기존 백업)",
    "Replace a file with a backup.": "파일을 백업으로 바꿉니다.",
    "Replace the file at PATH with a copy of BACKUP, all or nothing. PATH may be missing or damaged.": (
        "PATH 파일을 BACKUP의 사본으로 바꿉니다. 전부 적용되거나 전혀 적용되지 않습니다. PATH 파일은 없거나"
        " 손상되었어도 됩니다."
    ),
    "Stop the daemon first. The copy is verified before it takes the place of the file, with a single rename."
    " The file that it replaces is kept next to it: as a backup, or with `damaged` in its name.": (
        "먼저 데몬을 중지하십시오. 사본을 검증한 후 이름을 한 번 바꾸어 파일을 교체합니다. 교체된 파일은 백업으로,"
        " 또는 이름에 `damaged`를 넣어 옆에 보관합니다."
    ),
    "Rights that were removed after the backup was made come back with it, such as a session that was"
    " revoked. They are listed: remove them again before you start the daemon.": (
        "취소된 세션처럼 백업 이후에 없앤 권한은 복원하면 되살아납니다. 그 목록이 출력되므로, 데몬을 시작하기 전에"
        " 다시 없애십시오."
    ),
    "Without PATH, WAIAAS_DATABASE names the file: with one argument, that is BACKUP.": (
        "PATH를 생략하면 WAIAAS_DATABASE에 지정된 파일을 사용합니다. 인수가 하나이면 BACKUP으로 간주합니다."
    ),
    "restored": "복원했음",
    "interrupted by Ctrl-C: the file is the old one or the backup": (
        "Ctrl-C로 중단되었으며, 파일은 이전 파일이거나 백업임"
    ),
    "Changes made after the backup will then be only in the file that is kept next to it, and rights that"
    " were removed later come back. Replace {path} with {backup}?": (
        "백업 이후의 변경 내용은 옆에 보관되는 파일에만 남고, 백업 이후에 없앤 권한은 되살아납니다."
        " {path} 파일을 {backup} 백업으로 바꾸겠습니까?"
    ),
    "Restored {path} at schema version {version} from {backup}.": (
        "{backup} 백업으로 {path} 파일을 복원했습니다(스키마 버전 {version})."
    ),
    "the file before": "이전 파일",
    "List the backups of a file, or remove old ones.": "파일의 백업을 나열하거나 오래된 백업을 삭제합니다.",
    "List the backups next to the file at PATH, the newest first.": (
        "PATH 파일 옆에 있는 백업을 최신순으로 나열합니다."
    ),
    "Remove all but the newest KEEP backups.": "최신 백업 KEEP개만 남기고 삭제합니다.",
    "listed, or removed": "나열했거나 삭제했음",
    "Backups to remove: {count}, up to {name}. Remove them?": "백업 {count}개({name}까지)를 삭제하겠습니까?",
    "There is no backup next to {path}.": "{path} 파일 옆에 백업이 없습니다.",
    "removed": "삭제됨",
    "version {version}": "버전 {version}",
    "{count:,} bytes": "{count:,}바이트",
    "Show whether a database is ready for use.": "데이터베이스를 지금 사용할 수 있는지 표시합니다.",
    "Show whether TARGET is ready for use: version, write lock, log, free space, backup, sessions, kill switch.": (
        "TARGET을 사용할 수 있는지 표시합니다. 버전, 쓰기 잠금, 로그, 남은 공간, 마지막 백업, 세션, 킬 스위치를"
        " 확인합니다."
    ),
    "It takes milliseconds and changes nothing. TARGET is the path of a file or the URL of a PostgreSQL database.": (
        "몇 밀리초밖에 걸리지 않으며 아무것도 변경하지 않습니다. TARGET은 파일의 경로 또는 PostgreSQL"
        " 데이터베이스의 URL입니다."
    ),
    "ready for use": "사용할 수 있음",
    "not at the latest version, not writable, locked, or not readable": (
        "최신 버전이 아니거나, 쓸 수 없거나, 잠겨 있거나, 읽을 수 없음"
    ),
    "{path} is ready for use.": "{path} 데이터베이스를 사용할 수 있습니다.",
    "{path} is not ready for use.": "{path} 데이터베이스를 사용할 수 없습니다.",
    "schema version": "스키마 버전",
    "{version} of {latest}": "{version}(최신 버전: {latest})",
    "writable": "쓰기 가능",
    "yes": "예",
    "no": "아니요",
    "write lock": "쓰기 잠금",
    "not free within a second": "1초 안에 풀리지 않음",
    "free after {seconds:.3f} s": "{seconds:.3f}초 후 사용 가능",
    "write-ahead log": "미리 쓰기 로그",
    "free on the disk": "디스크 여유 공간",
    "last backup": "마지막 백업",
    "live sessions": "유효한 세션",
    "kill switch": "킬 스위치",
    # help and answers: tokens, kill-switch
    "Lock everything in an emergency, and recover.": "비상시에 모든 것을 잠그고, 나중에 복구합니다.",
    "Show the state of the kill switch.": "킬 스위치의 상태를 표시합니다.",
    "Show the state of the kill switch: ACTIVE (normal), SUSPENDED or LOCKED.": (
        "킬 스위치의 상태를 표시합니다. ACTIVE(정상), SUSPENDED, LOCKED 중 하나입니다."
    ),
    "Revoke all sessions and suspend all wallets.": "모든 세션을 취소하고 모든 지갑을 정지합니다.",
    "Stop everything: revoke all sessions, suspend all active wallets, cancel the transactions that are not sent.": (
        "모든 것을 멈춥니다. 모든 세션을 취소하고, 모든 활성 지갑을 정지하고, 아직 보내지 않은 트랜잭션을 취소합니다."
    ),
    "No token works and no right is granted until `waiaas kill-switch recover`. Sessions stay revoked"
    " then, and wallets suspended.": (
        "`waiaas kill-switch recover` 명령을 실행할 때까지 모든 토큰을 거부하고 새 권한을 주지 않습니다. 복구한"
        " 후에도 세션은 취소된 상태로, 지갑은 정지된 상태로 남습니다."
    ),
    "Stop everything? All sessions are revoked permanently, and all active wallets are suspended.": (
        "모든 것을 멈추겠습니까? 모든 세션이 영구히 취소되고 모든 활성 지갑이 정지됩니다."
    ),
    "Go from SUSPENDED to LOCKED.": "SUSPENDED에서 LOCKED로 바꿉니다.",
    "Go from the state SUSPENDED to LOCKED.": "SUSPENDED 상태에서 LOCKED 상태로 바꿉니다.",
    "In both states no token works, and `waiaas kill-switch recover` ends both. LOCKED shows other programs"
    " and people that the emergency is more serious.": (
        "두 상태 모두 토큰을 사용할 수 없으며 `waiaas kill-switch recover` 명령으로 끝냅니다. LOCKED는 더 심각한"
        " 비상 상황임을 다른 프로그램과 사람에게 알립니다."
    ),
    "Let tokens work again.": "토큰을 다시 사용할 수 있게 합니다.",
    "Return to the state ACTIVE. Sessions stay revoked; resume each wallet that may be used again.": (
        "ACTIVE 상태로 되돌립니다. 세션은 취소된 상태로 남습니다. 다시 사용할 지갑은 하나씩 정지를 해제하십시오."
    ),
    "The kill switch is off (ACTIVE): tokens work.": "킬 스위치가 꺼져 있으며(ACTIVE) 토큰을 사용할 수 있습니다.",
    "The kill switch is on ({state}){since}{by}: no token works.": (
        "킬 스위치가 켜져 있으며({state}{since}{by}) 토큰을 사용할 수 없습니다."
    ),
    " since {time}": ", {time}부터",
    ", by {actor}": ", 실행자: {actor}",
    "Replace the key that signs session tokens.": "세션 토큰에 서명하는 키를 교체합니다.",
    "Replace the key that signs session tokens: all current tokens stop working five minutes later.": (
        "세션 토큰에 서명하는 키를 교체합니다. 현재의 모든 토큰은 5분 후부터 사용할 수 없습니다."
    ),
    "Restart the daemon afterwards if one is running. To end one session, use `waiaas sessions revoke`.": (
        "실행 중인 데몬은 이후에 다시 시작해야 합니다. 세션 하나만 끝내려면 `waiaas sessions revoke` 명령을"
        " 사용하십시오."
    ),
    "Replace the key? All current tokens stop working five minutes from now.": (
        "키를 교체하겠습니까? 현재의 모든 토큰은 5분 후부터 사용할 수 없습니다."
    ),
    "The key was replaced. Tokens of the old key work for five more minutes. Restart the daemon if one is running.": (
        "키를 교체했습니다. 이전 키의 토큰은 5분 동안 더 사용할 수 있습니다. 실행 중인 데몬은 다시 시작하십시오."
    ),
    # help and answers: links
    "List, add and remove the wallets of a session.": "세션의 지갑을 나열하고, 연결하고, 연결을 해제합니다.",
    "List, add and remove the links of a session: which wallets it can use, and which is its default.": (
        "세션의 연결을 나열하고, 추가하고, 삭제합니다. 연결은 세션이 사용할 수 있는 지갑과 기본 지갑을 정합니다."
    ),
    "List the wallets of a session.": "세션의 지갑을 나열합니다.",
    "List the wallets of the session with the id SESSION, the default first.": (
        "ID가 SESSION인 세션의 지갑을 기본 지갑부터 나열합니다."
    ),
    "Let a session use one more wallet.": "세션에 지갑을 하나 더 연결합니다.",
    "Link the wallet with the id WALLET to the session with the id SESSION.": (
        "ID가 WALLET인 지갑을 ID가 SESSION인 세션에 연결합니다."
    ),
    "It becomes the default wallet only if the session has no other.": (
        "세션에 다른 지갑이 없을 때만 기본 지갑이 됩니다."
    ),
    "Remove a wallet from a session.": "세션에서 지갑의 연결을 해제합니다.",
    "Remove the link of the session with the id SESSION to the wallet with the id WALLET.": (
        "ID가 SESSION인 세션에서 ID가 WALLET인 지갑의 연결을 삭제합니다."
    ),
    "The last link and that of the default wallet cannot be removed.": (
        "마지막 연결과 기본 지갑의 연결은 삭제할 수 없습니다."
    ),
    "Remove the wallet {wallet} from the session {session}?": (
        "{session} 세션에서 {wallet} 지갑의 연결을 해제하겠습니까?"
    ),
    "Set the default wallet of a session.": "세션의 기본 지갑을 정합니다.",
    "Make the wallet with the id WALLET the default of the session with the id SESSION.": (
        "ID가 WALLET인 지갑을 ID가 SESSION인 세션의 기본 지갑으로 정합니다."
    ),
    "It is used for requests that do not name a wallet. It must be linked to the session already.": (
        "지갑을 지정하지 않은 요청에 사용됩니다. 이미 세션에 연결된 지갑이어야 합니다."
    ),
    "The session has no wallet.": "세션에 지갑이 없습니다.",
    "default": "기본",
    " (default)": "(기본)",
    "no default": "기본값 없음",
    # help and answers: move
    "Move a file to PostgreSQL, or back.": "파일을 PostgreSQL로 옮기거나 되돌립니다.",
    "Move a database from the file SOURCE to the empty PostgreSQL database TARGET, or from a URL to a new file.": (
        "데이터베이스를 SOURCE 파일에서 비어 있는 PostgreSQL 데이터베이스 TARGET으로, 또는 URL에서 새 파일로 옮깁니다."
    ),
    "Without TARGET, the environment variable WAIAAS_DATABASE names it, which keeps the password out of the"
    " process list. Stop the service first. SOURCE is not changed. Every table is read back and"
    " compared before the commit. Values that PostgreSQL cannot store are listed before anything is"
    " written.": (
        "TARGET을 생략하면 환경 변수 WAIAAS_DATABASE에 지정된 데이터베이스를 사용하므로 프로세스 목록에 암호가"
        " 나타나지 않습니다. 먼저 서비스를 중지하십시오. SOURCE는 변경되지 않습니다. 커밋하기 전에 모든 테이블을"
        " 다시 읽어 비교합니다. PostgreSQL에 저장할 수 없는 값은 쓰기 전에 목록으로 표시합니다."
    ),
    "With one argument, a path: move the database of WAIAAS_DATABASE to a new file there.": (
        "인수로 경로 하나만 지정하면 WAIAAS_DATABASE의 데이터베이스를 그 경로의 새 파일로 옮깁니다."
    ),
    "Do everything except the commit: the target stays empty.": (
        "커밋만 빼고 모두 실행합니다. 대상은 비어 있는 상태로 남습니다."
    ),
    "Leave sessions of a missing wallet without a wallet, and report them, instead of refusing.": (
        "존재하지 않는 지갑의 세션이 있어도 거부하지 않고, 지갑 없이 남긴 후 보고합니다."
    ),
    "moved, or with --rehearse: it would be": "옮겼거나, --rehearse인 경우 옮길 수 있음",
    "refused or failed; the target is empty": "거부되었거나 실패했으며, 대상이 비어 있음",
    "Name TARGET, or set the environment variable {variable}.": (
        "TARGET을 지정하거나 환경 변수를 설정하십시오: {variable}."
    ),
    "SOURCE and TARGET are both files: one must be the URL of a PostgreSQL database.": (
        "SOURCE와 TARGET이 모두 파일입니다. 하나는 PostgreSQL 데이터베이스의 URL이어야 합니다."
    ),
    "SOURCE and TARGET are both URLs: one must be a file.": (
        "SOURCE와 TARGET이 모두 URL입니다. 하나는 파일이어야 합니다."
    ),
    " TARGET is from {variable}.": " TARGET은 {variable} 환경 변수의 값입니다.",
    "Moved {source} (schema version {version}) to {target} in {seconds:.1f} s.": (
        "{source} 데이터베이스(스키마 버전 {version})를 {target}(으)로 옮겼습니다({seconds:.1f}초)."
    ),
    "Rehearsed the move of {source} (schema version {version}) to {target} in {seconds:.1f} s.": (
        "{source} 데이터베이스(스키마 버전 {version})를 {target}(으)로 옮기는 예행연습을 마쳤습니다({seconds:.1f}초)."
    ),
    "{count:>9,} row ": "{count:>9,}행",
    "{count:>9,} rows": "{count:>9,}행",
    "All {rows:,} rows were read back and are equal.": "{rows:,}행을 모두 다시 읽어 같음을 확인했습니다.",
    "stays in the source": "원본에 남음",
    "The target is empty again.": "대상은 다시 비어 있습니다.",
    # help and answers: prune
    "Remove sessions that ended long ago, and old audit entries.": (
        "오래전에 끝난 세션과 오래된 감사 로그 항목을 삭제합니다."
    ),
    "Remove sessions that ended long ago, with their links, and old entries of the audit log.": (
        "오래전에 끝난 세션과 그 연결, 오래된 감사 로그 항목을 삭제합니다."
    ),
    "The service can keep running: each batch of rows is a short transaction. After Ctrl-C, what was"
    " removed stays removed. The file does not become smaller: new rows use the free space.": (
        "짧은 트랜잭션으로 나누어 삭제하므로 서비스를 계속 실행해도 됩니다. Ctrl-C로 중단하면 그때까지 삭제한 것은"
        " 삭제된 상태로 남습니다. 파일 크기는 줄지 않으며, 새 행이 빈 공간을 사용합니다."
    ),
    "Remove sessions that ended this many days ago.": "끝난 지 이 일수가 지난 세션을 삭제합니다.",
    "Remove audit entries older than this many days.": "이 일수보다 오래된 감사 로그 항목을 삭제합니다.",
    "A new file for these entries, as JSON lines. Without it they are lost.": (
        "삭제할 항목을 JSON Lines 형식으로 저장할 새 파일입니다. 생략하면 항목이 사라집니다."
    ),
    "Only count what would be removed.": "삭제될 개수만 셉니다.",
    "Name what to remove: --sessions or --audit, or both.": (
        "--sessions 또는 --audit 옵션으로 삭제할 대상을 지정하십시오. 둘 다 지정할 수도 있습니다."
    ),
    "--export is for --audit.": "--export 옵션은 --audit 옵션과 함께 사용합니다.",
    "{count:,} session": "세션 {count:,}개",
    "{count:,} sessions": "세션 {count:,}개",
    "{count:,} audit entry": "감사 로그 항목 {count:,}개",
    "{count:,} audit entries": "감사 로그 항목 {count:,}개",
    "{sessions} and {entries}": "{sessions}와 {entries}",
    "To be removed: {counts}.": "삭제 대상: {counts}.",
    "Permanently remove {counts}?": "{counts}를 영구히 삭제하겠습니까?",
    "Removed: {counts}.": "삭제됨: {counts}.",
    "Entries kept, because JSON cannot hold their values: {count:,}.": (
        "JSON으로 나타낼 수 없는 값이 있어 남긴 항목: {count:,}개."
    ),
    # help and answers: sessions, wallets
    "List, show and revoke sessions.": "세션을 나열하고, 표시하고, 취소합니다.",
    "List, show and revoke the sessions of AI agents.": "AI 에이전트의 세션을 나열하고, 표시하고, 취소합니다.",
    "List sessions.": "세션을 나열합니다.",
    "List the sessions of the database TARGET, in the order of their creation.": (
        "데이터베이스 TARGET의 세션을 만들어진 순서로 나열합니다."
    ),
    "Only sessions that are linked to the wallet with this id.": "이 ID의 지갑에 연결된 세션만 표시합니다.",
    "Only sessions of this status.": "이 상태의 세션만 표시합니다.",
    "Show a session and its wallets.": "세션과 그 지갑을 표시합니다.",
    "Show the session with the id SESSION: its status, times, wallets and limits. Its token is not stored.": (
        "ID가 SESSION인 세션의 상태, 시각, 지갑, 한도를 표시합니다. 토큰은 저장되지 않습니다."
    ),
    "Revoke one session, all of a wallet, or all.": "세션 하나, 지갑의 모든 세션, 또는 모든 세션을 취소합니다.",
    "Revoke all active sessions that are linked to the wallet with this id.": (
        "이 ID의 지갑에 연결된 활성 세션을 모두 취소합니다."
    ),
    "Revoke all active sessions.": "모든 활성 세션을 취소합니다.",
    "Permanently revoke the session with the id SESSION: its token no longer works.": (
        "ID가 SESSION인 세션을 영구히 취소합니다. 그 토큰은 더 이상 사용할 수 없습니다."
    ),
    "With --wallet or --all the sessions are revoked in batches, each of which is one transaction."
    " Wallets and links are unchanged: a program that may create sessions can create new ones. To stop"
    " that too, use `waiaas wallets suspend` or `waiaas kill-switch activate`.": (
        "--wallet 또는 --all 옵션을 사용하면 세션을 여러 트랜잭션으로 나누어 취소합니다. 지갑과 연결은 그대로이므로"
        " 세션을 만들 수 있는 프로그램은 새 세션을 만들 수 있습니다. 이것도 막으려면 `waiaas wallets suspend` 또는"
        " `waiaas kill-switch activate` 명령을 사용하십시오."
    ),
    "Name a session, or --wallet, or --all: only one of them.": "세션, --wallet, --all 중 하나만 지정하십시오.",
    "Or use --wallet or --all.": "또는 --wallet이나 --all 옵션을 사용하십시오.",
    "Revoke the session {session}? Its token stops working at once.": (
        "{session} 세션을 취소하겠습니까? 토큰을 즉시 사용할 수 없게 됩니다."
    ),
    "the wallet {name}": "{name} 지갑",
    "all wallets": "모든 지갑",
    "Revoke the active sessions of {name}: {count}? Their tokens stop working at once.": (
        "{name}의 활성 세션 {count}개를 취소하겠습니까? 토큰을 즉시 사용할 수 없게 됩니다."
    ),
    "Sessions revoked: {count}": "취소된 세션: {count}개",
    "There are no sessions.": "세션이 없습니다.",
    "There are no wallets.": "지갑이 없습니다.",
    "{time} at the latest": "늦어도 {time}",
    "{count} of {limit}": "{limit}회 중 {count}회",
    "List, show, suspend, resume and terminate wallets.": (
        "지갑을 나열하고, 표시하고, 정지하고, 정지 해제하고, 종료합니다."
    ),
    "List wallets.": "지갑을 나열합니다.",
    "List the wallets of the database TARGET, in the order of their creation.": (
        "데이터베이스 TARGET의 지갑을 만들어진 순서로 나열합니다."
    ),
    "Only wallets of this status.": "이 상태의 지갑만 표시합니다.",
    "Show a wallet.": "지갑을 표시합니다.",
    "Show the wallet with the id WALLET.": "ID가 WALLET인 지갑을 표시합니다.",
    "Refuse all requests for a wallet until it is resumed.": (
        "정지를 해제할 때까지 지갑에 대한 모든 요청을 거부합니다."
    ),
    "Suspend the wallet with the id WALLET: every request that needs it is refused until it is resumed.": (
        "ID가 WALLET인 지갑을 정지합니다. 정지를 해제할 때까지 이 지갑이 필요한 모든 요청을 거부합니다."
    ),
    "Its sessions and their links stay.": "세션과 그 연결은 남습니다.",
    "Why, for the people who see the wallet.": "지갑을 보는 사람에게 표시할 정지 사유입니다.",
    "Make a suspended wallet active again.": "정지된 지갑의 정지를 해제합니다.",
    "Make the suspended wallet with the id WALLET active again.": "ID가 WALLET인 정지된 지갑의 정지를 해제합니다.",
    "End a wallet permanently.": "지갑을 영구히 종료합니다.",
    "Permanently end the wallet with the id WALLET.": "ID가 WALLET인 지갑을 영구히 종료합니다.",
    "All sessions lose it, and its pending transactions are cancelled. A session that has no other wallet"
    " is revoked.": (
        "모든 세션에서 이 지갑의 연결이 해제되고, 대기 중인 트랜잭션은 취소됩니다. 다른 지갑이 없는 세션은 취소됩니다."
    ),
    "Permanently terminate the wallet {name}? Active sessions that lose it: {count}.": (
        "{name} 지갑을 영구히 종료하겠습니까? 이 지갑을 잃는 활성 세션: {count}개."
    ),
    "SESSION": "세션",
    "WALLET": "지갑",
    "WALLETS": "지갑",
    "STATUS": "상태",
    "EXPIRES": "만료",
    "CHAIN": "체인",
    "NETWORK": "네트워크",
    "NAME": "이름",
    "LINK": "연결",
    "status": "상태",
    "wallets": "지갑",
    "created": "생성",
    "expires": "만료",
    "ends": "종료",
    "renewals": "갱신",
    "revoked": "취소",
    "limits": "한도",
    "name": "이름",
    "chain": "체인",
    "network": "네트워크",
    "public key": "공개 키",
    "owner": "소유자",
    # help and answers: init, status, plan, upgrade, rehearse, downgrade, check
    "Create a new, empty database.": "비어 있는 새 데이터베이스를 만듭니다.",
    "Create a new, empty database TARGET, at the latest schema version.": (
        "최신 스키마 버전의 비어 있는 새 데이터베이스 TARGET을 만듭니다."
    ),
    "Only you can read and write the file (mode 0600). An existing file that is not empty is refused and"
    " unchanged, unless it is exactly what this command creates. If TARGET is the URL of a PostgreSQL"
    " database, the tables are created there. Without TARGET, WAIAAS_DATABASE names the database.": (
        "파일은 본인만 읽고 쓸 수 있습니다(모드 0600). 이미 있는 파일이 비어 있지 않으면 거부하고 변경하지"
        " 않습니다. 단, 이 명령이 만드는 것과 똑같은 파일은 예외입니다. TARGET이 PostgreSQL 데이터베이스의 URL이면"
        " 그곳에 테이블을 만듭니다. TARGET을 생략하면 WAIAAS_DATABASE에 지정된 데이터베이스를 사용합니다."
    ),
    "refused: TARGET already exists, or cannot be written": "거부됨: TARGET이 이미 있거나 쓸 수 없음",
    "Created {path} at schema version {version}.": "{path} 데이터베이스를 만들었습니다(스키마 버전: {version}).",
    "Show the schema version of a file.": "파일의 스키마 버전을 표시합니다.",
    "Show the schema version of the database TARGET, and whether it can be used without an upgrade (read-only).": (
        "데이터베이스 TARGET의 스키마 버전과, 업그레이드 없이 사용할 수 있는지를 표시합니다(읽기 전용)."
    ),
    "if an upgrade is pending": "업그레이드가 필요한 경우",
    "if not": "그렇지 않은 경우",
    "at the latest version": "최신 버전임",
    "refused: newer than this program, or not a WAIaaS database": (
        "거부됨: 이 프로그램보다 새 버전이거나 WAIaaS 데이터베이스가 아님"
    ),
    "an upgrade is pending, or the file is empty": "업그레이드가 필요하거나 파일이 비어 있음",
    "{path} is at schema version {version}, the latest.": "{path} 데이터베이스는 최신 스키마 버전({version})입니다.",
    "{path} is at schema version {version}, the latest: nothing to do.": (
        "{path} 데이터베이스는 최신 스키마 버전({version})이므로 할 일이 없습니다."
    ),
    "{path} is empty.": "{path} 데이터베이스가 비어 있습니다.",
    "{path} is empty: an upgrade creates the tables in it. To upgrade: {command}": (
        "{path} 데이터베이스가 비어 있습니다. 업그레이드하면 테이블이 생성됩니다. 명령: {command}"
    ),
    "{path} is at schema version {version}; an upgrade to {latest} is pending.": (
        "{path} 데이터베이스(스키마 버전: {version})를 업그레이드해야 합니다. 최신 버전: {latest}"
    ),
    "{first}, then {second}": "{first} 실행 후 {second} 실행",
    "Show what an upgrade would do.": "업그레이드할 때 무엇이 바뀌는지 표시합니다.",
    "Show what `waiaas upgrade` would do to the database TARGET, and what blocks it (read-only).": (
        "`waiaas upgrade` 명령이 데이터베이스 TARGET에서 무엇을 바꾸는지, 무엇이 걸림돌인지 표시합니다(읽기 전용)."
    ),
    "TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the"
    " database. Everything in the schema that blocks any step is listed. A value that a later step does"
    " not allow is found by `waiaas rehearse`.": (
        "TARGET은 파일 또는 PostgreSQL 데이터베이스의 URL입니다. 생략하면 WAIAAS_DATABASE에 지정된 데이터베이스를"
        " 사용합니다. 스키마에서 어느 단계에든 걸림돌이 되는 것을 모두 나열합니다. 나중 단계에서 허용하지 않는 값은"
        " `waiaas rehearse` 명령으로 찾을 수 있습니다."
    ),
    "nothing blocks an upgrade, or the file is empty": "업그레이드에 걸림돌이 없거나 파일이 비어 있음",
    "an upgrade would be refused, or the file was": "업그레이드가 거부되거나 파일 자체가 거부됨",
    "{path}: schema version {version} to {to}": "{path}: 스키마 버전 {version} → {to}",
    "step {version}: {description}": "단계 {version}: {description}",
    "links to create: {count} for {sessions}": "만들 연결: {count}개({sessions})",
    "sessions without a wallet (NULL), to be left without one": "지갑이 없는(NULL) 세션(지갑 없이 남김)",
    "sessions of a wallet that does not exist, to be left without one": "존재하지 않는 지갑의 세션(지갑 없이 남김)",
    "{session} (wallet {wallet})": "{session}(지갑 {wallet})",
    "foreign-key violations in {table}, left unchanged: {count}": (
        "{table} 테이블의 외래 키 위반(그대로 둠): {count}개"
    ),
    "To upgrade: {command}": "명령: {command}",
    "Upgrade a file to the latest version.": "파일을 최신 버전으로 업그레이드합니다.",
    "Upgrade the database TARGET to the latest schema version, all or nothing.": (
        "데이터베이스 TARGET을 최신 스키마 버전으로 업그레이드합니다. 전부 적용되거나 전혀 적용되지 않습니다."
    ),
    "A verified backup is written next to the file before the commit. Its name contains the old version"
    " and the time. Stop the daemon first, because it works only with its own version. Sessions that are"
    " left without a wallet are listed. In an empty file the tables of the latest version are created.": (
        "커밋하기 전에 검증된 백업을 파일 옆에 만들며, 이름에 이전 버전과 시각을 넣습니다. 데몬은 자신의 버전에서만"
        " 작동하므로 먼저 중지하십시오. 지갑 없이 남는 세션은 목록으로 표시합니다. 빈 파일에는 최신 버전의 테이블을"
        " 만듭니다."
    ),
    "Write the backup to PATH, or into it if it is a folder.": (
        "백업을 PATH에 만듭니다. PATH가 폴더이면 그 안에 만듭니다."
    ),
    "Write no backup. Use this only if you have your own: the change is final.": (
        "백업을 만들지 않습니다. 변경을 되돌릴 수 없으므로 직접 만든 백업이 있을 때만 사용하십시오."
    ),
    "Use `waiaas rehearse`.": "`waiaas rehearse` 명령을 사용하십시오.",
    "To try the upgrade on a copy, run `waiaas rehearse PATH`.": (
        "사본에서 업그레이드를 시험하려면 `waiaas rehearse PATH` 명령을 실행하십시오."
    ),
    "upgraded, or nothing to do": "업그레이드했거나 할 일이 없음",
    "Upgraded {path} from schema version {version} to {to}.": (
        "{path} 데이터베이스를 업그레이드했습니다. 스키마 버전: {version} → {to}"
    ),
    "{count:,} row": "{count:,}행",
    "{count:,} rows": "{count:,}행",
    "{seconds:.2f} s": "{seconds:.2f}초",
    "links created": "만든 연결",
    "sessions left without a wallet": "지갑 없이 남은 세션",
    "{session} (wallet {wallet} does not exist)": "{session}({wallet} 지갑이 존재하지 않음)",
    "{session} (was NULL)": "{session}(NULL이었음)",
    "foreign keys reconnected": "다시 연결한 외래 키",
    "empty tables of an interrupted tool, used or removed": "중단된 도구가 남긴 빈 테이블(사용했거나 삭제함)",
    "… and {count} more": "… 외 {count}개",
    "… and {count} more (all with --json)": "… 외 {count}개(--json 옵션으로 전체 출력)",
    "Try an upgrade on a copy.": "사본에서 업그레이드를 예행연습합니다.",
    "Upgrade a copy of the file at PATH, report the result and remove the copy. The file is unchanged.": (
        "PATH 파일의 사본을 업그레이드하여 결과를 보고하고 사본을 삭제합니다. 원본 파일은 변경되지 않습니다."
    ),
    "The daemon can keep running. The copy contains the key that signs session tokens, as the file does:"
    " only you can read it (mode 0600). It is on the same file system. After kill -9 or a power failure"
    " the folder .waiaas-rehearsal-… stays next to the file: the next rehearsal removes it.": (
        "데몬은 계속 실행해도 됩니다. 사본에는 원본 파일처럼 세션 토큰에 서명하는 키가 들어 있으므로 본인만 읽을 수"
        " 있습니다(모드 0600). 사본은 같은 파일 시스템에 만듭니다. kill -9나 정전 후에는 .waiaas-rehearsal-… 폴더가"
        " 파일 옆에 남으며, 다음 예행연습이 삭제합니다."
    ),
    "the upgrade would succeed, or nothing to do": "업그레이드할 수 있거나 할 일이 없음",
    "it would be refused or fail": "업그레이드가 거부되거나 실패함",
    "An upgrade of {path} from schema version {version} to {to} succeeds.": (
        "{path} 데이터베이스를 업그레이드할 수 있습니다. 스키마 버전: {version} → {to}"
    ),
    "An upgrade of {path} would change rows that it must not change, in: {tables}. Do not upgrade it.": (
        "{path} 데이터베이스를 업그레이드하면 변경되어서는 안 되는 행이 변경됩니다. 업그레이드하지 마십시오."
        " 테이블: {tables}"
    ),
    "time: {copy:.2f} s for the copy, as a backup takes, and {upgrade:.2f} s for the upgrade": (
        "소요 시간: 사본(백업과 같음) {copy:.2f}초, 업그레이드 {upgrade:.2f}초"
    ),
    "This was done to a copy, which was removed. {path} is unchanged.": (
        "사본에서 실행한 후 사본을 삭제했습니다. {path} 파일은 변경되지 않았습니다."
    ),
    "changes of the schema": "스키마 변경",
    "table": "테이블",
    "column": "열",
    "constraint": "제약 조건",
    "options": "옵션",
    "index": "인덱스",
    "trigger": "트리거",
    "view": "뷰",
    "tables whose rows differ": "행이 달라진 테이블",
    "tables whose rows are the same: {count}, {rows}": "행이 같은 테이블: {count}개, {rows}",
    "{count:,} added": "{count:,}개 추가",
    "{count:,} removed": "{count:,}개 삭제",
    "{count:,} changed": "{count:,}개 변경",
    "{count} in {table}": "{table} {count}개",
    "foreign-key violations: {before} before, {after} after": "외래 키 위반: 이전 {before}, 이후 {after}",
    "check of the result": "결과 검사",
    "Downgrade a file to version 18.": "파일을 버전 18로 다운그레이드합니다.",
    "Downgrade the file at PATH to version 18, for a daemon that does not support version 19.": (
        "버전 19를 지원하지 않는 데몬을 위해 PATH 파일을 버전 18로 다운그레이드합니다."
    ),
    "Each session keeps its default wallet. If a session has more wallets, the file is refused without"
    " --drop-links. To go back to the file from before an upgrade, restore its backup instead.": (
        "각 세션에는 기본 지갑이 남습니다. 지갑이 더 있는 세션이 있으면 --drop-links 옵션 없이는 거부합니다."
        " 업그레이드 전의 파일로 돌아가려면 백업을 복원하십시오."
    ),
    "The version to downgrade to.": "다운그레이드할 버전입니다.",
    "Drop the links that version 18 cannot hold (all but each session's default wallet), and report them.": (
        "버전 18에 저장할 수 없는 연결(각 세션의 기본 지갑을 제외한 모든 연결)을 삭제하고 보고합니다."
    ),
    "downgraded, or nothing to do": "다운그레이드했거나 할 일이 없음",
    "{path} is already at schema version {version}: nothing to do.": (
        "{path} 데이터베이스는 이미 스키마 버전 {version}이므로 할 일이 없습니다."
    ),
    "Downgraded {path} from schema version {version} to {to}.": (
        "{path} 데이터베이스를 다운그레이드했습니다. 스키마 버전: {version} → {to}"
    ),
    "links dropped": "삭제한 연결",
    "session {session}, wallet {wallet}": "세션 {session}, 지갑 {wallet}",
    "sessions without a wallet (wallet_id is NULL, which the daemon's own version 18 does not allow)": (
        "지갑이 없는 세션(wallet_id가 NULL이며, 데몬의 버전 18은 이를 허용하지 않음)"
    ),
    "Check for corruption and broken links.": "손상과 끊어진 연결을 검사합니다.",
    "Check the database TARGET for corruption, schema drift, broken links, violations and invalid values.": (
        "데이터베이스 TARGET에 손상, 스키마 차이, 끊어진 연결, 제약 위반, 잘못된 값이 있는지 검사합니다."
    ),
    "TARGET is a file, or the URL of a PostgreSQL database. Without it, WAIAAS_DATABASE names the"
    " database. It is only read. Notes, such as one about your own index, are not problems. Tables and"
    " links are checked only at the latest schema version, so check a file before and after an upgrade.": (
        "TARGET은 파일 또는 PostgreSQL 데이터베이스의 URL입니다. 생략하면 WAIAAS_DATABASE에 지정된 데이터베이스를"
        " 사용합니다. 데이터베이스는 읽기만 합니다. 직접 만든 인덱스에 관한 것과 같은 참고 사항은 문제가 아닙니다."
        " 테이블과 연결은 최신 스키마 버전에서만 검사하므로 업그레이드 전과 후에 모두 검사하십시오."
    ),
    "lists every row that has a problem": "문제가 있는 모든 행을 나열",
    "no problems": "문제가 없음",
    "refused: the file could not be checked": "거부됨: 파일을 검사하지 못함",
    "problems were found": "문제가 발견됨",
    "{path} is at schema version {version}: its tables and links were not compared.": (
        "{path} 데이터베이스(스키마 버전: {version})의 테이블과 연결은 비교하지 않았습니다."
    ),
    "no problem found.": "문제가 없습니다.",
    "no problem found in what was checked.": "검사한 범위에서는 문제가 없습니다.",
    "{count} problem found.": "문제가 {count}개 있습니다.",
    "{count} problems found.": "문제가 {count}개 있습니다.",
    # help and answers: demo, completion
    "See an upgrade of an example file.": "예제 파일의 업그레이드를 보여 줍니다.",
    "Create a file of version 18 with example rows, upgrade it, and show before, plan, report and after.": (
        "예제 행이 있는 버전 18 파일을 만들어 업그레이드하고, 이전 상태, 계획, 보고, 이후 상태를 보여 줍니다."
    ),
    "The file is created in a temporary folder and removed at the end, unless you give a PATH.": (
        "PATH를 지정하지 않으면 파일을 임시 폴더에 만들고 끝나면 삭제합니다."
    ),
    "Only create a file of this version at PATH.": "이 버전의 파일을 PATH에 만들기만 합니다.",
    "Name a PATH for the file.": "파일의 경로 PATH를 지정하십시오.",
    "an old file to play with": "시험해 볼 이전 버전의 파일",
    "with your own file": "자신의 파일로",
    "shown": "출력했음",
    "refused: PATH already exists, or cannot be written": "거부됨: PATH가 이미 있거나 쓸 수 없음",
    "The file of a wallet service at schema version 18: {rows}.": "스키마 버전 18인 지갑 서비스의 파일: {rows}.",
    "Each session has one wallet:": "각 세션에는 지갑이 하나 있습니다.",
    "Now each session has links to its wallets, one of them the default:": (
        "이제 각 세션에는 지갑과의 연결이 있으며, 그중 하나가 기본 지갑입니다."
    ),
    "One session gets a second wallet, on another chain. Its token stays the same.": (
        "한 세션에 다른 체인의 두 번째 지갑을 연결합니다. 토큰은 그대로입니다."
    ),
    "The file is kept: {path}.": "파일을 남겨 두었습니다: {path}.",
    "The files of the demo were removed.": "데모 파일은 삭제했습니다.",
    "Created {path} at schema version 18: {rows}.": "{path} 파일을 만들었습니다(스키마 버전 18): {rows}.",
    "sessions": "세션",
    "transactions": "트랜잭션",
    "Print a completion script for a shell.": "셸의 자동 완성 스크립트를 출력합니다.",
    "Print a script that completes the commands, options and paths of waiaas.": (
        "waiaas의 명령, 옵션, 경로를 자동 완성하는 스크립트를 출력합니다."
    ),
    "Add it once to the file that your shell reads at its start. It needs bash 4.4 or newer; in zsh, add"
    " it after compinit.": (
        "셸이 시작할 때 읽는 파일에 한 번만 추가하십시오. bash 4.4 이상이 필요하며, zsh에서는 compinit 다음에"
        " 추가하십시오."
    ),
    "Open a new shell, type `waiaas up` and press Tab.": "새 셸을 열고 `waiaas up`을 입력한 후 Tab을 누르십시오.",
    "printed": "출력했음",
    # the steps of an upgrade
    "First schema": "첫 스키마",
    "Agents on Ethereum, Polygon, Arbitrum, Optimism and Base networks": (
        "Ethereum, Polygon, Arbitrum, Optimism, Base 네트워크의 에이전트"
    ),
    "Agents become wallets": "에이전트를 지갑으로 변경",
    "Token registry": "토큰 레지스트리",
    "Settings in the database": "데이터베이스에 설정 저장",
    "A transaction names its network": "트랜잭션에 네트워크 기록",
    "A wallet belongs to an environment and has a default network": "지갑에 환경과 기본 네트워크 지정",
    "A policy may hold for one network": "네트워크별 정책 허용",
    "Signing without sending; policy on allowed networks": "전송 없는 서명, 허용 네트워크 정책",
    "Notification logs keep the message": "알림 로그에 메시지 저장",
    "API keys of action providers": "액션 제공자의 API 키",
    "x402 payments and their policy on allowed domains": "x402 결제와 허용 도메인 정책",
    "Transaction amounts in US dollars": "트랜잭션 금액(미국 달러)",
    "Kill switch with the states ACTIVE, SUSPENDED and LOCKED": "ACTIVE, SUSPENDED, LOCKED 상태의 킬 스위치",
    "Telegram users": "텔레그램 사용자",
    "WalletConnect sessions; the channel of an approval": "WalletConnect 세션, 승인 채널",
    "A session says where it came from": "세션에 출처 기록",
    "How a wallet's owner approves": "지갑 소유자의 승인 방법",
    "Sessions reach many wallets: session_wallets takes the place of sessions.wallet_id": (
        "세션이 여러 지갑을 사용: sessions.wallet_id를 session_wallets로 대체"
    ),
    # what the line of progress shows
    "version {version}: {phase}": "버전 {version}: {phase}",
    "{text} {done:,} of {total:,}": "{text}, {total:,}개 중 {done:,}개",
    "{text}, {total:,} in all": "{text}, 모두 {total:,}개",
    "{text}, {minutes} left": "{text}, {minutes} 남음",
    "{text}, {minutes} so far": "{text}, {minutes} 지남",
    "backing up": "백업하는 중",
    "changing tables and rows": "테이블과 행을 변경하는 중",
    "changing the definition of {name}": "{name} 정의를 변경하는 중",
    "checking all foreign keys": "모든 외래 키를 검사하는 중",
    "checking the foreign keys of {name}": "{name} 테이블의 외래 키를 검사하는 중",
    "checking the pages": "페이지를 검사하는 중",
    "checking the references": "참조를 검사하는 중",
    "checking the result": "결과를 검사하는 중",
    "checking the tables": "테이블을 검사하는 중",
    "checking the values of {name}": "{name} 테이블의 값을 검사하는 중",
    "committing": "커밋하는 중",
    "comparing {name}": "{name} 테이블을 비교하는 중",
    "copying {name}": "{name} 테이블을 복사하는 중",
    "creating the indexes of {name}": "{name} 테이블의 인덱스를 만드는 중",
    "dropping {name}": "{name} 항목을 삭제하는 중",
    "filling {name}": "{name} 테이블을 채우는 중",
    "indexing {name}": "{name} 테이블의 인덱스를 만드는 중",
    "looking for obstacles": "걸림돌을 찾는 중",
    "reconnecting the foreign keys of {name}": "{name} 테이블의 외래 키를 다시 연결하는 중",
    "replacing {name}": "{name} 테이블을 교체하는 중",
    "verifying the backup": "백업을 확인하는 중",
    "verifying the copy": "사본을 확인하는 중",
    "waiting for another process that upgrades the database": (
        "데이터베이스를 업그레이드하는 다른 프로세스를 기다리는 중"
    ),
    "waiting for another process that upgrades the file": "파일을 업그레이드하는 다른 프로세스를 기다리는 중",
    "waiting for the write lock": "쓰기 잠금을 기다리는 중",
    "writing the log back": "로그를 파일에 반영하는 중",
}
