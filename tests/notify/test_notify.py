"""Notifications over real local servers: they arrive at least once, and nothing about them holds up the loop.  # G-6"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from email import message_from_string
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from festina.errors import UsageError
from festina.ledger import entries as e
from festina.notify import courier, deliver, outbox
from festina.notify.messages import Message, notice, render
from festina.notify.settings import EVENTS, Mail, Webhook, read
from tests.loop.paper import Paper, digest, oid
from tests.notify.servers import dripping, mailbox, webhooks

MESSAGE = Message("toy-00000000-7", "halt", "toy", "2026-01-01T00:00:00Z", 7, "Everything was halted", "Halted.", "x")


def home_with(tmp_path: Path, text: str) -> Path:
    (tmp_path / "notify.toml").write_text(text)
    return tmp_path


def put(home: Path, message: Message = MESSAGE) -> int:
    found = read(home)
    assert found is not None
    return outbox.post(home, found, message)


def test_G6_a_webhook_gets_the_message_signed_over_time_and_body(tmp_path: Path) -> None:
    (tmp_path / "hook.key").write_text("s3cret\n")
    (tmp_path / "hook.key").chmod(0o600)
    with webhooks() as hooks:
        home = home_with(tmp_path, f'[[webhook]]\nurl = "{hooks.url}/x"\nsecret_file = "hook.key"\n')
        assert put(home) == 1
        assert courier.send_due(home, time.time()) == 1
    ((headers, body),) = hooks.got
    row = json.loads(body)
    assert (row["id"], row["event"], row["title"]) == (MESSAGE.id, "halt", MESSAGE.title)
    sent = headers["X-Festina-Timestamp"].encode()
    mac = hmac.new(b"s3cret", sent + b"." + body, hashlib.sha256).hexdigest()
    assert headers["X-Festina-Signature"] == f"sha256={mac}"
    assert outbox.letters(home) == []
    assert [row["result"] for row in outbox.logged(home)] == ["delivered"]
    assert put(home) == 0, "what was delivered is not put out again"


def test_G6_mail_goes_over_starttls_with_a_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAIL_PASSWORD", "hush")
    with mailbox(tmp_path) as post:
        home = home_with(
            tmp_path,
            f'[[mail]]\nhost = "localhost"\nport = {post.port}\nsender = "loop@example.org"\n'
            'to = ["ann@example.org", "bob@example.org"]\nuser = "loop"\npassword_env = "MAIL_PASSWORD"\n'
            'ca_file = "ca.pem"\n',
        )
        put(home)
        assert courier.send_due(home, time.time()) == 1
    (mail,) = post.mails
    letter = message_from_string(mail)
    assert letter["Subject"] == "Festina: toy: Everything was halted"
    assert letter["To"] == "ann@example.org, bob@example.org"
    assert MESSAGE.id in letter["Message-ID"]
    assert post.encrypted == [True]
    assert post.logins


def test_G6_a_server_without_encryption_gets_no_mail(tmp_path: Path) -> None:
    with mailbox(tmp_path, tls=False) as post:
        mail = Mail(host="localhost", port=post.port, sender="a@b.org", to=("c@d.org",))
        assert "SMTPNotSupported" in deliver.deliver(mail, MESSAGE, tmp_path)
        assert post.mails == []
        plain = mail.model_copy(update={"security": "none"})
        assert deliver.deliver(plain, MESSAGE, tmp_path) == ""  # on this machine, where somebody asked for it
    with mailbox(tmp_path) as post:
        unknown = Mail(host="localhost", port=post.port, sender="a@b.org", to=("c@d.org",))
        assert "CERTIFICATE_VERIFY_FAILED" in deliver.deliver(unknown, MESSAGE, tmp_path)


def test_G6_what_fails_is_tried_again_later_and_later(tmp_path: Path) -> None:
    with webhooks(500, 503, 307) as hooks:
        home = home_with(tmp_path, f'[[webhook]]\nurl = "{hooks.url}"\n')
        put(home)
        due = [time.time()]
        for tries, trouble in enumerate(("500", "503", "307"), 1):  # a redirect is a refusal, too
            assert courier.send_due(home, due[-1]) == 0
            (letter,) = outbox.letters(home)
            assert letter.tries == tries
            assert trouble in letter.trouble
            assert courier.send_due(home, letter.due - 0.01) == 0, "before its time it is left alone"
            due.append(letter.due)
        waits = [letter - time.time() for letter in due[1:]]
        assert waits[0] < waits[1] < waits[2]
        assert len(hooks.got) == 3
        assert courier.send_due(home, due[-1]) == 1
    assert outbox.logged(home)[-1]["tries"] == 4


def test_G6_after_three_days_it_is_given_up_and_said_so(tmp_path: Path) -> None:
    home = home_with(tmp_path, '[[webhook]]\nurl = "http://127.0.0.1:1"\n')
    put(home)
    (letter,) = outbox.letters(home)
    replace(letter, first=letter.first - courier.GIVE_UP_S - 1).save(home)
    assert courier.send_due(home, time.time()) == 0
    assert outbox.letters(home) == []
    assert "given up" in outbox.logged(home)[-1]["result"]


def test_G6_a_bad_channel_holds_up_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deliver, "WHOLE_S", 3.0)
    with webhooks("hang") as bad, dripping(30.0) as drip, webhooks() as good:
        urls = (bad.url, drip, good.url)
        home = home_with(tmp_path, "".join(f'[[webhook]]\nurl = "{url}"\n' for url in urls))
        assert put(home) == 3
        began = time.monotonic()
        assert courier.send_due(home, time.time()) == 1
        assert time.monotonic() - began < 20.0
        assert len(good.got) == 1
        assert {letter.trouble for letter in outbox.letters(home)} == {"it took too long"}


def test_G6_a_courier_that_dies_between_sending_and_noting_sends_twice_with_one_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with webhooks() as hooks:
        home = home_with(tmp_path, f'[[webhook]]\nurl = "{hooks.url}"\n')
        put(home)
        with monkeypatch.context() as patch:
            patch.setattr(courier, "note", lambda *_: None)  # the power is cut right here
            courier.send_due(home, time.time())
        courier.send_due(home, time.time() + 60)
    assert [json.loads(body)["id"] for _, body in hooks.got] == [MESSAGE.id] * 2


def test_G6_the_courier_is_a_process_of_its_own_and_alone(tmp_path: Path) -> None:
    with webhooks(500) as hooks:
        home = home_with(tmp_path, f'[[webhook]]\nurl = "{hooks.url}"\n')
        put(home)
        argv = [sys.executable, "-m", "festina.notify.courier", str(home)]
        one = subprocess.Popen(argv)
        deadline = time.monotonic() + 60
        while not outbox.busy(home) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not outbox.start_courier(home)
        assert subprocess.run(argv, timeout=60, check=False).returncode == 0  # finds the first at work, and leaves
        assert one.wait(timeout=60) == 0
        assert not outbox.busy(home)
    assert len(hooks.got) == 2
    assert outbox.letters(home) == []


def test_G6_a_full_disk_costs_messages_and_not_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = home_with(tmp_path, '[[webhook]]\nurl = "http://127.0.0.1:1"\n')
    found = read(home)
    assert found is not None
    box = outbox.Outbox(home, "toy", found)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(outbox, "post", full)
    monkeypatch.setattr(outbox, "start_courier", full)
    monkeypatch.setattr(Path, "write_text", full)
    box.see(halted("smoke"))


# -- words


def halted(reason: str, seq: int = 7) -> Paper:
    body = e.Halted.model_construct(halt="f" * 16, by=reason, since="2026-01-01T00:00:00Z", reason=reason)
    return Paper(seq, "halted", "2026-01-01T00:00:00Z", body, digest(1))


@settings(max_examples=25)
@given(st.text())
def test_T5_nobodys_text_gets_a_line_or_a_header_of_its_own(text: str) -> None:
    mail = Mail(host="localhost", sender="a@b.org", to=("c@d.org",))
    message = notice(halted(text + "\r\nBcc: eve@example.org\r\n\r\n.\r\n"), text, "toy-00000000")
    assert message is not None
    with tempfile.TemporaryDirectory() as folder:
        letter = message_from_string(deliver.envelope(mail, message, Path(folder)).as_string())
    assert letter["Bcc"] is None
    assert letter.keys().count("Subject") == 1
    body = letter.get_payload(decode=True)
    assert isinstance(body, bytes)
    assert b"\nBcc:" not in body


def test_T5_attempts_on_the_guards_are_one_message_an_hour() -> None:
    body = e.Screened(
        proposal=1, result="refused", reason="protected", detail=None, guard_change=True, base_commit=oid(1), tree=None,
        changed_files=0, changed_lines=0, improver_changed=False,
    )  # fmt: skip
    seen = [notice(Paper(n, "screened", f"2026-01-01T0{n // 50}:00:00Z", body, digest(1)), "t", "h") for n in range(99)]
    assert len({message.id for message in seen if message is not None}) == 2
    quiet = body.model_copy(update={"guard_change": False})
    assert notice(Paper(1, "screened", "2026-01-01T00:00:00Z", quiet, digest(1)), "t", "h") is None


def test_D4_G7_a_draft_of_an_incident_and_a_signed_step_are_told() -> None:
    drafted = e.IncidentDrafted(about=3, text="full step of generation 2: 40 of 41 requests failed")
    stepped = e.AutonomyStepped(
        before="release-by-approval", rung="unattended", expires=None, trust="yes", reviewer="ann", reason="0" * 64,
        without_person=False,
    )  # fmt: skip
    for body, words in ((drafted, "40 of 41 requests failed"), (stepped, "signed")):
        record = Paper(7, body.kind, "2026-01-01T00:00:00.000Z", body, digest(7))
        said = notice(record, "toy", "home")  # type: ignore[arg-type]
        assert said is not None
        assert said.event == "alarm"
        assert words in said.what


@pytest.mark.parametrize("event", EVENTS)
def test_G6_templates_are_files_with_names_and_nothing_else(tmp_path: Path, event: str) -> None:
    message = replace(MESSAGE, event=event, what="$id {id} %s")
    subject, text = render(message, tmp_path)
    assert "toy" in subject
    assert "$id {id} %s" in text, "what is told is never read as a template"
    (tmp_path / "templates").mkdir()
    own = tmp_path / "templates" / f"{event}.txt"
    own.write_text("An own subject\n$title ${entry} $$\n")
    assert render(message, tmp_path) == ("An own subject", "Everything was halted 7 $\n")
    for wrong in ("s\n$nothing\n", "s\n$\n", "s\n${id.__class__}\n"):
        own.write_text(wrong)
        with pytest.raises(UsageError, match=r"nothing called|not a template"):
            render(message, tmp_path)


# -- settings


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('[[webhook]]\nurl = "http://example.org/x"', "plain http"),
        ('[[webhook]]\nurl = "https://ann:pw@example.org/x"', "no password in an address"),
        ('[[webhook]]\nurl = "file:///etc/passwd"', "https://"),
        ('[[webhook]]\nsecret_env = "X"', "name one of url"),
        ('[[webhook]]\nurl = "https://example.org"\nevents = ["lunch"]', "events"),
        ('[[mail]]\nhost = "h"\nsender = "a@b.org"\nto = []', "to"),
        ('[[mail]]\nhost = "h"\nsender = "a@b.org\\r\\nBcc: x@y.org"\nto = ["c@d.org"]', "sender"),
        ('[[mail]]\nhost = "h"\nsecurity = "none"\nsender = "a@b.org"\nto = ["c@d.org"]', "on this machine"),
        ('[[mail]]\nhost = "h"\nsender = "a@b.org"\nto = ["c@d.org"]\nuser = "u"', "go together"),
        ('[[mail]]\nhost = "h"\nsender = "a@b.org"\nto = ["c@d.org"]\npassword = "p"', "password"),
        ("[[webhook", "not valid TOML"),
    ],
)
def test_G6_settings_that_would_not_do_are_refused_by_name(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        read(home_with(tmp_path, text))


def test_G6_secrets_that_are_missing_or_open_to_others_are_named(tmp_path: Path) -> None:
    (tmp_path / "open.key").write_text("x")
    (tmp_path / "open.key").chmod(0o644)
    hook = Webhook(url="http://127.0.0.1:1/", secret_file="open.key")
    assert "chmod 600" in deliver.deliver(hook, MESSAGE, tmp_path)
    os.environ.pop("NO_SUCH_SECRET", None)
    hook = Webhook(url="http://127.0.0.1:1/", secret_env="NO_SUCH_SECRET")
    assert "NO_SUCH_SECRET" in deliver.deliver(hook, MESSAGE, tmp_path)
