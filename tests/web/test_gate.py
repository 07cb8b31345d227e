"""Who may ask: each refusal beside the same request that is let through."""

from __future__ import annotations

from pathlib import Path

import pytest

from festina.cli.web import doorway
from festina.web.gate import HEADERS, Pass, same
from tests.web.visiting import HOST, Visitor

PAGES = ("/", "/lineage", "/proposals", "/proposal/0", "/review", "/reviewers", "/growth", "/ledger", "/ledger/3")


def test_T5_a_page_needs_the_token_of_this_start(visitor: Visitor) -> None:
    for path in (*PAGES, "/events", "/run.json", "/static/festina.css"):
        assert visitor.ask(path, cookie="").status_code == 403, path
    for path in PAGES:
        assert visitor.ask(path).status_code == 200, path  # control: the same with the cookie


def test_T5_the_token_becomes_a_cookie_and_leaves_the_address(visitor: Visitor) -> None:
    token = visitor.site.door.token
    answer = visitor.ask(f"/proposal/1?line=0&token={token}", cookie="")
    assert (answer.status_code, answer.headers["location"]) == (303, "/proposal/1?line=0")
    assert token not in answer.headers["set-cookie"]
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in answer.headers["set-cookie"].split(";")}
    for wrong in ("", token[:-1], token + "x", "é", Pass(8123).token):
        refused = visitor.ask(f"/?token={wrong}", cookie="")
        assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)


def test_T5_a_browser_led_here_by_our_own_file_keeps_its_cookie(visitor: Visitor) -> None:
    address = f"/proposal/1?line=0&x=%22%3E%3Cb%3E&token={visitor.site.door.token}"
    answer = visitor.ask(address, cookie="", **{"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "location" in answer.headers) == (200, False)
    assert 'content="0;url=/proposal/1?line=0&amp;x=%22%3E%3Cb%3E"' in answer.text
    assert visitor.site.door.token not in answer.text
    assert "SameSite=strict" in answer.headers["set-cookie"]
    refused = visitor.ask("/?token=x", cookie="", **{"sec-fetch-site": "cross-site"})
    assert (refused.status_code, "set-cookie" in refused.headers) == (403, False)


def test_T5_no_other_user_reads_the_token_off_the_browsers_command_line(tmp_path: Path) -> None:
    address = f"http://{HOST}/?token=secret"
    page = doorway(tmp_path, address)
    assert "secret" not in page.as_uri()
    assert page.stat().st_mode & 0o077 == 0
    assert f'content="0;url={address}"' in page.read_text()


def test_T5_a_redirect_never_leaves_this_server(visitor: Visitor) -> None:
    for path in ("//evil.example/", "/\\evil.example/", "///evil.example"):
        answer = visitor.ask(f"http://{HOST}{path}?token={visitor.site.door.token}", cookie="")
        where = answer.headers.get("location", "/")
        assert where.startswith("/"), where
        assert not where.startswith(("//", "/\\")), where


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil:8123", "[::1]:8123", ""])
def test_T5_a_foreign_name_bound_to_loopback_is_refused(visitor: Visitor, host: str) -> None:
    assert visitor.ask("/", host=host).status_code == 421
    assert visitor.ask("/", host="localhost:8123").status_code == 200  # control


def test_T5_no_page_of_another_site_can_send_a_form(visitor: Visitor) -> None:
    def post(**headers: str) -> int:
        return visitor.ask("/nowhere", "POST", data={"form": visitor.site.door.form}, **headers).status_code

    assert post(origin="http://evil.example") == post(origin="null") == 403
    assert post(origin="http://127.0.0.1:9999") == 403
    assert post(**{"sec-fetch-site": "cross-site"}) == post(**{"sec-fetch-site": "same-site"}) == 403
    assert post(cookie="") == 403
    assert post(**{"content-type": "application/json"}) == 415
    assert post(**{"content-length": "999999"}) == 413
    assert post(**{"content-length": "9" * 5000}) == 413  # more digits than Python reads
    assert post(origin=f"http://{HOST}", **{"sec-fetch-site": "same-origin"}) == 404  # let through: no such page


def test_T5_no_address_is_longer_than_ours(visitor: Visitor) -> None:
    for path in (f"/review/{'9' * 5000}", f"/static/{'x' * 400}"):
        assert visitor.ask(path).status_code == 414
    assert visitor.ask(f"/proposal/{'9' * 200}").status_code == 404  # control: judged by the page


def test_T5_only_get_and_post_exist(visitor: Visitor) -> None:
    assert {visitor.ask("/", method).status_code for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")} == {405}


def test_T5_every_answer_carries_the_policy(visitor: Visitor) -> None:
    for path in (*PAGES, "/run.json", "/nope", "/static/festina.js"):
        answer = visitor.ask(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS, path
    assert "cache-control" in visitor.ask("/").headers
    assert visitor.ask("/").headers["cache-control"] == "no-store"
    policy = HEADERS["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "access-control-allow-origin" not in visitor.ask("/", origin="http://evil.example").headers


def test_T5_comparison_takes_any_text() -> None:
    assert same("abc", "abc")
    assert not same("\udcff", "abc")
    assert not same("", "abc")
