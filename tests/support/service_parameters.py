"""The parameters of the services' methods: each can be given a value in a call that otherwise succeeds."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

from support.application import NOW, Scene

from waiaas import services
from waiaas.schemas import CreateSessionRequestSchema, CreateWalletRequestSchema

_WALLET = {"name": "new", "chain": "solana", "environment": "testnet", "publicKey": "new-key"}


class ServiceParameter(NamedTuple):
    """A parameter of a service's method."""

    service: type[Any]
    method: str
    name: str
    is_optional: bool


def service_parameters() -> Iterator[ServiceParameter]:
    """Return every parameter of every public method of every service."""
    for service in (getattr(services, name) for name in services.__all__):
        if "database" not in inspect.signature(service).parameters:
            continue
        for method, function in inspect.getmembers(service, inspect.isfunction):
            if not method.startswith("_"):
                _, *parameters = inspect.signature(function).parameters.values()
                yield from (ServiceParameter(service, method, each.name, each.default is None) for each in parameters)


def name_of(parameter: ServiceParameter) -> str:
    return f"{parameter.service.__name__}.{parameter.method}-{parameter.name}"


def prepare(scene: Scene, parameter: ServiceParameter) -> None:
    """Bring the scene into the state in which the method succeeds, if that is not the usual one."""
    if parameter.method in ("escalate", "recover"):
        scene.app.execute("INSERT INTO key_value_store VALUES ('kill_switch_state', 'SUSPENDED', 0)")


def call(scene: Scene, parameter: ServiceParameter, value: object) -> Any:
    """Call the method with a value in one parameter, and valid values in the others."""
    function = getattr(parameter.service, parameter.method)
    right: dict[str, object] = {
        "issued_at": NOW,
        "expires_at": NOW + 300,
        "token": scene.session.token,
        "actor": "sam",
    }
    right |= _request(scene, parameter.service)
    right |= {name: right_id(scene, parameter._replace(name=name)) for name in ("session_id", "wallet_id")}
    needed = {
        name: right[name]
        for name, parameter in inspect.signature(function).parameters.items()
        if name != "self" and parameter.default is inspect.Parameter.empty
    }
    service = parameter.service(scene.app.database, clock=scene.app.clock)
    return function(service, **{**needed, parameter.name: value})


def right_id(scene: Scene, parameter: ServiceParameter) -> str:
    """Return the id with which the method succeeds."""
    if parameter.name == "session_id":
        return scene.session.id
    return {"link": scene.third, "resume": scene.suspended}.get(parameter.method, scene.second)


def _request(scene: Scene, service: type[Any]) -> Any:
    """Return a request with which the service's `create` succeeds."""
    if service is services.WalletService:
        return CreateWalletRequestSchema().load(_WALLET)
    return CreateSessionRequestSchema().load({"walletId": scene.third})
