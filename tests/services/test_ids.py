"""Every method of every service treats an invalid or unknown id in the same way."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from support.application import NOBODY, Scene, expect_refusal
from support.service_parameters import ServiceParameter, call, name_of, right_id, service_parameters

import waiaas
from waiaas.models import Wallet
from waiaas.schemas import MAX_KEY_LENGTH
from waiaas.services import AuditService, Page

#: The parameters of the services' methods that are ids, each with the key under which it is refused.
IDS = {"session_id": "sessionId", "wallet_id": "walletId", "after": "after"}
#: The parameters that are not ids.
NO_IDS = {
    *("actor", "expires_at", "issued_at", "limit", "reason", "status", "token", "must_be_active"),
    *("chain", "constraints", "default_network", "environment", "name", "owner_address", "public_key", "ttl"),
    *("event_type", "since", "until"),
    # Covered by the schema's rules and the tests of `create`.
    *("wallet_ids", "default_wallet_id"),
}


# The position of an entry in the audit log is a number.
PARAMETERS = [
    parameter
    for parameter in service_parameters()
    if parameter.name in IDS and name_of(parameter) != "AuditService.list-after"
]
every_parameter = pytest.mark.parametrize("parameter", PARAMETERS, ids=map(name_of, PARAMETERS))

#: Values that a caller may pass instead of a valid id.
NO_ID: dict[str, Callable[[str], object]] = {
    "uuid": uuid.UUID,
    "int": lambda right: 7,
    "float": lambda right: 1.5,
    "bool": lambda right: True,
    "bytes": str.encode,
    "list": lambda right: [right],
    "model": lambda right: Wallet(id=right),
    "column": lambda right: Wallet.id,
    "surrogate": lambda right: f"{right}\ud800",
    "nul": lambda right: f"{right}\0",
}


def test_every_parameter_is_listed_as_an_id_or_another_value() -> None:
    """Every parameter of every method is listed as an id or as another value, so that a new one is tested too."""
    assert {parameter.name for parameter in service_parameters()} == IDS.keys() | NO_IDS
    assert {parameter.service.__name__ for parameter in service_parameters()} == {
        *("AuditService", "KillSwitchService", "SessionService", "TokenService", "SessionWalletService"),
        "WalletService",
    }


@every_parameter
def test_the_right_id_is_accepted(scene: Scene, parameter: ServiceParameter) -> None:
    """With the right id each call succeeds, so the other tests fail for the id alone."""
    call(scene, parameter, right_id(scene, parameter))


@every_parameter
@pytest.mark.parametrize("kind", NO_ID)
def test_what_can_be_no_id_is_refused(scene: Scene, parameter: ServiceParameter, kind: str) -> None:
    """A value that is not a valid string is refused under its key, and neither the value nor a cause is shown."""
    value = NO_ID[kind](right_id(scene, parameter))
    with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, parameter, value)
    ((key, (message,)),) = caught.value.details["fields"].items()  # type: ignore[index, union-attr]
    assert key == IDS[parameter.name]
    assert right_id(scene, parameter) not in str(caught.value.to_dict())
    assert isinstance(value, str) or parameter.name == "after" or message.endswith(f", not {type(value).__name__}.")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@every_parameter
def test_none_is_refused_if_an_id_is_required(scene: Scene, parameter: ServiceParameter) -> None:
    """None is accepted only if the method documents it as the absence of an id."""
    if parameter.is_optional:
        call(scene, parameter, None)
    else:
        with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED"):
            call(scene, parameter, None)


LOOKED_UP = [parameter for parameter in PARAMETERS if parameter.method != "sign" and parameter.name != "after"]
every_look_up = pytest.mark.parametrize("parameter", LOOKED_UP, ids=map(name_of, LOOKED_UP))
UNKNOWN = {"SESSION_NOT_FOUND", "WALLET_NOT_FOUND", "WALLET_ACCESS_DENIED"}


def is_filter(parameter: ServiceParameter) -> bool:
    """Return whether an unknown id is a filter that selects nothing instead of being refused."""
    return parameter.method == "list" and (parameter.name == "wallet_id" or parameter.service is AuditService)


def is_unknown(scene: Scene, parameter: ServiceParameter, value: str) -> bool:
    """Return whether the value is treated as an unknown id."""
    if is_filter(parameter):
        return bool(call(scene, parameter, value) == Page((), None))
    codes = []
    for each in (NOBODY, value):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            call(scene, parameter, each)
        codes.append(caught.value.code)
    return codes[0] == codes[1] and codes[0] in UNKNOWN


@every_look_up
@pytest.mark.parametrize("spelling", [str.upper, "{{{}}}".format, "urn:uuid:{}".format, " {}".format, "{}é".format])
def test_another_spelling_is_unknown(
    scene: Scene, parameter: ServiceParameter, spelling: Callable[[str], str]
) -> None:
    """Ids are compared exactly: no other spelling of a UUID matches."""
    before = scene.app.rows()
    assert is_unknown(scene, parameter, spelling(right_id(scene, parameter)))
    assert scene.app.rows() == before


@pytest.mark.sqlite("foreign keys are switched off")
def test_a_row_of_another_program_is_found_by_its_id(scene: Scene) -> None:
    """A wallet and a session of another program, with ids that are not lower-case UUIDs, can be read and ended."""
    scene.app.execute("PRAGMA foreign_keys = OFF")
    for table, column, old in (("wallets", "wallet_id", scene.third), ("sessions", "session_id", scene.session.id)):
        scene.app.execute(f"UPDATE {table} SET id = upper(id) || ' 지갑' WHERE id = ?", old)
        scene.app.execute(f"UPDATE session_wallets SET {column} = upper({column}) || ' 지갑' WHERE {column} = ?", old)
    wallet, session = (f"{old.upper()} 지갑" for old in (scene.third, scene.session.id))
    assert scene.app.links.link(session, wallet, actor="admin").id == wallet
    assert scene.app.links.resolve(session, wallet) == wallet
    assert scene.app.wallets.terminate(wallet, actor="admin").status == "TERMINATED"
    assert scene.app.sessions.revoke(session, actor="admin").status == "REVOKED"


@pytest.mark.sqlite("foreign keys are switched off")
def test_a_number_is_not_the_text_of_its_digits(scene: Scene) -> None:
    """SQLite compares a number with text as text; the services refuse a number even if a row would match."""
    scene.app.execute("PRAGMA foreign_keys = OFF")
    scene.app.execute("UPDATE wallets SET id = '7' WHERE id = ?", scene.second)
    scene.app.execute("UPDATE session_wallets SET wallet_id = '7' WHERE wallet_id = ?", scene.second)
    assert scene.app.links.resolve(scene.session.id, "7") == "7"
    with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED"):
        scene.app.links.resolve(scene.session.id, 7)  # type: ignore[arg-type]


TOKEN_AS = {
    "it is": "{}".format,
    "a header": "Bearer {}".format,
    "a JWT": lambda token: token.removeprefix("wai_sess_"),
    "text in quotes": repr,
}


@every_look_up
@pytest.mark.parametrize("form", TOKEN_AS)
def test_a_token_passed_as_an_id_is_not_shown(scene: Scene, parameter: ServiceParameter, form: str) -> None:
    """If a caller passes a token instead of an id, the error, which is logged and sent, contains no trace of it."""
    token = TOKEN_AS[form](scene.session.token)
    if len(token) <= MAX_KEY_LENGTH and is_filter(parameter):
        assert is_unknown(scene, parameter, token)
        return
    with pytest.raises(waiaas.WAIaaSError) as caught:
        call(scene, parameter, token)
    assert (caught.value.code == "ACTION_VALIDATION_FAILED") == (len(token) > MAX_KEY_LENGTH)
    shown = f"{caught.value.to_dict('en')} {caught.value.to_dict('ko')} {caught.value!r}"
    assert not any(part in shown for part in scene.session.token.removeprefix("wai_sess_").split("."))


@every_look_up
def test_a_short_token_passed_as_an_id_is_not_repeated(scene: Scene, parameter: ServiceParameter) -> None:
    """Text with the prefix of a token is refused as an id and is not repeated in the error."""
    token = "wai_sess_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzIn0.secret"
    assert is_unknown(scene, parameter, token)
    if not is_filter(parameter):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            call(scene, parameter, token)
        assert "secret" not in f"{caught.value.to_dict('en')} {caught.value.to_dict('ko')} {caught.value!r}"


@every_parameter
def test_an_id_has_at_most_256_characters(scene: Scene, parameter: ServiceParameter) -> None:
    """An id longer than 256 characters is refused before anything else is done with it, and is not repeated."""
    with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, parameter, "x" * 257)
    assert "xxx" not in str(caught.value.to_dict())
    if parameter.name != "after":
        assert caught.value.details == {"fields": {IDS[parameter.name]: ["Must have at most 256 characters."]}}
