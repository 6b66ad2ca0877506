"""A shop of any size for measuring: a million customers in minutes, the same ones every time (`manage.py seed_scale`)."""
