"""A query whose calls stand over plain rows → stages and a result, and what is known of both."""
