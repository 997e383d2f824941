"""What `check` finds: an entry for each kind of finding; see :mod:`waiaas.errors.entries`.

The placeholders of a message are filled from the finding. A hint has only `$AS_NEW` and `$REBUILD`, which are below.
"""

from string import Template
from typing import Final

_AS_NEW: Final = "as in a new database: `waiaas init NEW` creates one, and `sqlite3 NEW .schema` shows it."
_AS_NEW_KO: Final = (
    "올바른 정의는 `waiaas init NEW` 명령으로 새 데이터베이스를 만들어 `sqlite3 NEW .schema` 명령으로 볼 수 있습니다."
)

#: The entries.
FINDINGS: Final = Template("""\
damage: {cause}
  > Restore the database from a backup, or recover what can be read with `sqlite3 FILE .recover`. If a CHECK or a NULL
    value is named, correct the rows of that table instead.
  ko: SQLite 검사에서 문제가 발견되었습니다: {cause}.
  > 백업에서 데이터베이스를 복원하거나 `sqlite3 FILE .recover` 명령으로 읽을 수 있는 데이터를 복구하십시오. CHECK 또는
    NULL 값이 언급된 경우에는 복원 대신 해당 테이블의 행을 바로잡으십시오.

foreign_key_violation: foreign-key violations in {where}, rows that refer to a missing row of {parent}: {count}
  > Restore the missing rows from a backup, or correct or delete the rows that refer to them: `--json` lists their
    rowids.
  ko: {where} 테이블에 외래 키 위반이 있습니다. {parent} 테이블에 없는 행을 참조하는 행 수: {count}.
  > 없어진 행을 백업에서 되살리거나, 그 행을 참조하는 행을 바로잡거나 삭제하십시오. 해당 행의 rowid는 `--json` 옵션으로
    확인할 수 있습니다.
foreign_key_mismatch: {cause}
  > Restore the database from a backup, or rebuild the referenced table with the missing PRIMARY KEY or UNIQUE.
  ko: 외래 키를 검사할 수 없습니다: {cause}.
  > 백업에서 데이터베이스를 복원하거나, 참조되는 테이블을 다시 만들어 없어진 PRIMARY KEY 또는 UNIQUE 제약 조건을
    되살리십시오.

session_without_wallet: a session that is not revoked has no wallet: {rows}
  > Link a wallet to it with `waiaas links add`, or revoke it with `waiaas sessions revoke`.
  ko: 취소되지 않은 세션에 연결된 지갑이 없습니다: {rows}.
  > `waiaas links add` 명령으로 지갑을 연결하거나 `waiaas sessions revoke` 명령으로 세션을 취소하십시오.
session_without_default: a session that is not revoked has no default wallet: {rows}
  > Make one of its wallets the default with `waiaas links default`, or revoke it with `waiaas sessions revoke`.
  ko: 취소되지 않은 세션에 기본 지갑이 없습니다: {rows}.
  > `waiaas links default` 명령으로 연결된 지갑 중 하나를 기본 지갑으로 지정하거나 `waiaas sessions revoke` 명령으로
    세션을 취소하십시오.
session_with_many_defaults: a session that is not revoked has more than one default wallet: {rows}
  > Make one of its wallets the only default with `waiaas links default`, or revoke it with `waiaas sessions revoke`.
  ko: 취소되지 않은 세션에 기본 지갑이 둘 이상 있습니다: {rows}.
  > `waiaas links default` 명령으로 연결된 지갑 중 하나만 기본 지갑으로 지정하거나 `waiaas sessions revoke` 명령으로
    세션을 취소하십시오.
kill_switch_state: {where} has a value that is not a state of the kill switch; it locks the system
  > Unlock the system with `waiaas kill-switch recover`, or revoke all rights with `waiaas kill-switch activate`.
  ko: {where}의 값이 킬 스위치 상태가 아니어서 시스템이 잠겨 있습니다.
  > `waiaas kill-switch recover` 명령으로 시스템 잠금을 해제하거나 `waiaas kill-switch activate` 명령으로 모든 권한을
    취소하십시오.

invalid_text: values of {where} that are not UTF-8 text: {count}
  > Correct them, or restore them from a backup: the services refuse such a row. `--json` lists the rowids, and SQL's
    `hex` shows the bytes.
  ko: {where} 열에 UTF-8 텍스트가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 서비스는 이런 행을 거부합니다. 해당 행의 rowid는 `--json` 옵션으로, 저장된
    바이트는 SQL의 `hex` 함수로 확인할 수 있습니다.
invalid_time: values of {where} that are not Unix seconds in the years 1 to 9999: {count}
  > Correct them: the services cannot read such a time. `--json` lists the rowids; times in milliseconds are 1,000
    times too large.
  ko: {where} 열에 1년부터 9999년까지의 유닉스 시간(초)이 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡으십시오. 서비스는 이런 시각을 알아볼 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할 수
    있습니다. 밀리초로 저장된 시각은 1,000배 큽니다.
invalid_json: values of {where} that are not JSON: {count}
  > Correct them, or restore them from a backup: the services refuse such a row. `--json` lists the rowids.
  ko: {where} 열에 JSON이 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 서비스는 이런 행을 거부합니다. 해당 행의 rowid는 `--json` 옵션으로 확인할 수
    있습니다.
not_text: values of {where} that are BLOBs instead of text: {count}
  > Correct them, or restore them from a backup: a BLOB is not equal to any text. `--json` lists the rowids.
  ko: {where} 열에 텍스트가 아니라 BLOB인 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. BLOB은 어떤 텍스트와도 같지 않습니다. 해당 행의 rowid는 `--json` 옵션으로
    확인할 수 있습니다.
invalid_count: values of {where} that are not integers: {count}
  > Correct them, or restore them from a backup: such a session cannot be renewed. `--json` lists the rowids.
  ko: {where} 열에 정수가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 이런 세션은 갱신할 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할
    수 있습니다.
invalid_limits: values of {where} that are JSON, but not an object: {count}
  > Correct them, or restore them from a backup: such limits cannot be applied. `--json` lists the rowids.
  ko: {where} 열에 JSON이지만 객체가 아닌 값이 있습니다. 행 수: {count}.
  > 값을 바로잡거나 백업에서 되살리십시오. 이런 제한은 적용할 수 없습니다. 해당 행의 rowid는 `--json` 옵션으로 확인할
    수 있습니다.

sequence_behind: the next number of {where} is {actual}, but {wanted} is the first that is free
  > Set it with `SELECT setval(pg_get_serial_sequence('TABLE', 'COLUMN'), max(COLUMN)) FROM TABLE`: until then no
    change can be recorded (audit_log.id), or new links come before older ones (session_wallets.link_order).
  ko: {where} 열의 다음 번호가 이미 사용되었습니다. 다음 번호: {actual}, 사용할 수 있는 번호: {wanted}.
  > `SELECT setval(pg_get_serial_sequence('TABLE', 'COLUMN'), max(COLUMN)) FROM TABLE` 문으로 설정하십시오. 그전에는
    변경을 기록할 수 없거나(audit_log.id) 새 연결이 이전 연결보다 앞에 놓입니다(session_wallets.link_order).

missing_table: table {where} is missing
  > Restore the database from a backup. If the table never had a row, create it $AS_NEW
  ko: {where} 테이블이 없습니다.
  > 백업에서 데이터베이스를 복원하십시오. 테이블에 행이 있었던 적이 없다면 새로 만들어도 됩니다. $AS_NEW_KO
missing_column: column {where} is missing
  > Restore the database from a backup, or add the column $AS_NEW
  ko: {where} 열이 없습니다.
  > 백업에서 데이터베이스를 복원하거나 열을 추가하십시오. $AS_NEW_KO
missing_foreign_key: table {where} lacks the foreign key {key}
  > $REBUILD
  ko: {where} 테이블에 다음 외래 키가 없습니다: {key}.
  > $REBUILD_KO
missing_unique: table {table} lacks {where}
  > $REBUILD
  ko: {table} 테이블에 다음 제약 조건이 없습니다: {where}.
  > $REBUILD_KO
missing_index: index {where} of {table} is missing
  > Create it $AS_NEW
  ko: {table} 테이블의 {where} 인덱스가 없습니다.
  > 인덱스를 만드십시오. $AS_NEW_KO
missing_check: table {where} lacks CHECK ({check})
  > $REBUILD
  ko: {where} 테이블에 다음 제약 조건이 없습니다: CHECK ({check}).
  > $REBUILD_KO

column_type: column type of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 열의 데이터 유형이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
not_null: not null of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 열의 NOT NULL 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
column_default: column default of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 열의 기본값이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
primary_key: primary key of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 열의 기본 키 순번이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
generated_column: generated column of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 열의 생성 열(generated column) 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
autoincrement: autoincrement of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 테이블의 AUTOINCREMENT 여부가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
table_options: table options of {where} is {actual}, not {wanted}
  > $REBUILD
  ko: {where} 테이블의 옵션이 다릅니다. 현재: {actual}, 기준: {wanted}.
  > $REBUILD_KO
index_differs: index {where} of {table} is {actual}, not {wanted}
  > Drop it, and create it $AS_NEW
  ko: {table} 테이블의 {where} 인덱스가 다릅니다. 현재: {actual}, 기준: {wanted}.
  > 인덱스를 삭제하고 다시 만드십시오. $AS_NEW_KO

extra_table: table {where} does not belong to WAIaaS
  > Nothing needs to be done: WAIaaS ignores it.
  ko: {where} 테이블은 WAIaaS의 테이블이 아닙니다.
  > 아무것도 하지 않아도 됩니다. WAIaaS는 이 테이블을 건드리지 않습니다.
extra_column: column {where} does not belong to WAIaaS
  > Nothing needs to be done, unless it is NOT NULL without a default: then WAIaaS cannot add rows to the table.
  ko: {where} 열은 WAIaaS의 열이 아닙니다.
  > 아무것도 하지 않아도 됩니다. 단, 기본값 없이 NOT NULL이면 WAIaaS가 테이블에 행을 추가할 수 없습니다.
extra_foreign_key: table {where} has the foreign key {key}, which does not belong to WAIaaS
  > Nothing needs to be done, unless the table lacks a foreign key as well: then this is another form of it. Fix both
    together.
  ko: {where} 테이블에 WAIaaS에 없는 외래 키가 있습니다: {key}.
  > 아무것도 하지 않아도 됩니다. 단, 같은 테이블에 없는 외래 키도 발견되었다면 그 외래 키가 다르게 정의된 것이니 함께
    바로잡으십시오.
extra_index: index {where} of {table} does not belong to WAIaaS
  > Nothing needs to be done, unless it is UNIQUE: then it may refuse rows that WAIaaS writes.
  ko: {table} 테이블의 {where} 인덱스는 WAIaaS의 인덱스가 아닙니다.
  > 아무것도 하지 않아도 됩니다. 단, UNIQUE 인덱스는 WAIaaS가 쓰는 행을 거부할 수 있습니다.
extra_check: table {where} has CHECK ({check}), which does not belong to WAIaaS
  > Nothing needs to be done, unless it refuses rows that WAIaaS writes, or the table lacks a CHECK as well: then this
    is another form of it. Fix both together.
  ko: {where} 테이블에 WAIaaS에 없는 제약 조건이 있습니다: CHECK ({check}).
  > 아무것도 하지 않아도 됩니다. 단, WAIaaS가 쓰는 행을 거부하거나 같은 테이블에 없는 CHECK도 발견되었다면
    바로잡으십시오.
extra_trigger: trigger {where} does not belong to WAIaaS
  > Make sure that you know it and want it: it runs when WAIaaS writes. Otherwise drop it.
  ko: {where} 트리거는 WAIaaS의 트리거가 아닙니다.
  > 의도한 트리거인지 확인하십시오. WAIaaS가 쓸 때 실행됩니다. 의도하지 않았다면 삭제하십시오.
unsafe_trigger: trigger {where} is on or writes to {table}, which decides who may use which wallet
  > Drop it, unless you are sure that it grants no rights: it runs when WAIaaS writes.
  ko: {where} 트리거가 지갑 사용 권한을 결정하는 테이블({table})에서 실행되거나 그 테이블에 씁니다.
  > 아무에게도 권한을 주지 않는 것이 확실하지 않다면 삭제하십시오. WAIaaS가 쓸 때 실행됩니다.
extra_view: view {where} does not belong to WAIaaS
  > Nothing needs to be done: WAIaaS ignores it.
  ko: {where} 뷰는 WAIaaS의 뷰가 아닙니다.
  > 아무것도 하지 않아도 됩니다. WAIaaS는 이 뷰를 건드리지 않습니다.
""").substitute(
    AS_NEW=_AS_NEW,
    REBUILD=f"Restore the database from a backup, or rebuild the table {_AS_NEW}",
    AS_NEW_KO=_AS_NEW_KO,
    REBUILD_KO=f"백업에서 데이터베이스를 복원하거나 테이블을 다시 만드십시오. {_AS_NEW_KO}",
)
