"""Realistic values of indicators that belong to nobody: from a seeded generator, in unassigned ranges."""

from __future__ import annotations

from random import Random

COUNTIES = ("630202", "630203", "630222", "630223", "630224", "630225")


def account(rng: Random) -> str:
    return "6299" + "".join(rng.choices("0123456789", k=15))


def card(rng: Random) -> str:
    return "6288" + "".join(rng.choices("0123456789", k=12))


def phone(rng: Random) -> str:
    """E.164, in the block 1 700 0xx, which is not assigned to subscribers."""
    return "+861700" + "".join(rng.choices("0123456789", k=7))


def domain(rng: Random) -> str:
    """Under `.example` (RFC 2606)."""
    return "".join(rng.choices("abcdefghijkmnpqrstuvwxyz", k=8)) + ".example"


def url(rng: Random) -> str:
    return f"https://{domain(rng)}/{''.join(rng.choices('abcdefghijk', k=5))}"


MAKERS = {"account": account, "card": card, "phone": phone, "url": url, "domain": domain}


def spelled(rng: Random, kind: str, value: str) -> str:
    """Another spelling of the same value, as people write it."""
    way = rng.randrange(4)
    if way == 0:
        return value
    if kind in ("account", "card"):
        mark = " " if way == 1 else "-"
        return mark.join(value[at : at + 4] for at in range(0, len(value), 4))
    if kind == "phone":
        local = value.removeprefix("+86")
        return (local, f"{local[:3]} {local[3:7]} {local[7:]}", f"0086{local}")[way - 1]
    if kind == "domain":
        return (value.upper(), value.replace(".", "[.]"), value + ".")[way - 1]
    return (value.replace("https://", "hxxps://"), value.replace("https://", "HTTPS://"), value + "#top")[way - 1]
