"""Deny by default: every route names its roles, and only a token that is right in every respect makes a caller."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from deploy.local import tokens
from deploy.local.tokens import mint, scrape_headers
from gateway import app as wiring
from gateway.app import ENDPOINTS
from gateway.http.caller import Role
from gateway.http.problems import Problem
from gateway.security.auth import Authenticator
from gateway.security.jwks import KeySource, UnsafeKeys, check_keys
from gateway.security.scrape_token import ScrapeToken
from gateway.settings import GatewaySettings
from tests.unit.gateway.conftest import Client

OPEN = {"/docs", "/openapi.json", "/livez", "/readyz", "/tips", "/tips/status", "/v1/tips", "/v1/tips/{number}"}


def _url(path: str) -> str:
    return path.replace("{signal_id}", "sig-1").replace("{queue}", "q").replace("{case_id}", "c").replace("{action_id}", "a")


def test_every_route_of_the_app_is_a_declared_endpoint(services):
    app = wiring.create_app_over(services)
    routes = [(route.path.replace(":path}", "}"), route.methods - {"HEAD"}) for route in app.routes]
    assert routes == [(one.path, {one.method}) for one in ENDPOINTS]
    assert {one.path for one in ENDPOINTS if not one.roles} == OPEN


@pytest.mark.parametrize(
    "endpoint", [one for one in ENDPOINTS if one.path not in OPEN], ids=lambda one: f"{one.method} {one.path}"
)
async def test_a_route_is_401_without_a_token_and_403_with_each_wrong_role(services, home: Path, endpoint):
    transport = httpx.ASGITransport(wiring.create_app_over(services), client=("10.0.0.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        answer = await client.request(endpoint.method, _url(endpoint.path))
        assert answer.status_code == 401 and answer.headers["www-authenticate"].startswith("Bearer")
        for role in set(Role) - endpoint.roles:
            bearer = {"Authorization": "Bearer " + mint("party-1", role=role, home=home, profile="unit")}
            answer = await client.request(endpoint.method, _url(endpoint.path), headers=bearer)
            assert (answer.status_code, answer.json()["type"]) == (403, "urn:liandong:problem:forbidden")


async def test_metrics_want_the_scrape_token_or_an_operators_also_from_this_machine(client: Client, home: Path):
    assert (await client(None).get("/metrics")).status_code == 401
    assert (await client(None).get("/metrics", headers={"authorization": "Bearer "})).status_code == 401
    operators = {"Authorization": client("operator-1").headers["authorization"]}
    for bearer in (scrape_headers(home / "unit"), operators):
        answer = await client(None).get("/metrics", headers=bearer)
        assert answer.status_code == 200 and "liandong_gateway_accepted_total" in answer.text
    assert (await client("bank-001").get("/metrics")).status_code == 403
    assert (await client(None).get("/v1/queues", headers=scrape_headers(home / "unit"))).status_code == 401


def test_a_scrape_token_that_is_short_or_missing_lets_nobody_in(tmp_path: Path):
    token = ScrapeToken(tmp_path / "scrape.token")
    assert not token.matches("Bearer ")
    (tmp_path / "scrape.token").write_text("short\n")
    assert not token.matches("Bearer short")
    (tmp_path / "scrape.token").write_text("x" * 32 + "\n")
    assert token.matches("Bearer " + "x" * 32) and not token.matches("Bearer " + "x" * 31) and not token.matches(None)


async def test_an_institution_with_a_units_name_is_nobody(auth: Authenticator, issuer: Issuer):
    for name in ("public-security-630202", "bank-630202", "x-000000"):
        assert "names a unit" in await refused(auth, issuer.token(sub=name))
    officer = issuer.token(sub="public-security-630202", role="officer", queues=["q-1"])
    assert (await auth.caller(f"Bearer {officer}")).queues == ("q-1",)


async def test_queues_are_an_officers_alone(auth: Authenticator, issuer: Issuer):
    assert (await auth.caller("Bearer " + issuer.token(queues=["*"]))).queues == ()


@pytest.mark.parametrize(
    "more", [{"exp": int(time.time()) + 10**9}, {"exp": int(time.time()) + 600, "iat": int(time.time()) - 86_000}]
)
async def test_a_token_that_is_valid_for_more_than_a_day_is_refused(auth: Authenticator, issuer: Issuer, more: dict):
    assert "lifetime" in await refused(auth, issuer.token(**more))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "gateway.example"])
def test_the_local_key_is_not_trusted_where_others_reach_the_gateway(host: str, caplog: pytest.LogCaptureFixture):
    for more in ({}, {"jwks": "/etc/liandong/jwks.json"}, {"jwt_issuer": "https://id.example"}):
        with pytest.raises(UnsafeKeys, match="LIANDONG_JWKS"):
            check_keys(GatewaySettings(gateway_host=host, **more))
    check_keys(GatewaySettings(gateway_host=host, jwks="https://id.example/jwks", jwt_issuer="https://id.example"))
    with pytest.raises(UnsafeKeys, match="https"):
        check_keys(GatewaySettings(gateway_host=host, jwks="http://id.example/jwks", jwt_issuer="https://id.example"))
    assert not caplog.records


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_the_local_key_is_named_in_the_log_where_it_is_trusted(host: str, caplog: pytest.LogCaptureFixture):
    check_keys(GatewaySettings(gateway_host=host))
    assert "LOCAL DEVELOPMENT KEY" in caplog.text


async def test_unknown_paths_and_methods_are_problems(client: Client):
    answer = await client().get("/v2/nothing")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:liandong:problem:not-found")
    answer = await client().delete("/v1/signals")
    assert (answer.status_code, answer.json()["type"]) == (405, "urn:liandong:problem:method-not-allowed")


class Issuer:
    """An issuer with keys of several kinds and a JWKS file."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "jwks.json"
        self.keys: dict[str, Any] = {}
        self.add("ed", OKPKey.generate_key("Ed25519"))

    def add(self, kid: str, key: Any) -> None:
        self.keys[kid] = key
        public = [{**one.as_dict(private=False), "kid": name} for name, one in self.keys.items()]
        self.path.write_text(json.dumps({"keys": public}))

    def token(self, kid: str = "ed", alg: str = "Ed25519", **changes: Any) -> str:
        now = int(time.time())
        claims = {
            "iss": "liandong-local",
            "aud": "liandong",
            "sub": "bank-001",
            "role": "institution",
            "exp": now + 60,
            **changes,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": alg, "kid": kid}, claims, self.keys[kid], algorithms=[alg])


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    return Issuer(tmp_path)


@pytest.fixture
def ticks() -> Clock:
    return Clock(0.0)


@pytest.fixture
def auth(issuer: Issuer, ticks: Clock) -> Authenticator:
    settings = GatewaySettings(jwks=str(issuer.path), tokens_cached=2)
    keys = KeySource(settings.jwks_source, refresh_s=300, unknown_key_s=5, clock=ticks)
    return Authenticator(settings, keys, clock=Clock(time.time()))


async def refused(auth: Authenticator, token: str) -> str:
    with pytest.raises(Problem) as caught:
        await auth.caller(f"Bearer {token}")
    assert caught.value.kind.status == 401
    return caught.value.detail


async def test_a_good_token_makes_a_caller(auth: Authenticator, issuer: Issuer):
    caller = await auth.caller("Bearer " + issuer.token())
    assert (caller.subject, caller.role) == ("bank-001", Role.INSTITUTION)
    assert await auth.caller("bearer " + issuer.token(aud=["x", "liandong"]))


@pytest.mark.parametrize(("alg", "key"), [("ES256", ECKey.generate_key("P-256")), ("RS256", RSAKey.generate_key(2048))])
async def test_the_other_pinned_algorithms_work(auth: Authenticator, issuer: Issuer, alg: str, key: Any):
    issuer.add("other", key)
    assert await auth.caller("Bearer " + issuer.token("other", alg))


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "someone"},
        {"iss": None},
        {"aud": "other"},
        {"aud": None},
        {"exp": None},
        {"exp": 1},
        {"exp": "soon"},
        {"nbf": 4_000_000_000},
        {"sub": None},
        {"sub": "Not An Id"},
        {"sub": ["a"]},
        {"role": None},
        {"role": "king"},
        {"queues": "*"},
        {"exp": 10**400},
    ],
    ids=str,
)
async def test_a_claim_that_is_not_right_is_refused(auth: Authenticator, issuer: Issuer, claims: dict[str, Any]):
    await refused(auth, issuer.token(**claims))


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({"aud": "other"}, "invalid_claim (aud)"),
        ({"iss": None}, "missing_claim (iss)"),
        ({"exp": 1}, "expired_token (exp)"),
        ({"sub": "Not An Id"}, "claim sub"),
    ],
)
async def test_who_made_the_token_is_told_which_claim_is_wrong(auth: Authenticator, issuer: Issuer, claims: dict, told: str):
    assert told in await refused(auth, issuer.token(**claims))


async def test_a_token_of_another_key_no_key_or_no_algorithm_is_refused(auth: Authenticator, issuer: Issuer, tmp_path: Path):
    (tmp_path / "x").mkdir()
    other = Issuer(tmp_path / "x")
    await refused(auth, other.token())
    head, body, mark = issuer.token().split(".")

    def header(**fields: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=").decode()

    await refused(auth, f"{header(alg='none', kid='ed')}.{body}.")
    await refused(auth, f"{header(alg='Ed25519')}.{body}.{mark}")
    await refused(auth, f"{header(alg='ES256', kid='ed')}.{body}.{mark}")
    public = json.dumps(issuer.keys["ed"].as_dict(private=False))
    forged = jwt.encode({"alg": "HS256", "kid": "ed"}, {"sub": "bank-001"}, OctKey.import_key(public), algorithms=["HS256"])
    await refused(auth, forged)
    await refused(auth, f"{head}.{body}.{'B' if mark[0] == 'A' else 'A'}{mark[1:]}")


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é.é.é", "x" * 9000, "W10.W10.W10", "eyJraWQiOjF9.e30.", "\0"])
async def test_what_is_no_token_is_401(auth: Authenticator, token: str):
    await refused(auth, token)


@pytest.mark.parametrize("header", [None, "", "Basic abc", "Bearer"])
async def test_without_a_bearer_token_there_is_no_caller(auth: Authenticator, header: str | None):
    with pytest.raises(Problem):
        await auth.caller(header)


async def test_a_cached_token_ends_when_it_expires(auth: Authenticator, issuer: Issuer):
    token = issuer.token(exp=int(time.time()) + 60)
    await auth.caller("Bearer " + token)
    auth._clock.now += 60 + 31  # type: ignore[attr-defined]
    assert "expired" in await refused(auth, token)


async def test_the_cache_is_bounded(auth: Authenticator, issuer: Issuer):
    for n in range(10):
        await auth.caller("Bearer " + issuer.token(sub=f"bank-{n}"))
    assert len(auth._cache) == 2


async def test_a_new_key_is_found_when_a_token_names_it_but_the_source_is_not_asked_all_the_time(auth, issuer, ticks: Clock):
    await auth.caller("Bearer " + issuer.token())
    issuer.add("new", OKPKey.generate_key("Ed25519"))
    token = issuer.token("new")
    ticks.now = 3
    assert "unknown" in await refused(auth, token)
    ticks.now = 6
    assert await auth.caller("Bearer " + token)


async def test_a_withdrawn_key_ends_its_tokens_with_the_next_refresh(auth: Authenticator, issuer: Issuer, ticks: Clock):
    issuer.add("old", OKPKey.generate_key("Ed25519"))
    token = issuer.token("old")
    await auth.caller("Bearer " + token)
    del issuer.keys["old"]
    issuer.add("newer", OKPKey.generate_key("Ed25519"))
    ticks.now = 301
    assert "unknown" in await refused(auth, token)


async def test_keys_that_cannot_be_read_again_stay_and_without_any_it_is_503(auth: Authenticator, issuer: Issuer, ticks: Clock):
    token = issuer.token()
    await auth.caller("Bearer " + token)
    issuer.path.write_text("{broken")
    ticks.now = 301
    assert await auth.caller("Bearer " + token)
    settings = GatewaySettings(jwks=str(issuer.path.with_name("nothing.json")))
    fresh = Authenticator(settings, KeySource(settings.jwks_source, refresh_s=300, unknown_key_s=5))
    with pytest.raises(Problem) as caught:
        await fresh.caller("Bearer " + token)
    assert caught.value.kind.slug == "keys-unavailable"


def test_the_local_issuer_is_what_the_gateway_expects_by_default():
    settings = GatewaySettings()
    assert (settings.jwt_issuer, settings.jwt_audience) == (tokens.ISSUER, tokens.AUDIENCE)
