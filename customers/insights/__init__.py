"""Pages that look at the whole shop: retention, RFM, lifecycle, value, churn, returns, reviews.

queries.py asks set-wise SQL and remembers the answers for a few minutes; sheets.py makes a chart with its table and its CSV of
each; pages.py puts them together.
"""
