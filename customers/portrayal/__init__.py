"""A portrait as people read it: statements, reasons, tastes, changes, advice and a paragraph.

Reads the rows that the models wrote (`customers.models.scores`) and nothing else; every shown number is a number of a row.
"""
