"""Audiences by rules: tree (rules as data), fields (what a rule may speak of), compile (tree to SQL), membership, phrases."""
