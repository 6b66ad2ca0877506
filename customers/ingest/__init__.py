"""The one door by which facts enter: tracking calls as sent, and orders, returns, reviews, products and people as values.

Everything is set-based and idempotent by the shop's own ids: calling again stores nothing twice.

    record_batch(source_id=…, events=[…], received_at=…)          tracking calls (customers/tracking.py, the demo shop)
    record_customers / record_products / record_orders / record_returns / record_reviews     values of customers/facts.py

Modules: events (one call as sent -> one event as understood), batch (the transaction), turns (who waits for whom), store,
changes and returns (facts -> tables), verbs (the record_* functions).
"""

from customers.facts import ConsentFacts, LineFacts, OrderFacts, PersonFacts, ProductFacts, Recorded, ReturnFacts, ReviewFacts
from customers.identity import NOBODY, PersonKey
from customers.ingest.batch import BatchReport, Rejection, record_batch, record_understood, understand
from customers.ingest.verbs import join_late_returns, proof_of_import, record_customers, record_orders, record_products, record_returns, record_reviews

__all__ = [
    "NOBODY",
    "BatchReport",
    "ConsentFacts",
    "LineFacts",
    "OrderFacts",
    "PersonFacts",
    "PersonKey",
    "ProductFacts",
    "Recorded",
    "Rejection",
    "ReturnFacts",
    "ReviewFacts",
    "join_late_returns",
    "proof_of_import",
    "record_batch",
    "record_customers",
    "record_orders",
    "record_products",
    "record_returns",
    "record_reviews",
    "record_understood",
    "understand",
]
