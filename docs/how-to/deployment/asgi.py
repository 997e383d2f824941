"""The FastAPI application for a server: uvicorn asgi:app."""

from fastapi_app import create_app
from settings import TARGET, ExampleKeystore, is_master_password

# The database was created and upgraded before: a path that leads nowhere must not become a new, empty database.
app = create_app(
    TARGET, is_master_password=is_master_password, keystore=ExampleKeystore(), create=False, upgrade=False
)
