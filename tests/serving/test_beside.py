"""The planner page at the address of a server, and what keeps it apart."""

import re
import urllib.parse

import pytest

pytest.importorskip("fastapi")
pytest.importorskip("jinja2")
import httpx

ROLES = {"writer": {"model": "ullage:tiny"}}


@pytest.fixture(scope="module")
def server(begun):
    with begun(
        {"kind": "serve", "roles": ROLES, "budget": {"gpus": "cpu"}, "prompt_tokens": 100}, pages=True
    ) as found:
        yield found


def enter(server):
    return f"/ui/enter?token={urllib.parse.quote(server.token)}"


@pytest.fixture
def browser(server):
    with httpx.Client(base_url=server.address) as found:
        yield found


def test_a_browser_enters_once_and_sees_the_plan_that_is_served(server, browser):
    for path in ("/ui/", "/ui/health"):
        page, refused = browser.get(path), browser.get(path, headers={"Accept": "application/json"})
        assert page.status_code == refused.status_code == 401
        assert "open /ui/enter?token=TOKEN once" in page.text
        assert "open /ui/enter?token=TOKEN once" in refused.json()["error"]["message"]
    assert browser.get("/ui/enter?token=another").status_code == 401
    entered = browser.get(enter(server))
    assert (entered.status_code, entered.headers["location"]) == (303, "/ui/")
    assert {"HttpOnly", "SameSite=Strict", "Path=/ui"} <= set(entered.headers["set-cookie"].split("; "))
    page = browser.get("/ui/")
    assert page.status_code == 200
    links = set(re.findall(r'(?:href|src|action)="(/[^"?]*)', page.text))
    assert links
    assert all(link.startswith("/ui/") for link in links)
    assert browser.get("/ui/static/page.css").status_code == 200
    document = browser.get("/ui/plan.json").json()
    assert document["verdict"] == server.plan.roles.verdict
    assert document["settled"]["roles"]["writer"]["model"] == "ullage:tiny"


def test_its_cookie_opens_nothing_else_and_its_guards_are_its_own(server, browser):
    browser.get(enter(server))
    assert browser.get("/v1/models").status_code == 401
    everywhere = {"Cookie": f"ullage_token={urllib.parse.quote(server.token)}"}
    assert httpx.get(f"{server.address}/v1/models", headers=everywhere).status_code == 401
    assert browser.get("/ui/", headers={"Origin": "http://evil.example"}).status_code == 403
    assert browser.get("/ui/", headers={"Host": "evil.example"}).status_code == 400
    assert browser.get("/ui").headers["location"] == "/ui/"
    assert browser.get("/uis").status_code == 401
    assert browser.get("/ui/v1/models").status_code == 404
    assert browser.post("/ui/text", content=b"x" * 2**21).status_code == 413
    assert server.client().models.list().data
