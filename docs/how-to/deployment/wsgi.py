"""The Flask application for a server: gunicorn wsgi:app."""

import hmac

from flask_app import create_app
from settings import MASTER_PASSWORD, TARGET


def sign(wallet, message):
    """Only for this page: your keystore signs."""
    return hmac.digest(wallet.public_key.encode(), message, "sha256")


app = create_app(TARGET, MASTER_PASSWORD, sign)
