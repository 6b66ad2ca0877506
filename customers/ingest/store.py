"""Facts into tables, one statement per kind of row. The verbs of this package call these inside one transaction."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from crm.core import rows
from customers import consent
from customers.facts import LineFacts, OrderFacts, PersonFacts, ProductFacts, ReviewFacts

# Up to here one INSERT is quicker than opening a COPY (measured on the order lines of one tracking batch).
SMALL = 500
LARGEST_TRAITS = 65_536
_NOT_SLUG = re.compile(r"[^\w]+")


@dataclass(frozen=True, slots=True)
class StoredProducts:
    ids: dict[str, int]
    created: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """The products some facts speak of, and which of them are stored: external id -> (id, whether it still lacks a name)."""

    wanted: dict[str, ProductFacts]
    found: dict[str, tuple[int, bool]]

    @property
    def is_complete(self) -> bool:
        """Whether tracking has nothing to make or to fill."""
        return len(self.found) == len(self.wanted) and not any(nameless and self.wanted[key].name for key, (_, nameless) in self.found.items())

    @property
    def ids(self) -> dict[str, int]:
        return {external_id: product_id for external_id, (product_id, _) in self.found.items()}


def shelf(*, source_id: int, facts: Iterable[ProductFacts]) -> Shelf:
    """Look products up. One query, none without facts; needs no transaction."""
    wanted: dict[str, ProductFacts] = {}
    for item in facts:
        best = wanted.get(item.external_id)
        if best is None or (not best.name and item.name):
            wanted[item.external_id] = item
    if not wanted:
        return Shelf({}, {})
    found = rows.prepared("SELECT external_id, id, name = '' FROM customers_product WHERE source_id = %s AND external_id = ANY(%s)", [source_id, list(wanted)])
    return Shelf(wanted, {external_id: (product_id, nameless) for external_id, product_id, nameless in found})


def products(
    *, source_id: int, facts: Iterable[ProductFacts] = (), at: datetime, overwrite: bool = False, import_job_id: int | None = None, looked: Shelf | None = None
) -> StoredProducts:
    """Make missing products and return all ids by external id.

    overwrite False (tracking, whose key is public): what is known stays, only an empty name is filled.
    overwrite True (imports, catalogue): stated values replace what is known.
    looked: the shelf of these facts, when the caller has it.
    """
    looked = looked or shelf(source_id=source_id, facts=facts)
    wanted, ids = looked.wanted, looked.ids
    changed = [wanted[external_id] for external_id, (_, nameless) in looked.found.items() if overwrite or (nameless and wanted[external_id].name)]
    missing = [wanted[external_id] for external_id in sorted(wanted.keys() - ids.keys())]
    if not missing and not changed:
        return StoredProducts(ids, 0)
    categories = _categories({item.category for item in [*missing, *changed] if item.category})
    created = 0
    if missing:
        made = rows.with_rows(
            f"""
            INSERT INTO customers_product (source_id, external_id, sku, name, names, category_id, brand, price_amount, currency, is_available, is_goods, attributes, url, image_url,
                first_seen_at, import_job_id, updated_at)
            SELECT %s, r.external_id, r.sku, r.name, r.names, r.category_id, r.brand, r.price, r.currency, r.available, r.goods, r.attributes, r.url, r.image_url, r.first_seen_at, %s, now()
            FROM json_to_recordset(%s::json) AS r({_PRODUCT_COLUMNS})
            ON CONFLICT (source_id, external_id) DO NOTHING RETURNING external_id, id
            """,  # noqa: S608 - the column list is a constant
            (_product_row(item, categories, at) for item in missing),
            before=[source_id, import_job_id],
        )
        ids |= dict(made)
        created = len(made)
        if created < len(missing):
            lost = [item.external_id for item in missing if item.external_id not in ids]
            ids |= dict(rows.query("SELECT external_id, id FROM customers_product WHERE source_id = %s AND external_id = ANY(%s)", [source_id, lost]))
    if changed:
        rows.with_rows(
            f"""
            UPDATE customers_product p SET
                name = coalesce(nullif(r.name, ''), p.name), sku = coalesce(nullif(r.sku, ''), p.sku), brand = coalesce(nullif(r.brand, ''), p.brand), names = p.names || r.names,
                category_id = coalesce(r.category_id, p.category_id), price_amount = coalesce(r.price, p.price_amount), currency = coalesce(nullif(r.currency, ''), p.currency),
                is_available = r.available, is_goods = r.goods, attributes = p.attributes || r.attributes,
                url = coalesce(nullif(r.url, ''), p.url), image_url = coalesce(nullif(r.image_url, ''), p.image_url), updated_at = now()
            FROM json_to_recordset(%s::json) AS r({_PRODUCT_COLUMNS})
            WHERE p.source_id = %s AND p.external_id = r.external_id
              AND (p.name, p.sku, p.brand, p.category_id, p.price_amount, p.is_available, p.is_goods, p.url, p.image_url) IS DISTINCT FROM
                  (coalesce(nullif(r.name, ''), p.name), coalesce(nullif(r.sku, ''), p.sku), coalesce(nullif(r.brand, ''), p.brand), coalesce(r.category_id, p.category_id),
                   coalesce(r.price, p.price_amount), r.available, r.goods, coalesce(nullif(r.url, ''), p.url), coalesce(nullif(r.image_url, ''), p.image_url))
            RETURNING p.id
            """,  # noqa: S608
            (_product_row(item, categories, at) for item in sorted(changed, key=lambda item: item.external_id)),
            after=[source_id],
        )
    return StoredProducts(ids, created)


_PRODUCT_COLUMNS = (
    "external_id text, sku text, name text, names jsonb, category_id bigint, brand text, price numeric, currency text, available boolean, goods boolean, "
    "attributes jsonb, url text, image_url text, first_seen_at timestamptz"
)


def _product_row(item: ProductFacts, categories: Mapping[str, int], at: datetime) -> dict[str, object]:
    return {
        "external_id": item.external_id, "sku": item.sku, "name": item.name, "names": item.names, "category_id": categories.get(_slug(item.category)), "brand": item.brand,
        "price": item.price_amount, "currency": item.currency, "available": item.is_available, "goods": item.is_goods, "attributes": item.attributes,
        "url": item.url, "image_url": item.image_url, "first_seen_at": item.first_seen_at or at,
    }  # fmt: skip


def _slug(name: str) -> str:
    return _NOT_SLUG.sub("-", name.strip().lower()).strip("-")[:100]


def _categories(names: set[str]) -> dict[str, int]:
    """Return category ids by slug, making missing ones under the name they came with."""
    slugs = {slug: name for name in sorted(names) if (slug := _slug(name))}
    if not slugs:
        return {}
    found = dict(rows.query("SELECT slug, id FROM customers_category WHERE slug = ANY(%s)", [list(slugs)]))
    missing = sorted(slugs.keys() - found.keys())
    if missing:
        rows.with_rows(
            """
            INSERT INTO customers_category (slug, names) SELECT r.slug, jsonb_build_object('en', r.name)
            FROM json_to_recordset(%s::json) AS r(slug text, name text) ON CONFLICT DO NOTHING RETURNING id
            """,
            ({"slug": slug, "name": slugs[slug]} for slug in missing),
        )
        found = dict(rows.query("SELECT slug, id FROM customers_category WHERE slug = ANY(%s)", [list(slugs)]))
    return found


def orders(
    *, source_id: int, facts: Sequence[OrderFacts], customer_ids: Sequence[int | None], product_ids: Mapping[str, int], import_job_id: int | None = None
) -> dict[str, int]:
    """Insert orders that are new, with their lines; return the new ids by external id."""
    made = dict(
        rows.with_rows(
            """
            INSERT INTO customers_order (source_id, external_id, customer_id, placed_at, status, currency, total_amount, discount_amount, shipping_amount, tax_amount, coupon, country,
                import_job_id, created_at)
            SELECT %s, r.external_id, r.customer_id, r.placed_at, r.status, r.currency, r.total, r.discount, r.shipping, r.tax, r.coupon, r.country, %s, now()
            FROM json_to_recordset(%s::json) AS r(external_id text, customer_id bigint, placed_at timestamptz, status text, currency text, total numeric, discount numeric,
                shipping numeric, tax numeric, coupon text, country text)
            ON CONFLICT (source_id, external_id) DO NOTHING RETURNING external_id, id
            """,
            (
                {
                    "external_id": item.external_id, "customer_id": customer_id, "placed_at": item.placed_at, "status": item.status, "currency": item.currency, "total": item.total,
                    "discount": item.discount_amount, "shipping": item.shipping_amount, "tax": item.tax_amount, "coupon": item.coupon, "country": item.country,
                }
                for item, customer_id in zip(facts, customer_ids, strict=True)
            ),
            before=[source_id, import_job_id],
        )
    )  # fmt: skip
    waiting = dict(made)
    lines: list[tuple[int, tuple[LineFacts, ...]]] = []
    for item in facts:
        order_id = waiting.pop(item.external_id, None)
        if order_id is not None:
            lines.append((order_id, item.lines))
    order_lines(lines, product_ids)
    return made


def order_lines(lines: Sequence[tuple[int, tuple[LineFacts, ...]]], product_ids: Mapping[str, int]) -> None:
    """Append lines to orders by order id."""
    values = [
        (order_id, product_ids[line.product.external_id], line.quantity, line.unit_amount, position)
        for order_id, order_of in lines
        for position, line in enumerate(order_of, start=1)
    ]
    if len(values) > SMALL:
        rows.copy("customers_orderline", ("order_id", "product_id", "quantity", "unit_amount", "position"), values)
    elif values:
        rows.execute(
            "INSERT INTO customers_orderline (order_id, product_id, quantity, unit_amount, position) SELECT * FROM unnest(%s::bigint[], %s::bigint[], %s::int[], %s::numeric[], %s::int[])",
            [list(column) for column in zip(*values, strict=True)],
        )


def reviews(*, source_id: int, facts: Sequence[ReviewFacts], customer_ids: Sequence[int | None], product_ids: Mapping[str, int]) -> int:
    """Insert reviews that are new and return how many."""
    return len(
        rows.with_rows(
            """
            INSERT INTO customers_review (source_id, external_id, customer_id, product_id, rating, body, language, written_at)
            SELECT %s, r.external_id, r.customer_id, r.product_id, r.rating, r.body, r.language, r.written_at
            FROM json_to_recordset(%s::json) AS r(external_id text, customer_id bigint, product_id bigint, rating smallint, body text, language text, written_at timestamptz)
            ON CONFLICT (source_id, external_id) DO NOTHING RETURNING id
            """,
            (
                {
                    "external_id": item.external_id, "customer_id": customer_id, "product_id": product_ids[item.product.external_id], "rating": item.rating,
                    "body": item.body, "language": item.language, "written_at": item.written_at,
                }
                for item, customer_id in zip(facts, customer_ids, strict=True)
            ),
            before=[source_id],
        )
    )  # fmt: skip


_PERSON_COLUMNS = ("name", "email", "phone", "locale", "country", "city", "time_zone", "gender", "birth_date", "currency")


def people(*, facts: Sequence[PersonFacts], customer_ids: Sequence[int | None], at: datetime, origin: str, cause: str, proof: str = "") -> None:
    """Write what is said of people onto their rows, later statements winning, and their consents into the ledger with their proof."""
    columns: dict[int, dict[str, object]] = {}
    spans: dict[int, tuple[datetime, datetime]] = {}
    tags: dict[int, list[str]] = {}
    traits: dict[int, dict[str, object]] = {}
    statements: list[consent.Statement] = []
    for item, customer_id in zip(facts, customer_ids, strict=True):
        if customer_id is None:
            continue
        stated = {name: value for name in _PERSON_COLUMNS if (value := getattr(item, name))}
        columns.setdefault(customer_id, {}).update(stated)
        tags.setdefault(customer_id, []).extend(item.tags)
        traits.setdefault(customer_id, {}).update(item.traits)
        first, last = spans.get(customer_id, (item.seen_at, item.seen_at))
        spans[customer_id] = (min(first, item.first_seen_at or item.seen_at), max(last, item.seen_at))
        statements += [consent.Statement(customer_id, said.channel, said.state, said.purpose) for said in item.consents]
    together = [
        {"id": key, **columns[key], "tags": tags[key], "traits": traits[key], "first": spans[key][0], "seen": spans[key][1]}
        for key in sorted(columns)
    ]  # fmt: skip
    if together:
        rows.execute("SELECT id FROM customers_customer WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE", [sorted(columns)])
        rows.with_rows(
            f"""
            UPDATE customers_customer c SET
                name = coalesce(r.name, c.name), email = coalesce(r.email, c.email), phone = coalesce(r.phone, c.phone), locale = coalesce(r.locale, c.locale),
                country = coalesce(r.country, c.country), city = coalesce(r.city, c.city), time_zone = coalesce(r.time_zone, c.time_zone), gender = coalesce(r.gender, c.gender),
                birth_date = coalesce(r.birth_date, c.birth_date), currency = coalesce(nullif(c.currency, ''), r.currency, ''),
                tags = ARRAY(SELECT DISTINCT tag FROM unnest(c.tags || ARRAY(SELECT jsonb_array_elements_text(r.tags))::varchar[]) AS tag ORDER BY tag LIMIT 100),
                traits = CASE WHEN octet_length((c.traits || r.traits)::text) > {LARGEST_TRAITS} THEN c.traits ELSE c.traits || r.traits END,
                first_seen_at = least(c.first_seen_at, r.first), last_seen_at = greatest(c.last_seen_at, r.seen), version = c.version + 1, updated_at = now()
            FROM json_to_recordset(%s::json) AS r(id bigint, name text, email text, phone text, locale text, country text, city text, time_zone text, gender text, birth_date date,
                currency text, tags jsonb, traits jsonb, first timestamptz, seen timestamptz)
            WHERE c.id = r.id RETURNING c.id
            """,  # noqa: S608 - a constant
            together,
        )
    consent.record(statements=statements, origin=origin, at=at, cause=cause, proof=proof)
