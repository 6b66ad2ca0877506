"""The doors of an import: its pages and who may open them, its commands, its task."""

from datetime import UTC, datetime
from io import StringIO

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import CommandError, call_command
from django.urls import reverse

from crm.core.models import AuditEntry, Job, Source
from customers import import_tasks
from customers.importing import work
from customers.importing.plan import Options
from customers.models import Order, Product
from tests.customers.importing.conftest import GOOD, HEADER
from tests.factories import UserFactory


def test_page_uploads_maps_imports_and_takes_back(client, source, django_capture_on_commit_callbacks):
    client.force_login(UserFactory(username="mia", role="marketer"))

    shown = client.get(reverse("customers:import"))
    assert shown.status_code == 200
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", (GOOD + "3,soon,P1,1,10,u1,x\n").encode())})
    assert sent.status_code == 302
    mapped = client.get(sent.url)
    assert mapped.status_code == 200
    page = mapped.context["page"]
    assert (page.found.orders, page.found.faulty_rows) == (2, 1)
    assert {field.name: field.column for field in page.fields}["product_name"] == "product_name"
    assert b"soon" in mapped.content
    tried = client.post(sent.url, {"preset": "", "was": "", "map-product_name": "", "source": source.pk, "go": "check"})
    assert {field.name: field.column for field in tried.context["page"].fields}["product_name"] == ""
    assert Order.objects.count() == 0
    with django_capture_on_commit_callbacks(execute=True):
        begun = client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "go": "import"})
    job = Job.objects.get()
    assert begun.url == reverse("customers:import-job", args=[job.pk])
    assert (job.state, Order.objects.count()) == ("done", 2)
    result = client.get(begun.url)
    assert result.context["page"].can_be_undone
    assert b"soon" in result.content
    assert b"line,column,value,reason" in b"".join(client.get(reverse("core:job-errors", args=[job.pk])).streaming_content)
    assert client.get(sent.url).status_code == 422
    client.post(reverse("customers:import-undo", args=[job.pk]))
    assert Order.objects.count() == 0
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {"import.start", "import.undo"}


def test_page_asks_for_the_order_of_day_and_month_where_the_file_does_not_tell(client, source, django_capture_on_commit_callbacks):
    client.force_login(UserFactory(username="mia", role="marketer"))
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", (HEADER + "1,3/4/2026,P1,1,1,u,\n").encode())})

    asked = client.get(sent.url)
    chosen = client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "dates": "day", "go": "check"})
    with django_capture_on_commit_callbacks(execute=True):
        client.post(sent.url, {"preset": "", "was": "", "source": source.pk, "zone": "UTC", "dates": "day", "go": "import"})

    assert "can be read either way" in asked.content.decode()
    assert "can be read either way" not in chosen.content.decode()
    assert Order.objects.get().placed_at == datetime(2026, 4, 3, tzinfo=UTC)


def test_page_says_why_a_file_is_refused(client, source):
    client.force_login(UserFactory(username="mia", role="marketer"))

    assert client.post(reverse("customers:import")).status_code == 422
    refused = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("x.csv", b"PK\x03\x04")})
    assert refused.status_code == 422
    assert b"workbook cannot be opened" in refused.content
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("x.csv", b"a,b\n1,2\n")})
    mapped = client.get(sent.url)
    assert mapped.status_code == 422
    assert b"No column was found" in mapped.content
    assert client.post(sent.url, {"go": "import", "preset": "", "was": ""}).status_code == 422
    assert client.get(reverse("customers:import-map", args=["../../etc/passwd".replace("/", "")])).status_code == 422
    assert Job.objects.count() == 0


def test_only_those_who_may_import_reach_the_pages(client, source):
    client.force_login(UserFactory(username="agent", role="agent"))

    assert client.get(reverse("customers:import")).status_code == 403
    client.force_login(UserFactory(username="mia", role="marketer"))
    sent = client.post(reverse("customers:import"), {"file": SimpleUploadedFile("orders.csv", GOOD.encode())})
    client.force_login(UserFactory(username="other", role="marketer"))
    assert client.get(sent.url).status_code == 404


def test_command_imports_tries_and_takes_back(db, write):
    path = write(GOOD)
    output = StringIO()

    call_command("import_orders", str(path), "--dry-run", stdout=output)
    assert "2 orders, 0 of them known already" in output.getvalue()
    assert Order.objects.count() == 0
    call_command("import_orders", str(path), "--map", "product_name=product_id", "--source", "New shop", stdout=output)
    assert "2 new orders with 3 lines" in output.getvalue()
    assert Product.objects.get(external_id="P1").name == "P1"
    call_command("import_orders", "--undo", str(Job.objects.get().pk), stdout=output)
    assert Order.objects.count() == 0
    with pytest.raises(CommandError, match="No column was found"):
        call_command("import_orders", str(write("a,b\n1,2\n")), stdout=output)
    with pytest.raises(CommandError, match="FIELD=COLUMN"):
        call_command("import_orders", str(path), "--map", "nonsense", stdout=output)
    with pytest.raises(CommandError, match="a name may have 100"):
        call_command("import_orders", str(write(GOOD, "again.csv")), "--source", "x" * 101, stdout=output)
    unclear = write(HEADER + "1,3/4/2026,P1,1,1,u,\n", "unclear.csv")
    call_command("import_orders", str(unclear), "--dry-run", stdout=output)
    assert "say --day-first or --month-first" in output.getvalue()
    call_command("import_orders", str(unclear), "--day-first", "--time-zone", "UTC", stdout=output)
    assert Order.objects.get().placed_at == datetime(2026, 4, 3, tzinfo=UTC)
    with pytest.raises(CommandError, match="No such file"):
        call_command("import_orders", str(path) + ".nope", stdout=output)


def test_create_source_prints_a_key_that_works(db):
    output = StringIO()

    call_command("create_source", "My shop", "--origin", "https://Shop.example/", "--currency", "eur", stdout=output)

    made = Source.objects.get(name="My shop")
    assert output.getvalue().strip() == made.write_key
    assert (made.allowed_origins, made.currency) == (["https://shop.example"], "EUR")
    with pytest.raises(CommandError, match="already a source"):
        call_command("create_source", "My shop", stdout=output)
    with pytest.raises(CommandError, match="not an origin"):
        call_command("create_source", "Other", "--origin", "shop.example", stdout=output)


def test_task_runs_once_and_is_known_to_the_worker(source, write):
    from crm.celery import app

    job = work.start(source=source, options=Options(), title="Import", by=None, path=write(GOOD))

    import_tasks.enqueue(job)
    import_tasks.enqueue(job)

    assert Order.objects.count() == 2
    assert app.tasks["customers.import_tasks.run"].queue == "bulk"
