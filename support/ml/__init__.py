"""What visitors ask for: pure classifiers here, the database only in dataset.py and training.py."""
