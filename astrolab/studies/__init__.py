"""Notebooks run as jobs, and what papers printed and said beside what was measured here.

`running` executes a notebook into a run folder, `beside` holds the papers' numbers, `claims` puts their sentences to
the test; the numbers and sentences are data, in ``published/``.
"""
