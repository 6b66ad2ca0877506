"""A shop to import into, a way to write order files, and the way through a whole import."""

import csv
import io

import pytest

from crm.core import clock
from crm.core.models import Source
from customers.importing import work
from customers.importing.plan import Options

HEADER = "order_id,placed_at,product_id,quantity,unit_price,customer_id,product_name\n"
GOOD = HEADER + "1,2026-01-05 10:00,P1,2,10.00,u1,Teapot\n1,2026-01-05 10:00,P2,1,5.50,u1,Cup\n2,2026-02-01 09:30,P1,1,10.00,u2,Teapot\n"


@pytest.fixture
def source(db):
    return Source.objects.create(name="Shop", write_key="wk_import", currency="EUR")


@pytest.fixture(autouse=True)
def _own_media(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "media"


@pytest.fixture
def write(tmp_path):
    def _write(content, name="orders.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return _write


def carry_out(path, source, **options):
    job = work.start(source=source, options=Options(**options), title="Import", by=None, path=path)
    report = work.carry_out(job_id=job.pk, at=clock.now())
    job.refresh_from_db()
    return job, report


def faults_of(job):
    with job.errors_file.open("rb") as file:
        return list(csv.DictReader(io.StringIO(file.read().decode("utf-8-sig"))))
