"""Where calls stand: what guards them, which layer of a query scores them, what another evaluation would change."""
