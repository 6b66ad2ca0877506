"""Statements over sets of rows: what is planned once is really planned once."""

import pytest
from django.db import connection

from crm.core import rows


@pytest.mark.django_db
def test_a_prepared_statement_is_prepared_once_and_then_reused():
    connection.ensure_connection()
    connection.force_debug_cursor = False
    for number in range(3):
        assert rows.prepared("SELECT %s::int + 1 AS perennial_prepared", [number]) == [(number + 1,)]

    known = rows.query("SELECT statement, generic_plans + custom_plans FROM pg_prepared_statements WHERE statement LIKE %s", ["%perennial_prepared%"])

    assert len(known) == 1
    assert known[0][1] == 3
