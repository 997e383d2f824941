"""The source of the entity-relationship diagram of the models, for D2."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from peewee import FIELD, CompositeKey, Field, ForeignKeyField, Model, SqliteDatabase

from waiaas.models import MODELS

_REFERENCES = [
    (model, field) for model in MODELS for field in model._meta.sorted_fields if isinstance(field, ForeignKeyField)
]
_RELATED = {model for model, _ in _REFERENCES} | {field.rel_model for _, field in _REFERENCES}


def alternative_text() -> str:
    """Return in words what the diagram of keys shows."""
    references = (f"{model._meta.table_name} to {field.rel_model._meta.table_name}" for model, field in _REFERENCES)
    return f"Tables and their foreign keys: {', '.join(references)}."


def table_diagrams() -> dict[str, str]:
    """Return the sources of two diagrams: of keys and references, and of every column."""
    return {"keys": "\n".join(_source(keys_only=True)), "all": "\n".join(_source(keys_only=False))}


def _source(keys_only: bool) -> Iterator[str]:
    yield "direction: right"
    if keys_only:
        # It is drawn on the page itself; the other is opened alone, and has a background of its own.
        yield "style.fill: transparent"
    for model in MODELS:
        if model in _RELATED:
            yield f"{model._meta.table_name}: {{shape: sql_table"
            yield from (
                _column(model, field) for field in model._meta.sorted_fields if not keys_only or _key(model, field)
            )
            yield "}"
    for model, field in _REFERENCES:
        parent = f"{field.rel_model._meta.table_name}.{field.rel_field.column_name}"
        yield f"{model._meta.table_name}.{field.column_name} -> {parent}"
    if not keys_only:
        yield from _others()


def _others() -> Iterator[str]:
    """The tables without references, side by side."""
    yield from ('others: "tables without references" {', "grid-columns: 4", "style.fill: transparent")
    for model in MODELS:
        if model not in _RELATED:
            yield f"{model._meta.table_name}: {{shape: sql_table"
            yield from (_column(model, field) for field in model._meta.sorted_fields)
            yield "}"
    yield "}"


def _column(model: type[Model], field: Field) -> str:
    return f'"{field.column_name}": {_type(field)} {{constraint: [{"; ".join(_key(model, field))}]}}'


def _key(model: type[Model], field: Field) -> list[str]:
    primary: Any = model._meta.primary_key
    is_primary = field.name in primary.field_names if isinstance(primary, CompositeKey) else field is primary
    return ["primary_key"] * is_primary + ["foreign_key"] * isinstance(field, ForeignKeyField)


def _type(field: Field) -> str:
    name = field.field_type
    return str(SqliteDatabase.field_types.get(name, getattr(FIELD, name, name)))
