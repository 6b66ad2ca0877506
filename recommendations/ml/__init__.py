"""What customers may want next: pure rankers here, the database only in dataset.py and training.py."""
