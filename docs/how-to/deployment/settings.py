"""What the example servers share: where the database is, the master password, and a keystore."""

import hmac
import os
import secrets
from pathlib import Path

TARGET = os.environ["WALLETS"]
MASTER_PASSWORD = Path(os.environ["MASTER_PASSWORD_FILE"]).read_text("utf-8").strip()


def is_master_password(password: str) -> bool:
    return hmac.compare_digest(password.encode(), MASTER_PASSWORD.encode())


class ExampleKeystore:
    """Only for this page: its keys are random, and are lost when the process ends."""

    def create_key(self, chain: str, environment: str) -> str:
        return secrets.token_hex(32)

    async def sign(self, public_key: str, message: bytes) -> bytes:
        return hmac.digest(public_key.encode(), message, "sha256")
