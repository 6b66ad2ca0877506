"""Statements over sets of rows: what is planned once is really planned once."""

from contextlib import nullcontext

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from crm.core import clock, rows
from crm.core.models import AuditEntry, Source
from tests.factories import SourceFactory


@pytest.mark.django_db
def test_a_prepared_statement_is_prepared_once_and_then_reused():
    connection.ensure_connection()
    connection.force_debug_cursor = False
    for number in range(3):
        assert rows.prepared("SELECT %s::int + 1 AS perennial_prepared", [number]) == [(number + 1,)]

    known = rows.query("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE %s", ["%perennial_prepared%"])

    assert len(known) == 1
    assert known[0][1] == 3


@pytest.mark.django_db
@pytest.mark.parametrize("is_logged", [False, True])
def test_a_row_read_by_a_prepared_statement_is_what_a_queryset_reads(is_logged: bool) -> None:
    source = SourceFactory(allowed_origins=["https://tea.example", "https://茶.example"])
    entry = AuditEntry.objects.create(at=clock.now(), action="x", data={"was": [1, None]})

    for model, pk in [(Source, source.pk), (AuditEntry, entry.pk)]:
        with CaptureQueriesContext(connection) if is_logged else nullcontext():
            found = rows.prepared_first(model, "WHERE t.id = %(id)s", {"id": pk, "unused": None})
        expected = model.objects.get(pk=pk)
        assert found is not None
        assert {field.attname: getattr(found, field.attname) for field in model._meta.concrete_fields} == {
            field.attname: getattr(expected, field.attname) for field in model._meta.concrete_fields
        }
        assert not found._state.adding

    assert rows.prepared_first(Source, "WHERE t.id = %s", [0]) is None
