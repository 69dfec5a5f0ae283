"""Networks: traced, cut, watched, scored, trained, measured, saved."""
