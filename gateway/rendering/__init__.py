"""Cases, and what is done about them, as each caller may read them. Several features answer with these models."""
