"""`snpkit bench`: what snpkit does beside a straightforward way of doing the same, in one run."""
