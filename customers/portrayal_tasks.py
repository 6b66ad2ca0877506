"""Background work of the portrait page."""

from celery import shared_task
from django.utils import translation

from crm.core import clock, locks
from crm.core.errors import NotFound
from customers import person_pages
from customers.portrayal import advice, changes, narrative, risk, statements, tastes


@shared_task(queue="default")
def write_paragraph(customer_id: int, language: str, **_unknown: object) -> None:
    """Have the configured language model write a portrait's paragraph; a customer gone or changed meanwhile is left alone."""
    with translation.override(language):
        at = clock.now()
        try:
            customer = person_pages.find_customer(customer_id)
        except NotFound:
            return
        row = getattr(customer, "portrait", None)
        if row is None or customer.profiling_refused:
            return
        reachable = person_pages.reachable(person_pages.consent_lines(customer=customer, at=at))
        narrative.write(
            narrative.facts_of(
                customer=customer,
                claims=statements.of(row),
                risk=risk.explain(
                    row, task="churn", total=row.p_churn, title=translation.gettext("Risk of losing them"), rest=risk.worked_out(row, task="churn")
                ),
                tastes=[(taste.code, taste.text) for taste in tastes.tastes_of(row).lines],
                changes=changes.since_last_month(row),
                advice=advice.next_step(customer=customer, row=row, reachable=reachable, today=at.date()),
            )
        )


@shared_task(queue="learning")
def measure_drift(**_unknown: object) -> None:
    """Keep this week's readings of how far customers are from those the models learned from."""
    # numpy and the models load with the first measurement, not with every start of the program.
    from customers import drift

    drift.measure(as_of=clock.now())


@shared_task(queue="default")
def renew_insight(name: str, params: dict[str, str] | None = None, **_unknown: object) -> None:
    """Count the figures of one insight page anew, so that nobody waits for them."""
    from customers.insights import pages

    if name in pages.NAMES:
        pages.renew(name=name, params=params or {}, at=clock.now())


@shared_task(queue="learning")
def rebuild_months(**_unknown: object) -> None:
    """Make past months' portraits once for a shop that has none, and draw the portraits anew with what changed since."""
    # numpy and SciPy load with the first month, not with every start of the program.
    from customers import portrait, snapshots

    as_of = clock.now()
    with locks.held_by_session("rebuild-months") as mine:
        if not mine or not snapshots.is_wanted(as_of=as_of):
            return
        if sum(month.customers for month in snapshots.rebuild(as_of=as_of)):
            portrait.refresh(as_of=as_of, cause=snapshots.CAUSE)
