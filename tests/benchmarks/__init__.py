"""`make bench`: what the product costs beside a bare baseline that does the same outside work, in the same run.

Machines differ and drift, so a figure is a ratio of two things timed in turn (ours, bare, ours, bare …), quoted as the
median of the pairs. Absolute rates are printed beside it for orientation only. Nothing here is a test.
"""
