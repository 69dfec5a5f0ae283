"""Metrics files -> scorecard, tables, pictures: what finished runs say. Loads no network, knows no torch."""
