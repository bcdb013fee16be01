"""`snpkit ablate`: many small runs by one plan, measured alike and compared seed by seed."""
