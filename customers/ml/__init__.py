"""What the shop's own data teach about its customers: pure estimators here, the database only in dataset.py and training.py."""
