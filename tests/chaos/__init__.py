"""Breaks the running system in every way that has a name, under load, and proves afterwards that nothing was lost or doubled."""
