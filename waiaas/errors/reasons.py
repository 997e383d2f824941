"""Why a database was not opened, created, upgraded, downgraded, read or written.

Each reason has one error code: ``DATABASE_BUSY`` for a lock that was not free in time, ``DATABASE_UNAVAILABLE`` for a
database that cannot be read or written, and ``SCHEMA_INCOMPATIBLE`` for everything else.

An entry is ``name (CODE): message``, with ``, upgrade`` if tables or rows of the database do not allow an upgrade or
downgrade, and ``, retryable``; see :mod:`waiaas.errors.entries`. To add a reason, write one entry.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from waiaas.errors.entries import facts_in


class Reason(NamedTuple):
    """Why a database was refused.

    ``retryable``: whether the same call may succeed later, although the database was not changed.
    ``refuses_upgrade``: whether tables or rows of the database do not allow an upgrade or downgrade.
    """

    name: str
    retryable: bool
    code: str
    refuses_upgrade: bool


#: The entries. Placeholders are filled from the details of the error.
ENTRIES: Final = """\
file_not_found (DATABASE_UNAVAILABLE): There is no file {path}.
  > Check the spelling of the path. `waiaas init PATH` is only for a new database.
  ko: {path} 파일이 없습니다.
  > 경로에 오타가 없는지 확인하십시오. `waiaas init PATH` 명령은 새 데이터베이스를 만들 때만 사용합니다.
not_a_file (DATABASE_UNAVAILABLE): {path} is a folder or a device, not a file.
  > Use the path of the database file itself.
  ko: {path}: 폴더나 장치이며 파일이 아닙니다.
  > 데이터베이스 파일의 경로를 지정하십시오.
file_exists (SCHEMA_INCOMPATIBLE): {path} already exists and is not empty.
  > Choose another path, or use the existing file: `waiaas status` shows its schema version.
  ko: {path} 경로에 비어 있지 않은 파일이 이미 있습니다.
  > 다른 경로를 지정하거나 기존 파일을 사용하십시오. `waiaas status` 명령으로 스키마 버전을 확인할 수 있습니다.
not_a_database (DATABASE_UNAVAILABLE): {path} is not an SQLite database, or it is encrypted.
  > Check the path. If this was a database, restore it from a backup.
  ko: {path} 파일은 SQLite 데이터베이스가 아니거나 암호화되어 있습니다.
  > 올바른 파일을 지정하십시오. 원래 데이터베이스였다면 백업에서 복원하십시오.
other_program (SCHEMA_INCOMPATIBLE): {path} is a database of another program: the WAIaaS tables {tables} are missing.
  > Check the path. It must be the database file of WAIaaS.
  ko: {path}: 다른 프로그램의 데이터베이스입니다. 다음 WAIaaS 테이블이 없습니다: {tables}.
  > WAIaaS 데이터베이스 파일을 지정하십시오.
schema_version_missing (SCHEMA_INCOMPATIBLE): {path} has WAIaaS tables but no table schema_version, so its version is
    unknown.
  > Restore the database from a backup.
  ko: {path} 파일에 WAIaaS 테이블은 있지만 schema_version 테이블이 없어 스키마 버전을 알 수 없습니다.
  > 백업에서 데이터베이스를 복원하십시오.
schema_version_empty (SCHEMA_INCOMPATIBLE): The table schema_version of {path} has no usable row, so its version is
    unknown.
  > Restore the database from a backup.
  ko: {path} 파일의 schema_version 테이블에 유효한 행이 없어 스키마 버전을 알 수 없습니다.
  > 백업에서 데이터베이스를 복원하십시오.
code_too_old (SCHEMA_INCOMPATIBLE): code too old: {path} is at schema version {version}, but this release of waiaas
    supports versions up to {latest}.
  > Install a newer release of waiaas.
  ko: 설치된 waiaas 릴리스가 너무 오래되었습니다. 스키마 버전 {latest}까지만 지원하는데 {path} 파일의 스키마 버전은
    {version}입니다.
  > waiaas의 최신 릴리스를 설치하십시오.
empty_database (SCHEMA_INCOMPATIBLE): {path} has no tables yet, so there is nothing to upgrade.
  > Create the tables with connect() or `waiaas init`.
  ko: {path} 데이터베이스에 아직 테이블이 없어 업그레이드할 내용이 없습니다.
  > connect() 함수나 `waiaas init` 명령으로 테이블을 만드십시오.
not_a_path (SCHEMA_INCOMPATIBLE): This is a URL or a connection string, but the path of a database file is needed.
  > Use the path of an SQLite file. Pass a PostgreSQL database to the services as a Peewee `PostgresqlDatabase`.
  ko: 데이터베이스 파일 경로가 필요한 자리에 URL 또는 연결 문자열이 지정되었습니다.
  > SQLite 파일의 경로를 지정하십시오. PostgreSQL 데이터베이스는 Peewee의 `PostgresqlDatabase`로 서비스에 전달하십시오.
empty_path (SCHEMA_INCOMPATIBLE): The path is empty.
  > Name the database. A variable or setting that it comes from may be unset.
  ko: 경로가 비어 있습니다.
  > 데이터베이스를 지정하십시오. 경로가 들어 있는 변수나 설정이 비어 있는지 확인하십시오.
not_sqlite (SCHEMA_INCOMPATIBLE): A {backend} is not a database that this library works with.
  > Use the path of a SQLite file, the URL of a PostgreSQL database, or what connect() returns.
  ko: 이 라이브러리로 다룰 수 없는 데이터베이스입니다. 형식: {backend}.
  > SQLite 파일 경로, PostgreSQL 데이터베이스 URL 또는 connect() 함수의 반환값을 사용하십시오.
needs_file (SCHEMA_INCOMPATIBLE): {path} is not a file, and this works on SQLite files only.
  > Use the tools of PostgreSQL for a database on a server, such as pg_dump and pg_restore.
  ko: {path} 데이터베이스는 파일이 아닙니다. 이 작업은 SQLite 파일에만 사용할 수 있습니다.
  > 서버에 있는 데이터베이스에는 pg_dump, pg_restore 등 PostgreSQL 도구를 사용하십시오.
upgrade_pending (SCHEMA_INCOMPATIBLE): {path} is at schema version {version}: it must be upgraded before it can be
    used.
  > Upgrade it with connect() or `waiaas upgrade`. `waiaas plan` shows what an upgrade would do.
  ko: {path} 데이터베이스(스키마 버전: {version})는 업그레이드해야 사용할 수 있습니다.
  > connect() 함수나 `waiaas upgrade` 명령으로 업그레이드하십시오. `waiaas plan` 명령은 업그레이드할 내용을 미리 알려
    줍니다.

database_closed (DATABASE_UNAVAILABLE): {path} was closed by this program.
  > Open it again with connect(), and close it only after the last use.
  ko: 이 프로그램에서 {path} 데이터베이스를 이미 닫았습니다.
  > connect() 함수로 다시 열고, 마지막으로 사용한 뒤에만 닫으십시오.
inside_transaction (DATABASE_UNAVAILABLE): A transaction is open on this connection, but this change needs a
    transaction of its own.
  > Commit it or roll it back, then try again.
  ko: 이 연결에 열려 있는 트랜잭션이 있어 이 변경에 필요한 새 트랜잭션을 시작할 수 없습니다.
  > 먼저 트랜잭션을 커밋하거나 롤백한 후 다시 실행하십시오.
connection_settings (DATABASE_UNAVAILABLE): This connection cannot change tables safely: {problem}.
  > Change the setting, or open the database again without it, then try again.
  ko: 이 연결로는 테이블을 안전하게 변경할 수 없습니다. 문제: {problem}.
  > 해당 설정을 바꾸거나 그 설정 없이 데이터베이스를 다시 연 후 다시 실행하십시오.
unfinished_query (DATABASE_UNAVAILABLE): A query of this connection still has unread rows, so no table can be changed.
  > Read all rows of the query or close its cursor, then try again.
  ko: 이 연결에 아직 다 읽지 않은 조회 결과가 있어 테이블을 변경할 수 없습니다.
  > 조회 결과를 끝까지 읽거나 커서를 닫은 후 다시 실행하십시오.
hidden_table (DATABASE_UNAVAILABLE): This connection to {path} has a temporary table or view named {table}, which hides
    the table of the database. Nothing was changed.
  > Give the temporary table another name, or use another connection for it.
  ko: 이 {path} 연결에 이름이 {table}인 임시 테이블이나 뷰가 있어 데이터베이스의 테이블이 가려집니다. 변경된 내용은
    없습니다.
  > 임시 테이블의 이름을 바꾸거나 다른 연결에서 사용하십시오.
change_undone (DATABASE_UNAVAILABLE): A trigger undid a change to the table {table} of {path}. Nothing was changed.
  > Run `waiaas check FILE`, which names the triggers of the file, and drop the one that does this. A temporary trigger
    belongs to the connection of the program.
  ko: 트리거가 {path} 파일의 {table} 테이블 변경을 되돌렸습니다. 변경된 내용은 없습니다.
  > `waiaas check FILE` 명령으로 파일의 트리거 이름을 확인하고 원인이 되는 트리거를 삭제하십시오. 임시 트리거는
    프로그램의 연결에 속합니다.
database_busy (DATABASE_BUSY, retryable): {path} is still locked by another connection after {seconds} s.
  > Stop the daemon or the other program that uses the file, then try again.
  ko: 다른 연결이 {path} 데이터베이스를 잠그고 있으며 {seconds}초 안에 잠금을 풀지 않았습니다.
  > 데몬이나 파일을 사용하는 다른 프로그램을 중지한 후 다시 시도하십시오.
read_only (DATABASE_UNAVAILABLE): {path} cannot be written: the file or its folder is read-only.
  > Give write permission to the file and to its folder, because SQLite writes its journal next to the file.
  ko: {path} 파일에 쓸 수 없습니다. 파일이나 폴더가 읽기 전용입니다.
  > 파일과 폴더에 모두 쓰기 권한을 부여하십시오. SQLite는 파일과 같은 폴더에 저널을 기록합니다.
cannot_open (DATABASE_UNAVAILABLE): SQLite cannot open {path}: {cause}.
  > Check the path, and the permissions of the file and of its folder.
  ko: SQLite에서 {path} 파일을 열 수 없습니다. 원인: {cause}.
  > 경로와 파일 및 폴더의 권한을 확인하십시오.
log_unreadable (DATABASE_UNAVAILABLE): {path} has a write-ahead log that cannot be read: SQLite must write the log's
    index next to it, and the folder is read-only.
  > Give write permission to the folder, or copy the file and its log (the file `-wal` next to it) to a folder that you
    can write, and open the copy.
  ko: {path} 파일의 WAL 로그를 읽을 수 없습니다. SQLite가 로그의 인덱스를 같은 폴더에 써야 하지만 폴더가 읽기
    전용입니다.
  > 폴더에 쓰기 권한을 부여하십시오. 또는 파일과 그 로그(옆에 있는 `-wal` 파일)를 쓸 수 있는 폴더에 함께 복사하고
    사본을 지정하십시오.
log_without_database (DATABASE_UNAVAILABLE): {path} is missing or empty, but {sidecar} is not: SQLite would delete
    {sidecar} and what it contains.
  > Put the database file that belongs to {sidecar} back, or move {sidecar} to another folder.
  ko: {path} 파일이 없거나 비어 있지만 {sidecar} 파일에는 내용이 있습니다. 이대로 열면 SQLite가 {sidecar} 파일을 내용과
    함께 삭제합니다.
  > {sidecar} 파일에 해당하는 데이터베이스 파일을 되돌려 놓거나 {sidecar} 파일을 다른 폴더로 옮기십시오.
sidecar_not_a_file (DATABASE_UNAVAILABLE): {sidecar} is not a regular file with one name. SQLite would read it as part
    of {path}.
  > Find out who created {sidecar}, and remove it. The folder of a database must belong to you.
  ko: {sidecar} 파일은 이름이 하나뿐인 일반 파일이 아닙니다. SQLite가 이 파일을 {path} 파일의 일부로 읽게 됩니다.
  > 누가 {sidecar} 파일을 만들었는지 확인하고 제거하십시오. 데이터베이스의 폴더는 사용자 본인의 소유여야 합니다.
sidecar_of_another_user (DATABASE_UNAVAILABLE): {sidecar} belongs to another user (user id {owner}), who cannot write
    {path}. SQLite would read it as part of {path}.
  > Find out who created {sidecar}, and move it away. The folder of a database must belong to you. If that user needs
    the database, let a common group write {path}.
  ko: {sidecar} 파일은 {path} 파일에 쓸 수 없는 다른 사용자(사용자 ID {owner})의 소유입니다. SQLite가 이 파일을 {path}
    파일의 일부로 읽게 됩니다.
  > 누가 {sidecar} 파일을 만들었는지 확인하고 다른 곳으로 옮기십시오. 데이터베이스의 폴더는 사용자 본인의 소유여야
    합니다. 그 사용자도 데이터베이스를 사용해야 한다면 공용 그룹에 {path} 파일의 쓰기 권한을 부여하십시오.
file_replaced (DATABASE_UNAVAILABLE): {path} is no longer the file that was opened: it was renamed, deleted or
    replaced.
  > Put the file back, or restart the program so that it opens the file that is there now.
  ko: {path} 파일은 처음에 연 파일이 아닙니다. 파일의 이름이 바뀌었거나 삭제 또는 교체되었습니다.
  > 파일을 되돌려 놓거나, 지금 있는 파일을 열도록 프로그램을 다시 시작하십시오.
file_in_use (DATABASE_UNAVAILABLE): Another program has {path} open: {programs}.
  > Restart it if it is an older daemon: it cannot work with the new tables.
  ko: 다른 프로그램이 {path} 파일을 열어 두고 있습니다: {programs}.
  > 이전 버전의 데몬이면 다시 시작하십시오. 새 테이블로는 작동하지 않습니다.
disk_full (DATABASE_UNAVAILABLE, retryable): {path} cannot be written: the disk is full, or a quota or a file-size
    limit was reached.
  > Free some space, then try again.
  ko: 디스크 공간이 부족하거나 할당량 또는 파일 크기 제한에 도달하여 {path} 파일에 쓸 수 없습니다.
  > 공간을 확보한 후 다시 시도하십시오.
io_error (DATABASE_UNAVAILABLE, retryable): The operating system reported an I/O error on {path}: {cause}.
  > Check the disk and its connection, then try again.
  ko: {path} 파일에서 운영 체제 입출력 오류가 발생했습니다. 원인: {cause}.
  > 디스크와 연결 상태를 확인한 후 다시 시도하십시오.
no_room_for_temporary_files (DATABASE_UNAVAILABLE, retryable): There is no space left for {path} or for SQLite's
    temporary files in {folder}: {cause}.
  > Free some space in both folders, or set `SQLITE_TMPDIR` to another folder, then try again.
  ko: {path} 파일이나 {folder} 폴더에 있는 SQLite 임시 파일을 쓸 공간이 부족합니다. 원인: {cause}.
  > 두 폴더에 공간을 확보하거나 `SQLITE_TMPDIR`에 다른 폴더를 지정한 후 다시 시도하십시오.
clock_unusable (DATABASE_UNAVAILABLE): The clock returned {time} (Unix seconds), which is not in the years 1970 to
    9999.
  > Set the clock, then try again.
  ko: 시계의 값 {time}(Unix 초)은 1970년에서 9999년 사이의 시각이 아닙니다.
  > 시계를 맞춘 후 다시 시도하십시오.
too_many_files (DATABASE_UNAVAILABLE, retryable): {path} cannot be opened: this process or this system has too many
    open files.
  > Raise the limit (`ulimit -n`), or close files, then try again.
  ko: 이 프로세스 또는 시스템에서 열린 파일이 너무 많아 {path} 파일을 열 수 없습니다.
  > 열린 파일 수 제한(`ulimit -n`)을 늘리거나 파일을 닫은 후 다시 시도하십시오.
out_of_memory (DATABASE_UNAVAILABLE, retryable): There is not enough memory to work with {path}.
  > Free some memory or raise the limit (`ulimit -v`), then try again.
  ko: {path} 파일을 처리할 메모리가 부족합니다.
  > 메모리를 확보하거나 제한(`ulimit -v`)을 늘린 후 다시 시도하십시오.
sqlite_error (DATABASE_UNAVAILABLE): SQLite cannot work with {path}: {cause}.
  > Run `waiaas status`: a file of an older version must be upgraded first. Otherwise run `waiaas check`, and report
    its output together with this message.
  ko: SQLite에서 {path} 파일을 처리할 수 없습니다. 원인: {cause}.
  > `waiaas status` 명령을 실행하십시오. 이전 버전의 파일이면 먼저 업그레이드해야 합니다. 그렇지 않으면 `waiaas check`
    명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.
corrupt (DATABASE_UNAVAILABLE): The database file {path} is damaged: {cause}.
  > Run `waiaas check FILE`, which reads every page. If it confirms the damage, restore the file from a backup, or
    recover what can be read with `sqlite3 FILE .recover`.
  ko: {path} 데이터베이스 파일이 손상되었습니다. 원인: {cause}.
  > 모든 페이지를 읽는 `waiaas check FILE` 명령을 실행하십시오. 손상이 확인되면 백업에서 복원하거나 `sqlite3 FILE
    .recover` 명령으로 읽을 수 있는 데이터를 복구하십시오.
unreadable_value (DATABASE_UNAVAILABLE): A value in {path} cannot be read: {cause}.
  > Run `waiaas check FILE`, which lists the rows with such values. Then correct the value, or restore it from a
    backup.
  ko: {path} 파일에 읽을 수 없는 값이 있습니다. 원인: {cause}.
  > 값을 읽을 수 없는 행은 `waiaas check FILE` 명령으로 찾을 수 있습니다. 값을 바로잡거나 백업에서 되살리십시오.
backup_failed (DATABASE_UNAVAILABLE): The backup of {path} could not be written or verified: {cause}. Nothing was
    changed.
  > Free some space and check the permissions of the folder. If you have your own backup, an upgrade or a downgrade can
    run without one: `--no-backup` (`backup=False`).
  ko: {path} 파일의 백업을 쓰거나 검증하지 못했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 공간을 확보하고 폴더 권한을 확인하십시오. 직접 만든 백업이 있다면 업그레이드와 다운그레이드는 백업 없이 실행할 수
    있습니다: `--no-backup`(`backup=False`).
file_open (DATABASE_UNAVAILABLE): Another program has {path} open: {programs}. Nothing was changed.
  > Stop it, then try again.
  ko: 다른 프로그램이 {path} 파일을 열어 두고 있습니다: {programs}. 변경된 내용은 없습니다.
  > 그 프로그램을 종료한 후 다시 시도하십시오.
restore_failed (DATABASE_UNAVAILABLE): {path} could not be restored from {backup}: {cause}. Nothing was changed.
  > Free some space, check the permissions of the folder, then try again.
  ko: {backup} 백업에서 {path} 파일을 복원하지 못했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 공간을 확보하고 폴더 권한을 확인한 후 다시 시도하십시오.
token_key_unusable (DATABASE_UNAVAILABLE): The token key {key} in the table key_value_store does not have the format of
    WAIaaS, so no token can be signed or verified.
  > Restore the row from a backup. If you delete it, a new key is created and every token becomes invalid.
  ko: key_value_store 테이블의 토큰 키({key})가 WAIaaS에서 저장하는 형식이 아니어서 토큰에 서명하거나 토큰을 검증할 수
    없습니다.
  > 백업에서 해당 행을 복원하십시오. 행을 삭제하면 새 키가 만들어지고 기존 토큰은 모두 무효가 됩니다.
no_room_to_rehearse (DATABASE_UNAVAILABLE, retryable): A rehearsal on a copy of {path} needs {needed} bytes on its file
    system, but only {free} are free.
  > Free some space, or copy the file to a larger disk and rehearse there. An upgrade needs the same space for its
    backup.
  ko: {path} 파일의 사본으로 예행연습을 하려면 같은 파일 시스템에 {needed}바이트가 필요하지만 {free}바이트만 남아
    있습니다.
  > 공간을 확보하거나 파일을 더 큰 디스크에 복사하여 그곳에서 실행하십시오. 백업을 만드는 업그레이드에도 같은 공간이
    필요합니다.
copy_failed (DATABASE_UNAVAILABLE): {path} could not be copied for the rehearsal: {cause}. The file itself is
    unchanged.
  > Free some space and check the permissions of the folder, or copy the file and its log (the file `-wal` next to it,
    if there is one) to a folder that you can write, and rehearse there.
  ko: 예행연습에 쓸 {path} 파일의 사본을 만들지 못했습니다. 원인: {cause}. 원본 파일은 그대로입니다.
  > 공간을 확보하고 폴더 권한을 확인하십시오. 또는 파일과 그 로그(있다면 옆에 있는 `-wal` 파일)를 쓸 수 있는 폴더에
    함께 복사하여 그곳에서 실행하십시오.
copy_left (DATABASE_UNAVAILABLE): The copy of {path} for the rehearsal could not be removed from {folder}: {cause}. The
    file itself is unchanged.
  > Remove the folder: the copy contains the key that signs session tokens.
  ko: 예행연습에 쓴 {path} 파일의 사본을 {folder} 폴더에서 삭제하지 못했습니다. 원인: {cause}. 원본 파일은
    그대로입니다.
  > 폴더를 삭제하십시오. 사본에는 세션 토큰에 서명하는 키가 들어 있습니다.

invalid_url (DATABASE_UNAVAILABLE): This is not a PostgreSQL URL that can be read.
  > Write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE, and percent-encode what is special in a password.
  ko: 올바른 PostgreSQL URL이 아닙니다.
  > postgresql://USER:PASSWORD@HOST:PORT/DATABASE 형식으로 쓰고, 비밀번호의 특수 문자는 퍼센트 인코딩하십시오.
driver_missing (DATABASE_UNAVAILABLE): PostgreSQL needs the package psycopg 3, which is not installed.
  > Install it with `pip install 'waiaas[postgresql]'`.
  ko: PostgreSQL에 필요한 psycopg 3 패키지가 설치되어 있지 않습니다.
  > `pip install 'waiaas[postgresql]'` 명령으로 설치하십시오.
server_unavailable (DATABASE_UNAVAILABLE, retryable): The server of {path} cannot be reached: {cause}.
  > Check host, port and network, and whether the server runs. Then try again.
  ko: {path} 서버에 연결할 수 없습니다. 원인: {cause}.
  > 호스트, 포트, 네트워크와 서버가 실행 중인지 확인한 후 다시 시도하십시오.
connection_lost (DATABASE_UNAVAILABLE, retryable): The connection to {path} ended: {cause}. The change was not made.
  > Try again. If it happens often, look in the log of the server.
  ko: {path} 연결이 끊겼습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 다시 시도하십시오. 자주 발생하면 서버 로그를 확인하십시오.
commit_unknown (DATABASE_UNAVAILABLE): The connection to {path} ended during COMMIT: the change may be in the database
    or not.
  > Read what the change was about before you repeat it.
  ko: COMMIT 도중 {path} 연결이 끊겨 변경 내용이 저장되었는지 알 수 없습니다.
  > 변경을 다시 실행하기 전에 해당 데이터를 조회하여 확인하십시오.
transaction_conflict (DATABASE_BUSY, retryable): Another transaction on {path} changed the same rows: {cause}. The
    change was not made.
  > Run the whole transaction again.
  ko: {path} 데이터베이스에서 다른 트랜잭션이 같은 행을 변경했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 트랜잭션 전체를 다시 실행하십시오.
pool_exhausted (DATABASE_BUSY, retryable): All {size} connections of the pool to {path} were in use for {seconds} s.
  > Try again, or make the pool larger.
  ko: {path} 연결 풀의 연결 {size}개가 {seconds}초 동안 모두 사용 중이었습니다.
  > 다시 시도하거나 풀의 크기를 늘리십시오.
too_many_connections (DATABASE_UNAVAILABLE, retryable): The server of {path} has no connection left: {cause}.
  > Use a smaller pool or a connection pooler, or raise `max_connections` of the server.
  ko: {path} 서버에 남은 연결이 없습니다. 원인: {cause}.
  > 풀의 크기를 줄이거나 커넥션 풀러를 사용하거나 서버의 `max_connections` 값을 늘리십시오.
access_denied (DATABASE_UNAVAILABLE): The server of {path} refused the login: {cause}.
  > Check user and password, and the file pg_hba.conf of the server.
  ko: {path} 서버가 로그인을 거부했습니다. 원인: {cause}.
  > 사용자와 비밀번호, 서버의 pg_hba.conf 파일을 확인하십시오.
database_not_found (DATABASE_UNAVAILABLE): The server has no database {path}.
  > Check the name, or create the database with `createdb`.
  ko: 서버에 {path} 데이터베이스가 없습니다.
  > 이름을 확인하거나 `createdb` 명령으로 데이터베이스를 만드십시오.
insufficient_privilege (DATABASE_UNAVAILABLE): The user of {path} may not do this: {cause}.
  > Grant the user what the documentation of PostgreSQL databases lists.
  ko: {path} 사용자에게 이 작업의 권한이 없습니다. 원인: {cause}.
  > PostgreSQL 문서 페이지에 나열된 권한을 사용자에게 부여하십시오.
server_read_only (DATABASE_UNAVAILABLE, retryable): The server of {path} is read-only: it is a standby, or its
    administrator has set it so.
  > Name the primary, or several hosts with `target_session_attrs=read-write` in the URL.
  ko: {path} 서버는 읽기 전용입니다. 스탠바이이거나 관리자가 읽기 전용으로 설정했습니다.
  > 프라이머리를 지정하거나, URL에 여러 호스트와 `target_session_attrs=read-write`를 지정하십시오.
statement_canceled (DATABASE_UNAVAILABLE, retryable): The server of {path} cancelled a statement: {cause}. The change
    was not made.
  > Try again, or raise `statement_timeout` of the server.
  ko: {path} 서버가 문장을 취소했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 다시 시도하거나 서버의 `statement_timeout` 값을 늘리십시오.
unsuitable_database (DATABASE_UNAVAILABLE): The database {path} cannot be used: {problem}.
  > Create a database for WAIaaS with `createdb --encoding=UTF8 --template=template0`.
  ko: {path} 데이터베이스를 사용할 수 없습니다. 문제: {problem}.
  > `createdb --encoding=UTF8 --template=template0` 명령으로 WAIaaS용 데이터베이스를 만드십시오.
server_error (DATABASE_UNAVAILABLE): PostgreSQL cannot work with {path}: {cause}.
  > Run `waiaas check URL` and report its findings together with this message.
  ko: PostgreSQL이 {path} 데이터베이스로 작업할 수 없습니다. 원인: {cause}.
  > `waiaas check URL` 명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.

move_refused (SCHEMA_INCOMPATIBLE): {path} has {count} values that PostgreSQL cannot store: {values}. Nothing was
    written.
  > Correct these values in a copy of the file; `waiaas check FILE` lists most of them. Then move the copy.
  ko: {path}: PostgreSQL이 저장할 수 없는 값이 {count}개 있습니다: {values}. 기록된 내용은 없습니다.
  > 파일의 사본에서 이 값들을 고친 후 그 사본을 옮기십시오. `waiaas check FILE` 명령으로 대부분 확인할 수 있습니다.
target_not_empty (SCHEMA_INCOMPATIBLE): {path} already has the tables of WAIaaS. Nothing was written.
  > Create an empty database with `createdb` and name that.
  ko: {path} 데이터베이스에 이미 WAIaaS 테이블이 있습니다. 기록된 내용은 없습니다.
  > `createdb` 명령으로 빈 데이터베이스를 만들어 지정하십시오.
source_changed (DATABASE_UNAVAILABLE): Another program wrote to {path} during the move. The target was not changed.
  > Stop the service and every other program that uses the database, then move it again.
  ko: 옮기는 동안 다른 프로그램이 {path} 파일에 기록했습니다. 대상은 변경되지 않았습니다.
  > 서비스와 데이터베이스를 사용하는 모든 프로그램을 중지한 후 다시 옮기십시오.
copy_differs (DATABASE_UNAVAILABLE): {path}: the copied table {table} differs from its source ({before} and {after}
    rows). Nothing was kept.
  > Try again. If this happens again, check memory and disks of both machines, and report it.
  ko: {path}: 복사한 {table} 테이블이 원본과 다릅니다({before}행, {after}행). 복사한 내용은 버렸습니다.
  > 다시 시도하십시오. 반복되면 두 컴퓨터의 메모리와 디스크를 점검하고 제보하십시오.

unexpected_schema (SCHEMA_INCOMPATIBLE, upgrade): The table {table} does not match this schema version: {problem}.
  > Restore the database from a backup, or report this.
  ko: {table} 테이블이 이 스키마 버전의 구조와 다릅니다. 문제: {problem}.
  > 백업에서 데이터베이스를 복원하거나 이 문제를 제보하십시오.
strange_schema (SCHEMA_INCOMPATIBLE, upgrade): The schema of {path} has a row that SQLite does not write: {problem}.
    Nothing was changed.
  > Restore the database from a backup, or copy its contents into a new file with `sqlite3 FILE .dump`.
  ko: {path} 파일의 스키마에 SQLite가 쓰지 않는 행이 있습니다. 문제: {problem}. 변경된 내용은 없습니다.
  > 백업에서 데이터베이스를 복원하거나 `sqlite3 FILE .dump` 명령으로 내용을 새 파일에 옮기십시오.
leftover_table (SCHEMA_INCOMPATIBLE, upgrade): The table {table} must be created, but it exists already, and it is not
    empty or has other columns (rows: {rows}).
  > Check the table, move the rows that you need, drop or rename it, and try again.
  ko: 새로 만들어야 할 테이블과 이름이 같은 {table} 테이블이 이미 있습니다. 테이블이 비어 있지 않거나 구조가
    다릅니다(행 수: {rows}).
  > 테이블을 살펴보고 필요한 행을 옮긴 다음, 테이블을 삭제하거나 이름을 바꾸고 다시 실행하십시오.
dependent_object (SCHEMA_INCOMPATIBLE, upgrade): The {kind} {name} depends on {table}.{column}, which would be dropped
    or changed.
  > Drop or change the {kind}, try again, and create it again without the column.
  ko: {name} 객체({kind})가 삭제되거나 변경될 {table}.{column} 열에 의존합니다.
  > 해당 객체({kind})를 삭제하거나 수정하고 다시 실행한 다음, 이 열 없이 동작하는 형태로 다시 만드십시오.
dependent_on_table (SCHEMA_INCOMPATIBLE, upgrade): The {kind} {name} depends on the table {table}, which would be
    dropped.
  > Drop or change the {kind}, then try again.
  ko: {name} 객체({kind})가 삭제될 {table} 테이블에 의존합니다.
  > 해당 객체({kind})를 삭제하거나 수정한 후 다시 실행하십시오.
name_taken (SCHEMA_INCOMPATIBLE, upgrade): The {kind} {name} would refer to the new {table}.{column}, where it now
    means something else. Nothing was changed.
  > In the {kind}, write texts in single quotes and columns with their table (t.column), then try again.
  ko: {name} 객체({kind})에서 지금은 다른 뜻으로 쓰이는 이름이 새 {table}.{column} 항목을 가리키게 됩니다. 변경된
    내용은 없습니다.
  > 해당 객체({kind})의 문자열은 작은따옴표로 쓰고 열 이름에는 테이블 이름을 붙인(t.column) 후 다시 실행하십시오.
value_not_allowed (SCHEMA_INCOMPATIBLE, upgrade): The table {table} has values in {column} that the new schema version
    does not allow: {values} (rows: {rows}; total: {count}). Nothing was changed.
  > Correct these rows, then try again.
  ko: {table} 테이블의 {column} 항목에 새 스키마 버전에서 허용하지 않는 값이 있습니다: {values} (행: {rows}, 모두
    {count}개). 변경된 내용은 없습니다.
  > 해당 행의 값을 바로잡은 후 다시 실행하십시오.
foreign_key_elsewhere (SCHEMA_INCOMPATIBLE, upgrade): The foreign key of {table}.{column} refers to the table {parent}
    instead of {expected}.
  > Restore the database from a backup, or fix the foreign key, and try again.
  ko: {table}.{column} 열의 외래 키가 {expected} 테이블이 아닌 {parent} 테이블을 참조합니다.
  > 백업에서 데이터베이스를 복원하거나 외래 키를 바로잡은 후 다시 실행하십시오.
orphan_sessions (SCHEMA_INCOMPATIBLE, upgrade): Some sessions refer to a wallet that does not exist (total: {count}):
    {sessions}.
  > Restore the wallets, or try again with `--skip-orphans` (`skip_orphans=True`) to leave these sessions without a
    wallet.
  ko: 존재하지 않는 지갑을 가리키는 세션이 {count}개 있습니다: {sessions}.
  > 지갑을 다시 추가하십시오. 세션을 지갑 없이 남겨 두려면 `--skip-orphans`(`skip_orphans=True`) 옵션으로 다시
    실행하십시오.
links_lost (SCHEMA_INCOMPATIBLE, upgrade): A downgrade to schema version 18 would lose links: some sessions are linked
    to more than one wallet (total: {count}): {sessions}.
  > Unlink the other wallets, or try again with `--drop-links` (`drop_links=True`) to keep the link of the default
    wallet only.
  ko: 스키마 버전 18로 되돌리면 지갑 연결을 잃게 됩니다. 지갑이 둘 이상 연결된 세션이 {count}개 있습니다: {sessions}.
  > 나머지 지갑의 연결을 해제하십시오. 기본 지갑의 연결만 남기려면 `--drop-links`(`drop_links=True`) 옵션으로 다시
    실행하십시오.
cannot_downgrade (SCHEMA_INCOMPATIBLE, upgrade): The database cannot be downgraded from schema version {version} to
    {target}.
  > Only version 19 can be downgraded, to 18. For another version, restore a backup of it.
  ko: 스키마 버전 {version}에서 {target} 버전으로 되돌릴 수 없습니다.
  > 버전 19에서 18로만 되돌릴 수 있습니다. 다른 버전이 필요하면 해당 버전의 백업으로 파일을 교체하십시오.

rebuild_refused (SCHEMA_INCOMPATIBLE, upgrade): Rebuilding the table {table} would lose something: {problem}. Nothing
    was changed.
  > Remove or change it, try again, and restore it afterwards.
  ko: {table} 테이블을 다시 만들면 일부 내용이 손실됩니다. 문제: {problem}. 변경된 내용은 없습니다.
  > 해당 항목을 제거하거나 수정하고 다시 실행한 다음 원래대로 되돌리십시오.
alter_refused (SCHEMA_INCOMPATIBLE, upgrade): SQLite refuses to change the table {table}: {cause}. Nothing was changed.
  > Correct this, then try again.
  ko: SQLite가 {table} 테이블 변경을 거부했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > 해당 문제를 해결한 후 다시 실행하십시오.
name_exists (SCHEMA_INCOMPATIBLE, upgrade): There is already a {kind} {name}. Nothing was changed.
  > Choose another name, or rename or drop the existing one.
  ko: 같은 이름이 이미 사용 중입니다: {name} (종류: {kind}). 변경된 내용은 없습니다.
  > 다른 이름을 선택하거나, 기존 항목의 이름을 바꾸거나 삭제하십시오.
foreign_key_violations (SCHEMA_INCOMPATIBLE, upgrade): The change would leave new foreign-key violations in the table
    {table} (total: {count}), so it was rolled back.
  > Run `waiaas check` and report its output.
  ko: 변경하면 {table} 테이블에 외래 키 위반이 새로 {count}건 생기므로 롤백했습니다.
  > `waiaas check` 명령을 실행하고 그 결과를 제보하십시오.
rows_lost (SCHEMA_INCOMPATIBLE, upgrade): The table {table} does not have the expected rows (before: {before}, after:
    {after}), so the change was rolled back.
  > The file is unchanged. Report this.
  ko: {table} 테이블의 행 수가 맞지 않아 변경을 롤백했습니다(변경 전: {before}, 변경 후: {after}).
  > 파일은 이전 상태 그대로입니다. 이 문제를 제보하십시오.
migration_failed (SCHEMA_INCOMPATIBLE, upgrade): The migration to schema version {version} failed: {cause}. Nothing was
    changed.
  > Run `waiaas check` and report its output together with this message.
  ko: 스키마 버전 {version} 마이그레이션이 실패했습니다. 원인: {cause}. 변경된 내용은 없습니다.
  > `waiaas check` 명령을 실행하고 그 결과를 이 메시지와 함께 제보하십시오.

not_synced (DATABASE_UNAVAILABLE): {path} was changed and the change is committed, but the operating system could not
    write it to disk: {cause}. A power failure now may undo the change.
  > Check the disk. Then run `waiaas status FILE`: it shows the version of the file.
  ko: {path} 파일의 변경은 커밋되었지만 디스크에 확실히 기록하는 과정에서 운영 체제 오류가 발생했습니다. 원인: {cause}.
    지금 전원이 끊기면 변경이 취소될 수 있습니다.
  > 디스크를 점검한 후 `waiaas status FILE` 명령으로 파일의 버전을 확인하십시오.
log_not_written_back (DATABASE_UNAVAILABLE): {path} was changed and the change is committed, but its write-ahead log
    could not be written back into the file: {cause}.
  > Keep the file and its log (the file `-wal` next to it) together. The next program that opens the file writes the
    log back.
  ko: {path} 파일의 변경은 커밋되었지만 WAL 로그를 파일에 반영하지 못했습니다. 원인: {cause}.
  > 파일과 로그(옆에 있는 `-wal` 파일)를 함께 보관하십시오. 다음에 파일을 여는 프로그램이 로그를 반영합니다.
journal_mode_kept (DATABASE_UNAVAILABLE): {path} was changed and the change is committed, but it could not be switched
    to write-ahead-log mode: {cause}.
  > Nothing needs to be done: the next `waiaas.connect` switches the file.
  ko: {path} 파일의 변경은 커밋되었지만 WAL 모드로 전환하지 못했습니다. 원인: {cause}.
  > 조치할 필요가 없습니다. 다음에 `waiaas.connect` 함수로 파일을 열 때 전환됩니다.
settings_not_restored (DATABASE_UNAVAILABLE): {path} was changed and the change is committed, but settings of this
    connection could not be restored: {settings} ({cause}).
  > Close the connection and open a new one.
  ko: {path} 파일의 변경은 커밋되었지만 이 연결의 설정({settings})을 되돌리지 못했습니다. 원인: {cause}.
  > 연결을 닫고 새로 여십시오.
rights_returned (DATABASE_UNAVAILABLE): {path} was restored.[[ Sessions: {sessions}.]][[ Links: {links}.]][[ Wallets:
    {wallets}.]][[ Settings: {settings}.]] These rights were removed after the backup was made, and are back.
  > Remove them again before a service uses the file: `waiaas sessions revoke`, `waiaas links remove`, `waiaas wallets
    suspend`, `waiaas tokens rotate`, `waiaas kill-switch activate`.
  ko: {path} 파일을 복원했습니다.[[ 세션: {sessions}.]][[ 연결: {links}.]][[ 지갑: {wallets}.]][[ 설정:
    {settings}.]] 이 권한은 백업 이후에 제거되었지만 다시 유효합니다.
  > 서비스가 파일을 사용하기 전에 `waiaas sessions revoke`, `waiaas links remove`, `waiaas wallets suspend`, `waiaas
    tokens rotate`, `waiaas kill-switch activate` 명령으로 다시 제거하십시오.
rights_not_compared (DATABASE_UNAVAILABLE): {path} was restored. There was no readable file to compare it with, so
    rights that were removed after the backup was made may be back.
  > Before a service uses the file, look at `waiaas sessions list FILE --status ACTIVE` and `waiaas wallets list FILE`,
    and remove what must not work.
  ko: {path} 파일을 복원했습니다. 비교할 수 있는 기존 파일이 없으므로 백업 이후에 제거된 권한이 다시 유효할 수
    있습니다.
  > 서비스가 파일을 사용하기 전에 `waiaas sessions list FILE --status ACTIVE`와 `waiaas wallets list FILE` 명령으로
    확인하고 허용하지 않을 권한을 제거하십시오.
"""

#: Every reason by its name; read-only.
REASONS: Final[Mapping[str, Reason]] = MappingProxyType(
    {name: Reason(name, "retryable" in rest, code, "upgrade" in rest) for name, (code, *rest) in facts_in(ENTRIES)}
)
