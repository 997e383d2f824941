"""A web service over a WAIaaS database: an administrator creates sessions, and agents sign with their wallets."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from os import PathLike
from typing import Any

import flask
from werkzeug.exceptions import HTTPException

import waiaas
from waiaas import schemas
from waiaas.errors import LANGUAGES
from waiaas.services import AuthorizedWallet

Answer = tuple[dict[str, Any], int]


def create_app(
    target: str | PathLike[str], master_password: str, sign: Callable[[AuthorizedWallet, bytes], bytes]
) -> flask.Flask:
    """Make the application for the database at a path or URL."""
    if not master_password:
        raise ValueError("without a password, everyone would be the administrator")
    # Every thread has a connection of its own, which it keeps for its next request.
    database = waiaas.connect(target)
    app = flask.Flask(__name__)
    app.extensions["waiaas"] = database

    @app.errorhandler(waiaas.WAIaaSError)
    def answer_error(error: waiaas.WAIaaSError) -> Answer:
        if error.reason is not None:
            # The operator needs the path and the cause; the client must not see them.
            app.logger.error("%s: %s %s", error.reason, error.message, error.hint)
        language = flask.request.accept_languages.best_match(LANGUAGES) or "en"
        return error.to_public_dict(language), error.http_status

    @app.errorhandler(HTTPException)
    def answer_http_error(error: HTTPException) -> flask.typing.ResponseReturnValue:
        # Flask's own: no such path or method. Its headers stay, such as Allow; the page of HTML does not.
        answer = error.get_response()
        answer.data = flask.json.dumps({"http_status": error.code, "message": error.description})
        answer.content_type = "application/json"
        return answer

    def bearer() -> str:
        # The name of a scheme may be in any case (RFC 9110, section 11.1). WSGI servers join repeated headers
        # with commas, and no token contains one.
        scheme, _, token = flask.request.headers.get("Authorization", "").partition(" ")
        return token.lstrip(" ") if scheme.lower() == "bearer" else ""

    def require_administrator() -> None:
        password = flask.request.headers.get("X-Master-Password", "")
        if not hmac.compare_digest(password.encode(), master_password.encode()):
            raise waiaas.WAIaaSError(
                "INVALID_MASTER_PASSWORD",
                "The master password is missing or wrong.",
                hint="Send it in the header X-Master-Password.",
            )

    @app.post("/v1/sessions")
    def create_session() -> Answer:
        require_administrator()
        request = schemas.CreateSessionRequestSchema().load(flask.request.get_json(silent=True))
        session = database.sessions.create(**request, actor="admin")
        return schemas.IssuedSessionResponseSchema().dump(session), 201

    @app.delete("/v1/sessions/<session_id>")
    def revoke_session(session_id: str) -> Answer:
        require_administrator()
        return schemas.SessionResponseSchema().dump(database.sessions.revoke(session_id, actor="admin")), 200

    @app.put("/v1/sessions/<session_id>/renew")
    def renew_session(session_id: str) -> Answer:
        request = schemas.RenewSessionRequestSchema().load(flask.request.get_json(silent=True) or {})
        token = request.get("token", bearer())
        if database.sessions.authenticate(token).session_id != session_id:
            raise waiaas.WAIaaSError("SESSION_RENEWAL_MISMATCH")
        session = database.sessions.renew(token, actor=f"session:{session_id}")
        return schemas.IssuedSessionResponseSchema().dump(session), 200

    def authorized_wallet(*, must_be_active: bool) -> AuthorizedWallet:
        named = flask.request.args.get("walletId")
        return database.sessions.authorize(bearer(), named, must_be_active=must_be_active).wallet

    @app.get("/v1/wallet")
    def show_wallet() -> Answer:
        wallet = authorized_wallet(must_be_active=False)
        return schemas.WalletResponseSchema().dump(database.wallets.get(wallet.id)), 200

    @app.post("/v1/signatures")
    def sign_message() -> Answer:
        wallet = authorized_wallet(must_be_active=True)
        return {"signature": sign(wallet, flask.request.get_data()).hex()}, 201

    return app
