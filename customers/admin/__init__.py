"""The customer's record for operators: find anything, see it whole, change only what is safe to change by hand.

Every list names its joins, so none asks per row; columns that programs compute are read-only.
"""

from customers.admin import activity, catalogue, orders, people, portraits, segments

__all__ = ["activity", "catalogue", "orders", "people", "portraits", "segments"]
