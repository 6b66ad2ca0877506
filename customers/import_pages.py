"""All reads of the import pages."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import available_timezones

from django.conf import settings
from django.utils.translation import gettext

from crm.core.errors import NotFound
from crm.core.models import Job, Source
from crm.core.models.jobs import JobState
from customers.importing import mapping, reading, words, work
from customers.importing.lines import RETURN, Line
from customers.importing.mapping import FIELDS, PRESETS
from customers.importing.plan import DryRun, Options, Plan, dry_run, prepare
from customers.importing.reading import FileRefused
from customers.importing.uploads import Upload

# The page answers within seconds: about two seconds of reading. The job itself reads everything.
ROWS_TRIED = 50_000
RECENT = 10
Choices = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class StartPage:
    """The upload form and what was imported lately."""

    sources: Choices
    presets: Choices
    recent: list[Job]
    refusal: str


@dataclass(frozen=True, slots=True)
class FieldChoice:
    """One field of the mapping form: which column it is taken from."""

    name: str
    label: str
    column: str
    required: bool


@dataclass(frozen=True, slots=True)
class ReasonLine:
    column: str
    reason: str
    count: int
    line: int
    value: str


@dataclass(frozen=True, slots=True)
class Count:
    """One figure of the dry run: how many, and how many of them are stored already."""

    label: str
    count: int
    known: int


@dataclass(frozen=True, slots=True)
class SampleLine:
    is_return: bool
    order_id: str
    placed_at: datetime
    product: str
    quantity: int
    unit_amount: str
    person: str


@dataclass(frozen=True, slots=True)
class MapPage:
    """The mapping form with what it would do. refusal: why it cannot be tried; then found is None."""

    upload: Upload
    file_words: str
    columns: list[str]
    fields: list[FieldChoice]
    sources: Choices
    source: str
    presets: Choices
    preset: str
    zone: str
    zones: list[str]
    dates: str
    dates_choices: Choices
    dates_unclear: bool
    currency: str
    found: DryRun | None
    counts: list[Count]
    reasons: list[ReasonLine]
    sample: list[SampleLine]
    rows_tried: int
    refusal: str
    # Columns of the file that no field reads, and whether nothing says who ordered.
    unused: list[str]
    nobody: bool


@dataclass(frozen=True, slots=True)
class JobPage:
    job: Job
    source: str
    figures: list[tuple[str, int]]
    reasons: list[ReasonLine]
    can_be_undone: bool
    undone: list[tuple[str, int]]


def start_page(*, refusal: str = "") -> StartPage:
    """Return the upload page. Two queries."""
    recent = list(Job.objects.filter(kind=work.KIND).select_related("created_by").defer("log").order_by("-id")[:RECENT])
    return StartPage(sources=_sources(), presets=_presets(), recent=recent, refusal=refusal)


def chosen_options(form: Mapping[str, str], upload: Upload) -> Options:
    """Return what the mapping form says; a form not filled in yet gets the preset its columns suggest.

    Raises FileRefused when the file cannot be read at all.
    """
    if "preset" not in form:
        return Options(preset=mapping.guess_preset(reading.open_table(upload.path).columns))
    overrides = {field.name: form[f"map-{field.name}"] for field in FIELDS if f"map-{field.name}" in form}
    if form.get("was") != form["preset"]:
        # Another preset was chosen: what the form says of columns belonged to the old one.
        overrides = {}
    return Options(
        preset=form["preset"] if form["preset"] in PRESETS else "",
        overrides=overrides,
        zone=form.get("zone", ""),
        day_first={"day": True, "month": False}.get(form.get("dates", "")),
        currency=form.get("currency", "")[:3].upper(),
    )


def map_page(*, upload: Upload, form: Mapping[str, str], at: datetime, refusal: str = "") -> MapPage:
    """Return the mapping page with a dry run over the first ROWS_TRIED rows. at: now.

    refusal: why the import just asked for was not begun.  Raises FileRefused for an unreadable file.
    """
    options = chosen_options(form, upload)
    table = reading.open_table(upload.path)
    plan: Plan | None = None
    try:
        plan = prepare(path=upload.path, options=options, at=at)
        chosen = plan.chosen
    except FileRefused as error:
        refusal = error.text
        chosen = mapping.guess(table.columns) | {name: column for name, column in options.overrides.items() if not column or column in table.columns}
    sources = _sources()
    source = form.get("source", "")
    if source not in dict(sources):
        source = sources[0][0] if sources else ""
    found = dry_run(plan, source_id=int(source or 0), at_most=ROWS_TRIED) if plan else None
    return MapPage(
        upload=upload,
        file_words="XLSX" if table.kind == "xlsx" else f"CSV, {table.encoding.upper()}" + (", gzip" if table.kind == "gzip" else ""),
        columns=[column for column in table.columns if column],
        fields=[FieldChoice(field.name, gettext(field.label), chosen.get(field.name, ""), field.required) for field in FIELDS],
        sources=sources,
        source=source,
        presets=_presets(),
        preset=options.preset,
        zone=options.zone or (plan.zone.key if plan else settings.TIME_ZONE),
        zones=sorted(available_timezones()),
        dates="" if options.day_first is None else "day" if options.day_first else "month",
        dates_choices=_dates_choices(plan),
        dates_unclear=plan is not None and plan.dates_unclear,
        currency=options.currency or (plan.preset.currency if plan else ""),
        found=found,
        counts=_counts(found) if found else [],
        reasons=[ReasonLine(item.column, words.told(item.reason), item.count, item.first_line, item.value) for item in found.reasons] if found else [],
        sample=[_sample(line) for line in found.sample] if found else [],
        rows_tried=ROWS_TRIED,
        refusal=refusal,
        unused=[column for column in table.columns if column and column not in chosen.values()],
        nobody=not chosen.keys() & {"customer_id", "email"},
    )


def job_page(*, job_id: int) -> JobPage:
    """Return how an import went. Two queries. Raises NotFound."""
    job = Job.objects.filter(pk=job_id, kind=work.KIND).select_related("created_by").first()
    if job is None:
        raise NotFound(gettext("There is no such import."))
    result = job.result
    names = {
        "rows": gettext("Rows read"), "orders": gettext("New orders"), "lines": gettext("New order lines"), "returns": gettext("New returns"), "customers": gettext("New customers"),
        "products": gettext("New products"), "duplicates": gettext("Already there"), "rejected": gettext("Rows with faults"), "skipped": gettext("Rows left out"),
    }  # fmt: skip
    undone = result.get("undone") or {}
    return JobPage(
        job=job,
        source=Source.objects.filter(pk=job.params.get("source_id")).values_list("name", flat=True).first() or "",
        figures=[(label, result[name]) for name, label in names.items() if name in result],
        reasons=[ReasonLine(item["column"], words.told(item["reason"]), item["count"], item["line"], item["value"]) for item in result.get("reasons", [])],
        can_be_undone=job.state in {JobState.DONE, JobState.FAILED, JobState.CANCELLED} and not undone,
        undone=[
            (gettext(label), undone[name])
            for name, label in (("orders", "Orders"), ("returns", "Returns"), ("customers", "Customers"), ("products", "Products"), ("consents", "Consents"))
            if name in undone
        ],
    )


def _counts(found: DryRun) -> list[Count]:
    return [
        Count(gettext("Orders"), found.orders, found.known_orders),
        Count(gettext("Returns"), found.returns, found.known_returns),
        Count(gettext("Customers"), found.customers, found.known_customers),
        Count(gettext("Products"), found.products, found.known_products),
    ]


def _sample(line: Line) -> SampleLine:
    name = str(line.details.get("product_name", ""))
    return SampleLine(
        line.kind == RETURN,
        line.order_id,
        line.placed_at,
        name or line.product_id,
        line.quantity,
        str(line.unit_amount),
        " ".join(part for part in line.person if part),
    )


def _sources() -> Choices:
    return [(str(pk), name) for pk, name in Source.objects.filter(is_active=True).order_by("is_demo", "name").values_list("pk", "name")]


def _dates_choices(plan: Plan | None) -> Choices:
    seen = "" if plan is None else gettext("day first") if plan.day_first else gettext("month first")
    as_seen = gettext("As the column shows: %(order)s") % {"order": seen} if seen else gettext("As the column shows")
    return [("", as_seen), ("day", gettext("The day first")), ("month", gettext("The month first"))]


def _presets() -> Choices:
    return [(preset.name, str(preset.label)) for preset in PRESETS.values()]
