"""Messages about the fields of a request: an entry for each kind; see :mod:`waiaas.errors.entries`."""

from typing import Final

#: The entries.
FIELDS: Final = """\
required: Missing data for required field.
  ko: 필수 항목입니다.
unknown: Unknown field.
  ko: 알 수 없는 항목입니다.
null: Field may not be null.
  ko: null 값은 쓸 수 없습니다.

uuid: Must be a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12, joined by hyphens.
  ko: UUID여야 합니다. 16진수 32자리를 8-4-4-4-12자리로 나누어 하이픈으로 이은 형식입니다.
text: Must be text.
  ko: 문자열이어야 합니다.
storable_text: Must be text without NUL characters and lone surrogates.
  ko: NUL 문자와 짝 없는 서로게이트가 없는 문자열이어야 합니다.
printable: Must be printable text.
  ko: 출력할 수 있는 문자로만 된 문자열이어야 합니다.
printable_not: Must be printable text, not {type}.
  ko: 출력할 수 있는 문자로만 된 문자열이어야 합니다. {type} 값은 쓸 수 없습니다.
not_blank: Must not be blank.
  ko: 비어 있거나 공백만으로 되어 있으면 안 됩니다.
max_characters: Must have at most {count} characters.
  ko: 최대 {count}자까지 쓸 수 있습니다.
max_items: Must have at most {count} items.
  ko: 최대 {count}개까지 쓸 수 있습니다.
max_keys: Must have at most {count} keys.
  ko: 항목은 최대 {count}개까지 쓸 수 있습니다.
max_bytes: Must have at most {count} bytes as JSON.
  ko: JSON으로 나타냈을 때 최대 {count}바이트까지 쓸 수 있습니다.
one_of: Must be one of: {choices}.
  ko: 다음 중 하나여야 합니다: {choices}.
integer: Must be an integer.
  ko: 정수여야 합니다.
boolean: Must be true or false.
  ko: true 또는 false여야 합니다.
integer_range: Must be an integer from {min} to {max}.
  ko: {min} 이상 {max} 이하의 정수여야 합니다.
seconds_range: Must be an integer from {min} to {max} (seconds).
  ko: {min} 이상 {max} 이하의 정수(초)여야 합니다.
time: Must be a time: an integer, in Unix seconds.
  ko: 시각이어야 합니다. 유닉스 시간(초)을 정수로 나타낸 값입니다.
list: Must be a list.
  ko: 배열이어야 합니다.
list_of_objects: Must be a list of objects.
  ko: 객체의 배열이어야 합니다.
object: Must be an object.
  ko: 객체여야 합니다.
object_or_null: Must be an object or null.
  ko: 객체 또는 null이어야 합니다.
json: Must contain only JSON: no NaN, no infinite numbers, at most {depth} levels.
  ko: JSON 값만 담을 수 있습니다. NaN과 무한대는 쓸 수 없고 중첩은 최대 {depth}단계까지입니다.
as_loaded: Must be a result of {schema}().load.
  ko: {schema}().load 결과와 같은 형태여야 합니다.

some_wallet: Must name at least one wallet.
  ko: 지갑을 하나 이상 지정해야 합니다.
wallet_missing: Name at least one wallet, in walletIds or in walletId.
  ko: walletIds 또는 walletId 항목에 지갑을 하나 이상 지정하십시오.
one_wallet_key: Give either walletId or walletIds, not both.
  ko: walletId 또는 walletIds 항목 중 하나만 지정하십시오.
repeated_wallets: Must not name a wallet twice: {wallets}.
  ko: 같은 지갑을 두 번 지정할 수 없습니다: {wallets}.
default_not_named: Must be one of the wallets named in the request.
  ko: 요청에 지정된 지갑 중 하나여야 합니다.
token_alone: Must have the key token and no other.
  ko: token 항목만 있어야 합니다.
network_of_chain: Must be a network of {chain}: {networks}.
  ko: {chain} 체인의 네트워크여야 합니다: {networks}.
public_key_exists: A wallet with this public key exists.
  ko: 이 공개 키를 사용하는 지갑이 이미 있습니다.
next_after: Must be the next_after of a page.
  ko: 페이지의 next_after 값이어야 합니다.
aware_datetime: Must be a datetime with a time zone.
  ko: 시간대가 있는 datetime이어야 합니다.
"""
