"""Who is who: from what a sender knows (user id, e-mail, browser id) to one customer, in sets.

The rules, in the order they are applied to each key:

1. A user id known in this shop is that customer, whatever else the key says.
2. Otherwise an e-mail known anywhere is that customer, unless a new user id comes with it and the customer already has
   another user id in the same shop: two accounts that share a mailbox stay two people.
3. Otherwise a browser id that belongs to a nameless visitor becomes the person (nothing has to move); one that belongs
   to a person is used only if the key names no one else.
4. Otherwise a customer is made.

A browser's nameless history joins its person whenever one key carries both. A browser id that already belongs to a person
stays with it: a shared computer never merges two known people. Two known people are merged by staff only (`merge`),
and that can be taken back (`unmerge`), see customers/merging.py.
"""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from django.db import connection

from crm.core import rows
from customers.merging import MergeRefused, join_visitors, merge, unmerge
from customers.models.identity import IdentityKind

__all__ = ["NOBODY", "Acquaintance", "MergeRefused", "PersonKey", "Resolved", "acquaint", "find", "merge", "resolve", "settled", "unmerge"]

Triple = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class PersonKey:
    """What a sender knows a person by; the strongest part wins: user id, then e-mail, then browser id. '' is unknown."""

    user_id: str = ""
    email: str = ""
    anonymous_id: str = ""

    def __bool__(self) -> bool:
        return bool(self.user_id or self.email or self.anonymous_id)

    def triples(self, source_id: int) -> list[Triple]:
        """Return the identities this key stands for."""
        found: list[Triple] = []
        if self.user_id:
            found.append((IdentityKind.USER.value, str(source_id), self.user_id))
        if self.email:
            found.append((IdentityKind.EMAIL.value, "", self.email))
        if self.anonymous_id:
            found.append((IdentityKind.ANONYMOUS.value, str(source_id), self.anonymous_id))
        return found


NOBODY = PersonKey()


@dataclass(slots=True)
class _Person:
    """A customer as planning sees it. id 0: to be made."""

    id: int
    anonymous: bool
    has_user: bool = False
    has_email: bool = False
    public_id: str = ""


@dataclass(slots=True)
class _Plan:
    people: list[_Person | None] = field(default_factory=list)
    made: list[_Person] = field(default_factory=list)
    promoted: list[_Person] = field(default_factory=list)
    named: dict[Triple, _Person] = field(default_factory=dict)
    joined: list[tuple[_Person, _Person]] = field(default_factory=list)

    @property
    def changes_nothing(self) -> bool:
        return not (self.made or self.promoted or self.named or self.joined)

    def touched(self, known: dict[Triple, _Person]) -> set[str]:
        """Name the identities whose meaning this plan changes, as lock keys."""
        moving = {id(gone) for gone, _ in self.joined} | {id(person) for person in self.promoted}
        triples = set(self.named) | {triple for triple, person in known.items() if id(person) in moving}
        return {"identity:" + "\x1f".join(triple) for triple in triples}


@dataclass(frozen=True, slots=True)
class Resolved:
    """customer_ids: one per key, in order; None for a key that names no one. created: ids made now."""

    customer_ids: list[int | None]
    created: tuple[int, ...] = ()
    joined: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What is known of some keys at one moment; taken by `acquaint`, used up by `resolve` or `settled`."""

    source_id: int
    distinct: list[PersonKey]
    known: dict[Triple, _Person]

    @property
    def customer_ids(self) -> set[int]:
        """The customers that the keys lead to."""
        return {person.id for person in self.known.values()}


def acquaint(*, source_id: int, keys: Sequence[PersonKey]) -> Acquaintance:
    """Look the keys up. One query, none when they name no one; needs no transaction."""
    distinct = list(dict.fromkeys(key for key in keys if key))
    return Acquaintance(source_id, distinct, _look_up(source_id, distinct) if distinct else {})


def settled(*, met: Acquaintance, keys: Sequence[PersonKey]) -> list[int | None] | None:
    """Return the customer of every key if all are known and nothing has to be made or joined, else None. Runs no query."""
    # Planning changes the people it plans for, so it works on copies; one customer stays one copy.
    copies = {id(person): replace(person) for person in met.known.values()}
    plan = _plan(met.source_id, met.distinct, {triple: copies[id(person)] for triple, person in met.known.items()})
    if not plan.changes_nothing:
        return None
    answer = {key: person.id if person else None for key, person in zip(met.distinct, plan.people, strict=True)}
    return [answer.get(key) for key in keys]


def resolve(
    *,
    source_id: int,
    keys: Sequence[PersonKey],
    at: datetime,
    seen: Sequence[datetime] = (),
    is_demo: bool = False,
    import_job_id: int | None = None,
    cause: str = "track",
    met: Acquaintance | None = None,
) -> Resolved:
    """Return the customer of every key, making and joining people where the rules above say so.

    is_demo: new people belong to the demo shop whatever their source is; those of a demo source always do.
    seen: when each key was seen, for the first and last moment of a new customer; empty: all at `at`.
    met: an acquaintance with exactly these keys, when the caller has one.
    Must run inside a transaction. One query when everyone is known; otherwise locks the identities it is about to give
    a meaning (sorted, so two callers cannot deadlock), looks again, and writes each kind of change once.
    """
    met = met or acquaint(source_id=source_id, keys=keys)
    distinct, known = met.distinct, met.known
    if not distinct:
        return Resolved([None] * len(keys))
    plan = _plan(source_id, distinct, known)
    held: set[str] = set()
    while not plan.changes_nothing:
        needed = plan.touched(known) - held
        if not needed:
            break
        # A second round is rare (someone joined two of our people meanwhile) and may deadlock; PostgreSQL then ends one.
        _lock(needed)
        held |= needed
        known = _look_up(source_id, distinct)
        plan = _plan(source_id, distinct, known)
    moments: dict[PersonKey, tuple[datetime, datetime]] = {}
    for key, moment in zip(keys, seen or [at] * len(keys), strict=True):
        first, last = moments.get(key, (moment, moment))
        moments[key] = (min(first, moment), max(last, moment))
    _carry_out(plan, source_id, distinct, moments, at, is_demo, import_job_id, cause)
    answer = {key: person.id if person else None for key, person in zip(distinct, plan.people, strict=True)}
    return Resolved(
        [answer.get(key) for key in keys],
        tuple(person.id for person in plan.made),
        tuple((gone.id, kept.id) for gone, kept in plan.joined),
    )


def find(*, source_id: int, key: PersonKey) -> int | None:
    """Return the customer the key leads to without making anyone. One query."""
    known = _look_up(source_id, [key])
    for triple in key.triples(source_id):
        if triple in known:
            return known[triple].id
    return None


def _look_up(source_id: int, keys: Sequence[PersonKey]) -> dict[Triple, _Person]:
    triples = list(dict.fromkeys(triple for key in keys for triple in key.triples(source_id)))
    # LATERAL with LIMIT 1 (all three are unique) leaves the planner only the index. A plan made while the shop was empty
    # is kept, and as a plain join it reads every identity there is by the time the shop is not.
    found = rows.prepared(
        """
        SELECT i.kind, i.namespace, i.value, i.customer_id, c.is_anonymous,
               c.email <> '' OR i.kind = 'anonymous' AND EXISTS (SELECT 1 FROM customers_identity e WHERE e.customer_id = i.customer_id AND e.kind = 'email'),
               i.kind = 'email' AND EXISTS (SELECT 1 FROM customers_identity u WHERE u.customer_id = i.customer_id AND u.kind = 'user' AND u.namespace = %s)
        FROM unnest(%s::text[], %s::text[], %s::text[]) AS asked(kind, namespace, value)
        CROSS JOIN LATERAL (
            SELECT * FROM customers_identity WHERE kind = asked.kind AND namespace = asked.namespace AND value = asked.value LIMIT 1
        ) i
        CROSS JOIN LATERAL (SELECT is_anonymous, email FROM customers_customer WHERE id = i.customer_id LIMIT 1) c
        """,
        [str(source_id), *(list(column) for column in zip(*triples, strict=True))],
    )
    people: dict[int, _Person] = {}
    known: dict[Triple, _Person] = {}
    for kind, namespace, value, customer_id, anonymous, has_email, has_user in found:
        person = people.setdefault(customer_id, _Person(customer_id, anonymous, has_email=has_email))
        person.has_user = person.has_user or has_user or kind == IdentityKind.USER
        known[kind, namespace, value] = person
    return known


def _plan(source_id: int, keys: Sequence[PersonKey], known: dict[Triple, _Person]) -> _Plan:
    """Apply the rules to the keys in order, without touching the database."""
    plan = _Plan()
    meaning = dict(known)
    # Joined visitors answer as the person they joined, for the keys that come later in the same batch.
    stands_for: dict[int, _Person] = {}

    def who(triple: Triple | None) -> _Person | None:
        person = meaning.get(triple) if triple else None
        while person is not None and id(person) in stands_for:
            person = stands_for[id(person)]
        return person

    for key in keys:
        namespace = str(source_id)
        user_triple = (IdentityKind.USER.value, namespace, key.user_id) if key.user_id else None
        email_triple = (IdentityKind.EMAIL.value, "", key.email) if key.email else None
        browser_triple = (IdentityKind.ANONYMOUS.value, namespace, key.anonymous_id) if key.anonymous_id else None
        by_user, by_email, by_browser = who(user_triple), who(email_triple), who(browser_triple)
        names_someone = bool(user_triple or email_triple)

        person = by_user
        if person is None and by_email is not None and not (user_triple and by_email.has_user):
            person = by_email
        if person is None and by_browser is not None:
            same_person_gets_email = not user_triple and not (by_browser.has_email or by_email)
            if by_browser.anonymous or not names_someone or same_person_gets_email:
                person = by_browser
        if person is None:
            person = _Person(0, anonymous=not names_someone, public_id=str(uuid.uuid4()))
            plan.made.append(person)
        elif person.anonymous and names_someone:
            person.anonymous = False
            if person.id:
                plan.promoted.append(person)

        if by_browser is not None and by_browser is not person and by_browser.anonymous:
            if by_browser.id:
                plan.joined.append((by_browser, person))
            else:
                plan.made.remove(by_browser)
            stands_for[id(by_browser)] = person
        for triple in (user_triple, email_triple, browser_triple):
            if triple and triple not in meaning:
                meaning[triple] = person
                plan.named[triple] = person
        person.has_user = person.has_user or bool(user_triple)
        person.has_email = person.has_email or bool(email_triple)
        plan.people.append(person)

    plan.people = [_final(person, stands_for) for person in plan.people]
    plan.named = {triple: _final(person, stands_for) for triple, person in plan.named.items()}  # type: ignore[misc]
    plan.joined = [(gone, _final(kept, stands_for)) for gone, kept in plan.joined]  # type: ignore[misc]
    return plan


def _final(person: _Person | None, stands_for: dict[int, _Person]) -> _Person | None:
    while person is not None and id(person) in stands_for:
        person = stands_for[id(person)]
    return person


def _carry_out(
    plan: _Plan,
    source_id: int,
    keys: Sequence[PersonKey],
    moments: dict[PersonKey, tuple[datetime, datetime]],
    at: datetime,
    is_demo: bool,
    import_job_id: int | None,
    cause: str,
) -> None:
    known_before = {id(person) for person in plan.named.values() if person.id}
    if plan.made or plan.named:
        _make_and_name(plan, source_id, keys, moments, at, is_demo, import_job_id)
    if plan.promoted:
        rows.execute(
            "UPDATE customers_customer SET is_anonymous = false, version = version + 1, updated_at = now() WHERE id = ANY(%s)",
            [sorted(person.id for person in plan.promoted)],
        )
    addressed = {person.id: value for (kind, _, value), person in reversed(plan.named.items()) if kind == IdentityKind.EMAIL and id(person) in known_before}
    if addressed:
        rows.execute(
            "UPDATE customers_customer c SET email = r.email, version = c.version + 1, updated_at = now() FROM unnest(%s::bigint[], %s::text[]) AS r(id, email) WHERE c.id = r.id AND c.email = ''",
            [list(addressed), list(addressed.values())],
        )
    if plan.joined:
        join_visitors([(gone.id, kept.id) for gone, kept in plan.joined], at, cause)


def _make_and_name(
    plan: _Plan,
    source_id: int,
    keys: Sequence[PersonKey],
    moments: dict[PersonKey, tuple[datetime, datetime]],
    at: datetime,
    is_demo: bool,
    import_job_id: int | None,
) -> None:
    """Insert the plan's new customers and identities in one statement, and put the new ids into the plan."""
    spans: dict[int, tuple[datetime, datetime]] = {}
    emails: dict[int, str] = {}
    for key, person in zip(keys, plan.people, strict=True):
        first, last = spans.get(id(person), moments[key])
        spans[id(person)] = (min(first, moments[key][0]), max(last, moments[key][1]))
        if key.email:
            emails.setdefault(id(person), key.email)
    made = [
        {
            "public_id": person.public_id,
            "email": emails.get(id(person), ""),
            "anonymous": person.anonymous,
            "first_at": spans[id(person)][0],
            "last_at": spans[id(person)][1],
        }
        for person in plan.made
    ]
    named = [
        {"customer_id": person.id or None, "public_id": person.public_id or None, "kind": kind, "namespace": namespace, "value": value}
        for (kind, namespace, value), person in sorted(plan.named.items(), key=lambda pair: pair[0])
    ]
    ids = dict(
        rows.query(
            """
            WITH made AS (
                INSERT INTO customers_customer (public_id, name, email, phone, locale, country, city, time_zone, gender, tags, traits, source_id,
                    is_anonymous, is_demo, import_job_id, first_seen_at, last_seen_at, currency, orders_count, spent_amount, version, created_at, updated_at)
                SELECT r.public_id, '', r.email, '', '', '', '', '', '', '{}', '{}', %s,
                    r.anonymous, %s OR (SELECT is_demo FROM core_source WHERE id = %s), %s, r.first_at, r.last_at, '', 0, 0, 1, now(), now()
                FROM json_to_recordset(%s::json) AS r(public_id uuid, email text, anonymous boolean, first_at timestamptz, last_at timestamptz)
                RETURNING id, public_id
            ), named AS (
                INSERT INTO customers_identity (customer_id, kind, namespace, value, first_seen_at)
                SELECT coalesce(r.customer_id, made.id), r.kind, r.namespace, r.value, %s
                FROM json_to_recordset(%s::json) AS r(customer_id bigint, public_id uuid, kind text, namespace text, value text) LEFT JOIN made ON made.public_id = r.public_id
                ON CONFLICT DO NOTHING
            )
            SELECT public_id::text, id FROM made
            """,
            [source_id, is_demo, source_id, import_job_id, rows.dumps(made).decode(), at, rows.dumps(named).decode()],
        )
    )
    for person in plan.made:
        person.id = ids[person.public_id]


def _lock(keys: set[str]) -> None:
    """Wait for the named advisory locks in one statement, in sorted order.

    More than a few hundred would crowd PostgreSQL's lock table, so a large set takes the whole room instead:
    small callers hold the room shared, a large one alone.
    """
    room = 7_205_759
    with connection.cursor() as cursor:
        if len(keys) > 500:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [room])
            return
        cursor.execute(
            """
            SELECT pg_advisory_xact_lock_shared(%s) UNION ALL
            SELECT pg_advisory_xact_lock(number) FROM (SELECT DISTINCT hashtextextended(key, 0) AS number FROM unnest(%s::text[]) AS key ORDER BY 1) AS sorted
            """,
            [room, sorted(keys)],
        )
