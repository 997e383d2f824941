"""Every method of every service treats an invalid or unknown id in the same way."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from support.service_harness import NOBODY, Scene, World, refused
from support.service_parameters import Place, call, name_of, places, right_id

import waiaas
from waiaas import Page
from waiaas.schemas import MAX_KEY_LENGTH

# : The parameters of the services' methods that are ids, each with the key under which it is refused.
IDS = {"session_id": "sessionId", "wallet_id": "walletId", "after": "after"}
# : The parameters that are not ids.
NO_IDS = {
    *("actor", "expires_at", "issued_at", "limit", "reason", "status", "token", "must_be_active"),
    *("chain", "constraints", "default_network", "environment", "name", "owner_address", "public_key", "ttl"),
    *("event_type", "since", "until"),
    # Covered by the schema's rules and the tests of `create`.
    *("wallet_ids", "default_wallet_id"),
}


# The position of an entry in the audit log is a number.
PLACES = [place for place in places() if place.name in IDS and name_of(place) != "AuditService.list-after"]
every_place = pytest.mark.parametrize("place", PLACES, ids=map(name_of, PLACES))

# : Values that a caller may pass instead of a valid id.
NO_ID: dict[str, Callable[[str], object]] = {
    "uuid": uuid.UUID,
    "int": lambda right: 7,
    "float": lambda right: 1.5,
    "bool": lambda right: True,
    "bytes": str.encode,
    "list": lambda right: [right],
    "model": lambda right: waiaas.Wallet(id=right),
    "column": lambda right: waiaas.Wallet.id,
    "surrogate": lambda right: f"{right}\ud800",
    "nul": lambda right: f"{right}\0",
}


@pytest.fixture
def scene(world: World) -> Scene:
    return Scene(world)


def test_every_parameter_is_listed_as_an_id_or_another_value() -> None:
    """Every parameter of every method is listed as an id or as another value, so that a new one is tested too."""
    assert {place.name for place in places()} == IDS.keys() | NO_IDS
    assert {place.service.__name__ for place in places()} == {
        *("AuditService", "KillSwitchService", "SessionService", "TokenService", "SessionWalletService"),
        "WalletService",
    }


@every_place
def test_the_right_id_is_accepted(scene: Scene, place: Place) -> None:
    """With the right id each call succeeds, so the other tests fail for the id alone."""
    call(scene, place, right_id(scene, place))


@every_place
@pytest.mark.parametrize("kind", NO_ID)
def test_what_can_be_no_id_is_refused(scene: Scene, place: Place, kind: str) -> None:
    """A value that is not a valid string is refused under its key, and neither the value nor a cause is shown."""
    value = NO_ID[kind](right_id(scene, place))
    with refused(scene.world, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, place, value)
    ((key, (message,)),) = caught.value.details["fields"].items()  # type: ignore[index, union-attr]
    assert key == IDS[place.name]
    assert right_id(scene, place) not in str(caught.value.to_dict())
    assert isinstance(value, str) or place.name == "after" or message.endswith(f", not {type(value).__name__}.")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@every_place
def test_none_is_refused_if_an_id_is_required(scene: Scene, place: Place) -> None:
    """None is accepted only if the method documents it as the absence of an id."""
    if place.is_optional:
        call(scene, place, None)
    else:
        with refused(scene.world, "ACTION_VALIDATION_FAILED"):
            call(scene, place, None)


LOOKED_UP = [place for place in PLACES if place.method != "sign" and place.name != "after"]
every_look_up = pytest.mark.parametrize("place", LOOKED_UP, ids=map(name_of, LOOKED_UP))
UNKNOWN = {"SESSION_NOT_FOUND", "WALLET_NOT_FOUND", "WALLET_ACCESS_DENIED"}


def is_filter(place: Place) -> bool:
    """Return whether an unknown id is a filter that selects nothing instead of being refused."""
    return place.method == "list" and (place.name == "wallet_id" or place.service is waiaas.AuditService)


def is_unknown(scene: Scene, place: Place, value: str) -> bool:
    """Return whether the value is treated as an unknown id."""
    if is_filter(place):
        return bool(call(scene, place, value) == Page((), None))
    codes = []
    for each in (NOBODY, value):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            call(scene, place, each)
        codes.append(caught.value.code)
    return codes[0] == codes[1] and codes[0] in UNKNOWN


@every_look_up
@pytest.mark.parametrize("spelling", [str.upper, "{{{}}}".format, "urn:uuid:{}".format, " {}".format, "{}é".format])
def test_another_spelling_is_unknown(scene: Scene, place: Place, spelling: Callable[[str], str]) -> None:
    """Ids are compared exactly: no other spelling of a UUID matches."""
    before = scene.world.rows()
    assert is_unknown(scene, place, spelling(right_id(scene, place)))
    assert scene.world.rows() == before


def test_a_row_of_another_program_is_found_by_its_id(scene: Scene) -> None:
    """A wallet and a session of another program, with ids that are not lower-case UUIDs, can be read and ended."""
    scene.world.execute("PRAGMA foreign_keys = OFF")
    for table, column, old in (("wallets", "wallet_id", scene.third), ("sessions", "session_id", scene.session.id)):
        scene.world.execute(f"UPDATE {table} SET id = upper(id) || ' 지갑' WHERE id = ?", old)
        scene.world.execute(
            f"UPDATE session_wallets SET {column} = upper({column}) || ' 지갑' WHERE {column} = ?", old
        )
    wallet, session = (f"{old.upper()} 지갑" for old in (scene.third, scene.session.id))
    assert scene.world.links.link(session, wallet, actor="admin").id == wallet
    assert scene.world.links.resolve(session, wallet) == wallet
    assert scene.world.wallets.terminate(wallet, actor="admin").status == "TERMINATED"
    assert scene.world.sessions.revoke(session, actor="admin").status == "REVOKED"


def test_a_number_is_not_the_text_of_its_digits(scene: Scene) -> None:
    """SQLite compares a number with text as text; the services refuse a number even if a row would match."""
    scene.world.execute("PRAGMA foreign_keys = OFF")
    scene.world.execute("UPDATE wallets SET id = '7' WHERE id = ?", scene.second)
    scene.world.execute("UPDATE session_wallets SET wallet_id = '7' WHERE wallet_id = ?", scene.second)
    assert scene.world.links.resolve(scene.session.id, "7") == "7"
    with refused(scene.world, "ACTION_VALIDATION_FAILED"):
        scene.world.links.resolve(scene.session.id, 7)  # type: ignore[arg-type]


TOKEN_AS = {
    "it is": "{}".format,
    "a header": "Bearer {}".format,
    "a JWT": lambda token: token.removeprefix("wai_sess_"),
    "text in quotes": repr,
}


@every_look_up
@pytest.mark.parametrize("form", TOKEN_AS)
def test_a_token_passed_as_an_id_is_not_shown(scene: Scene, place: Place, form: str) -> None:
    """If a caller passes a token instead of an id, the error, which is logged and sent, contains no trace of it."""
    token = TOKEN_AS[form](scene.session.token)
    if len(token) <= MAX_KEY_LENGTH and is_filter(place):
        assert is_unknown(scene, place, token)
        return
    with pytest.raises(waiaas.WAIaaSError) as caught:
        call(scene, place, token)
    assert (caught.value.code == "ACTION_VALIDATION_FAILED") == (len(token) > MAX_KEY_LENGTH)
    shown = f"{caught.value.to_dict('en')} {caught.value.to_dict('ko')} {caught.value!r}"
    assert not any(part in shown for part in scene.session.token.removeprefix("wai_sess_").split("."))


@every_look_up
def test_a_short_token_passed_as_an_id_is_not_repeated(scene: Scene, place: Place) -> None:
    """Text with the prefix of a token is refused as an id and is not repeated in the error."""
    token = "wai_sess_eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJzIn0.secret"
    assert is_unknown(scene, place, token)
    if not is_filter(place):
        with pytest.raises(waiaas.WAIaaSError) as caught:
            call(scene, place, token)
        assert "secret" not in f"{caught.value.to_dict('en')} {caught.value.to_dict('ko')} {caught.value!r}"


@every_place
def test_an_id_has_at_most_256_characters(scene: Scene, place: Place) -> None:
    """An id longer than 256 characters is refused before anything else is done with it, and is not repeated."""
    with refused(scene.world, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, place, "x" * 257)
    assert "xxx" not in str(caught.value.to_dict())
    if place.name != "after":
        assert caught.value.details == {"fields": {IDS[place.name]: ["Must have at most 256 characters."]}}
