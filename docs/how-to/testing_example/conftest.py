"""Fixtures for all tests."""

pytest_plugins = ["waiaas.testing"]
