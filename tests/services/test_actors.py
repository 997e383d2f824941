"""Every method of every service treats actors and reasons in the same way."""

from __future__ import annotations

from typing import Any

import pytest
from support.application import Scene, expect_refusal
from support.service_parameters import ServiceParameter, call, name_of, prepare, service_parameters

from waiaas.models import Wallet
from waiaas.schemas import MAX_REASON_LENGTH, SuspendWalletRequestSchema
from waiaas.services.ids import MAX_ACTOR_LENGTH

PARAMETERS = [
    parameter
    for parameter in service_parameters()
    if parameter.name in ("actor", "reason") and parameter.method != "list"
]
every_parameter = pytest.mark.parametrize("parameter", PARAMETERS, ids=map(name_of, PARAMETERS))

#: Invalid actors and reasons, and the message for each.
INVALID: dict[str, tuple[object, str]] = {
    "int": (5, "Must be "),
    "bool": (True, "Must be "),
    "bytes": (b"x", "Must be "),
    "object": ({"a": 1}, "Must be "),
    "column": (Wallet.name, "Must be "),
    "surrogate": ("a\ud800", "Must be "),
    "nul": ("a\0", "Must be "),
    "empty": ("", "Must not be blank."),
    "blank": ("  ", "Must not be blank."),
    "a megabyte": ("x" * 1_000_000, "Must have at most "),
}


def test_every_method_that_changes_something_takes_an_actor() -> None:
    """Every method that writes the audit log takes an actor and is covered by these tests."""
    changes = {
        *("SessionService.create", "SessionService.renew", "SessionService.revoke", "TokenService.rotate"),
        *("SessionWalletService.link", "SessionWalletService.set_default", "SessionWalletService.unlink"),
        *("KillSwitchService.activate", "KillSwitchService.escalate", "KillSwitchService.recover"),
        *("WalletService.create", "WalletService.resume", "WalletService.suspend", "WalletService.terminate"),
    }
    assert {name_of(parameter) for parameter in PARAMETERS} == {
        *(f"{name}-actor" for name in changes),
        "WalletService.suspend-reason",
    }


@every_parameter
@pytest.mark.parametrize("kind", INVALID)
def test_invalid_actors_and_reasons_are_refused(scene: Scene, parameter: ServiceParameter, kind: str) -> None:
    """An invalid actor or reason is refused in both languages before anything is written, and is not repeated."""
    value, message = INVALID[kind]
    with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED") as caught:
        call(scene, parameter, value)
    ((key, (shown,)),) = caught.value.details["fields"].items()  # type: ignore[index, union-attr]
    assert (key, shown[: len(message)]) == (parameter.name, message)
    assert len(shown) < 100
    korean: Any = caught.value.to_dict("ko")["details"]
    assert korean["fields"][key] != [shown]


@every_parameter
def test_none_is_a_reason_but_not_an_actor(scene: Scene, parameter: ServiceParameter) -> None:
    """None is a valid reason (no reason), but not a valid actor."""
    if parameter.name == "reason":
        call(scene, parameter, None)
        assert [event[5] for event in scene.app.events()] == [{"reason": None}]
    else:
        with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED"):
            call(scene, parameter, None)


@every_parameter
@pytest.mark.parametrize("text", ["a", "관리자 1", "longest"])
def test_valid_text_is_stored_unchanged(scene: Scene, parameter: ServiceParameter, text: str) -> None:
    """The audit log stores text of any script, up to the maximum length, unchanged."""
    if text == "longest":
        text = "지" * (MAX_ACTOR_LENGTH if parameter.name == "actor" else MAX_REASON_LENGTH)
    prepare(scene, parameter)
    call(scene, parameter, text)
    stored = [event[5]["reason"] if parameter.name == "reason" else event[1] for event in scene.app.events()]
    assert set(stored) == {text}


def test_the_actor_is_validated_even_if_nothing_changes(scene: Scene) -> None:
    """The actor is validated even if the session is already revoked or the wallet is already the default."""
    app = scene.app
    app.sessions.revoke(scene.alone.id, actor="admin")
    with expect_refusal(app, "ACTION_VALIDATION_FAILED"):
        app.sessions.revoke(scene.alone.id, actor="")
    with expect_refusal(app, "ACTION_VALIDATION_FAILED"):
        app.links.set_default(scene.session.id, scene.first, actor="")


@pytest.mark.parametrize("reason", [None, "why\nand since when", "x" * MAX_REASON_LENGTH, "x" * 1001, " ", 5, b"x"])
def test_the_service_accepts_the_same_reasons_as_the_request_schema(scene: Scene, reason: Any) -> None:
    """The service accepts the reasons that `SuspendWalletRequestSchema` accepts, and no others."""
    errors = SuspendWalletRequestSchema().validate({"reason": reason})
    if errors:
        with expect_refusal(scene.app, "ACTION_VALIDATION_FAILED") as caught:
            scene.app.wallets.suspend(scene.first, reason, actor="admin")
        assert caught.value.details == {"fields": errors}
    else:
        assert scene.app.wallets.suspend(scene.first, reason, actor="admin").suspension_reason == reason
