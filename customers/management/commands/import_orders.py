"""manage.py import_orders: orders of another shop from a CSV, gzip or XLSX file."""

import secrets
import time
from argparse import ArgumentParser
from pathlib import Path

from django.core.management.base import BaseCommand, CommandError

from crm.core import clock
from crm.core.models import Job, Source
from customers.importing import reading, work
from customers.importing.faults import Reason
from customers.importing.mapping import BY_NAME, PRESETS
from customers.importing.plan import DryRun, Options, Plan, dry_run, prepare
from customers.importing.reading import FileRefused

LONGEST_NAME = 100


class Command(BaseCommand):
    help = "Imports orders from a file; running it again stores nothing twice. Faulty rows go to a CSV, good rows go in."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", nargs="?", help="CSV, CSV.gz or XLSX with one row per order line")
        parser.add_argument("--preset", default="", choices=list(PRESETS), help="How the file is laid out; left out: guessed from the column names")
        parser.add_argument("--map", action="append", default=[], metavar="FIELD=COLUMN", help=f"Say which column a field is; fields: {', '.join(BY_NAME)}")
        parser.add_argument("--source", default="", help="Name of the source the orders belong to; made when missing. Default: the file's name")
        parser.add_argument("--time-zone", default="", help="Zone of dates without an offset, such as Europe/London")
        order = parser.add_mutually_exclusive_group()
        order.add_argument(
            "--day-first", dest="day_first", action="store_true", default=None, help="3/4/2026 is the third of April. Left out: seen from the column"
        )
        order.add_argument("--month-first", dest="day_first", action="store_false", help="3/4/2026 is the fourth of March")
        parser.add_argument("--currency", default="", help="Currency of amounts without one")
        parser.add_argument("--encoding", default="", choices=["", *reading.ENCODINGS], help="Left out: detected")
        parser.add_argument("--dry-run", action="store_true", help="Say what would happen and store nothing")
        parser.add_argument("--undo", type=int, metavar="JOB", help="Take back the import with this job number")

    def handle(self, *args: object, **options: object) -> None:
        del args
        if options["undo"]:
            self._undo(int(str(options["undo"])))
            return
        if not options["file"]:
            raise CommandError("Name the file to import.")
        path = Path(str(options["file"])).expanduser().resolve()
        chosen = Options(
            preset=str(options["preset"]),
            overrides=_overrides(options["map"]),  # type: ignore[arg-type]
            zone=str(options["time_zone"]),
            currency=str(options["currency"]).upper(),
            encoding=str(options["encoding"]),
            day_first=options["day_first"],  # type: ignore[arg-type]
        )
        try:
            plan = prepare(path=path, options=chosen, at=clock.now())
        except FileRefused as refusal:
            raise CommandError(refusal.text) from None
        self._say_plan(plan)
        name = str(options["source"]).strip() or path.name.split(".")[0][:100]
        if len(name) > LONGEST_NAME:
            raise CommandError(f"--source: a name may have {LONGEST_NAME} characters.")
        source = Source.objects.filter(name=name).first()
        if options["dry_run"]:
            self._say_dry_run(dry_run(plan, source_id=source.pk if source else 0))
            return
        if source is None:
            source = Source.objects.create(name=name, write_key=_write_key(), currency=plan.currency("CNY"))
            self.stdout.write(f"Made the source {name!r}.")
        self._import(source, chosen, path)

    def _import(self, source: Source, options: Options, path: Path) -> None:
        job = work.start(source=source, options=options, title=f"Import {path.name}", by=None, path=path)
        began = time.monotonic()
        report = work.carry_out(job_id=job.pk, at=clock.now(), tell=self._tell)
        seconds = time.monotonic() - began
        job.refresh_from_db()
        if report is None:
            raise CommandError(job.error or "The import was stopped.")
        self.stdout.write(
            f"{report.rows:,} rows in {seconds:.1f} s ({report.rows / seconds:,.0f} rows/s): {report.orders_new:,} new orders with {report.lines_new:,} lines, "
            f"{report.returns_new:,} new returns, {report.customers_new:,} new customers, {report.products_new:,} new products."
        )
        known = report.orders - report.orders_new + report.returns - report.returns_new
        if known:
            self.stdout.write(f"{known:,} orders and returns were there already.")
        self._say_reasons(report.reasons)
        if job.errors_file:
            self.stdout.write(f"Rows that did not go in: {job.errors_file.path}")
        self.stdout.write(f"To take it back: manage.py import_orders --undo {job.pk}")

    def _undo(self, job_id: int) -> None:
        if not Job.objects.filter(pk=job_id, kind=work.KIND).exists():
            raise CommandError(f"There is no import with job number {job_id}.")
        try:
            undone = work.take_back(job_id=job_id, by=None, at=clock.now())
        except work.NotAnImport as refusal:
            raise CommandError(refusal.text) from None
        self.stdout.write(
            f"Taken back: {undone.orders:,} orders, {undone.returns:,} returns, {undone.customers:,} customers, {undone.products:,} products, {undone.consents:,} consents."
        )

    def _tell(self, done: int, total: int, stage: str) -> None:
        self.stdout.write(f"{stage}: {done:,}" + (f" of {total:,} rows" if total else " rows"))

    def _say_plan(self, plan: Plan) -> None:
        table = plan.table
        how = table.kind if table.kind == "xlsx" else f"{table.kind}, {table.encoding}, {table.delimiter!r}"
        self.stdout.write(f"{table.path.name} ({how}), dates {'day first' if plan.day_first else 'month first'} in {plan.zone.key}")
        if plan.dates_unclear:
            self.stdout.write("  All its dates can be read either way; say --day-first or --month-first.")
        if plan.comma:
            self.stdout.write("  Numbers have a decimal comma: 1.234 is one thousand two hundred thirty-four.")
        for name, column in plan.chosen.items():
            self.stdout.write(f"  {name} = {column}")

    def _say_dry_run(self, found: DryRun) -> None:
        self.stdout.write(
            f"Dry run, nothing was stored: {found.rows:,} rows, {found.good_rows:,} good, {found.faulty_rows:,} with faults, {found.left_out_rows:,} left out."
        )
        for what, count, known in (
            ("orders", found.orders, found.known_orders), ("returns", found.returns, found.known_returns),
            ("customers", found.customers, found.known_customers), ("products", found.products, found.known_products),
        ):  # fmt: skip
            self.stdout.write(f"  {count:,} {what}, {known:,} of them known already")
        self._say_reasons(found.reasons)

    def _say_reasons(self, reasons: tuple[Reason, ...]) -> None:
        for item in reasons:
            self.stdout.write(f"  {item.count:,} × {item.column or 'row'}: {item.reason} (first in line {item.first_line})")


def _write_key() -> str:
    return f"wk_{secrets.token_urlsafe(24)}"


def _overrides(pairs: list[str]) -> dict[str, str]:
    overrides = {}
    for pair in pairs:
        name, equals, column = pair.partition("=")
        if not equals:
            raise CommandError(f"--map {pair!r} has no equals sign; write FIELD=COLUMN.")
        overrides[name.strip()] = column
    return overrides
