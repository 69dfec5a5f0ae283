"""Metrics files -> scorecard, tables, pictures, page: what finished runs say. Loads no network, knows no torch."""
