"""Send one message over one channel. An endpoint is not trusted: it may refuse, hang, drip or redirect.

Every step has a time limit and so has the whole; a redirect is a refusal, since it would carry the message, and a
signature with it, to an address that nobody named; of an answer only its status is read.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import EmailMessage
from email.utils import formatdate
from http.client import HTTPException
from pathlib import Path

from festina.errors import FestinaError, UsageError
from festina.notify.messages import Message, render
from festina.notify.settings import Channel, Mail, Webhook, check_url, secret

__all__ = ["deliver"]

STEP_S = 10.0  # of one wait on the network
WHOLE_S = 30.0  # of one delivery


def deliver(channel: Channel, message: Message, home: Path) -> str:
    """Send; empty when it was taken, else why not. Never raises for what the other side does."""
    trouble = ["it took too long"]

    def work() -> None:
        try:
            if isinstance(channel, Webhook):
                _webhook(channel, message, home)
            else:
                _mail(channel, message, home)
            trouble[0] = ""
        except FestinaError as error:
            trouble[0] = str(error)
        except (OSError, HTTPException, smtplib.SMTPException, ValueError) as error:
            trouble[0] = f"{type(error).__name__}: {error}"

    thread = threading.Thread(target=work, daemon=True)  # one that a dripping endpoint holds is left behind
    thread.start()
    thread.join(WHOLE_S)
    return trouble[0]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        return None


def _webhook(channel: Webhook, message: Message, home: Path) -> None:
    url = channel.url or secret(home, channel.url_env, channel.url_file) or ""
    try:
        check_url(url)
    except ValueError as error:
        raise UsageError("notify-address", str(error)) from None
    subject, text = render(message, home)
    body = json.dumps({**message.fields(), "subject": subject, "text": text}).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "festina", "X-Festina-Id": message.id}
    key = secret(home, channel.secret_env, channel.secret_file)
    if key is not None:  # over time and body, so that an old message cannot be sent again as a new one
        sent = str(int(time.time()))
        mac = hmac.new(key.encode(), sent.encode() + b"." + body, hashlib.sha256).hexdigest()
        headers |= {"X-Festina-Timestamp": sent, "X-Festina-Signature": f"sha256={mac}"}
    request = urllib.request.Request(url, data=body, headers=headers, method="POST")
    opener = urllib.request.build_opener(_NoRedirect(), urllib.request.HTTPSHandler(context=_context(channel, home)))
    with opener.open(request, timeout=STEP_S) as answer:
        if not 200 <= answer.status < 300:
            raise UsageError("notify-refused", f"the endpoint answered {answer.status}")


def _mail(channel: Mail, message: Message, home: Path) -> None:
    password = secret(home, channel.password_env, channel.password_file)
    letter = envelope(channel, message, home)
    start: Callable[..., smtplib.SMTP] = smtplib.SMTP
    options: dict[str, object] = {"timeout": STEP_S}
    if channel.security == "tls":
        start, options["context"] = smtplib.SMTP_SSL, _context(channel, home)
    with start(channel.host, channel.port, **options) as server:
        if channel.security == "starttls":
            server.starttls(context=_context(channel, home))  # raises where the server has none: never in the clear
        if channel.user is not None and password is not None:
            server.login(channel.user, password)
        refused = server.send_message(letter)
    if refused:
        raise UsageError("notify-refused", f"the server refused {len(refused)} of {len(channel.to)} addresses")


def envelope(channel: Mail, message: Message, home: Path) -> EmailMessage:
    """The mail itself. No line end of anybody's gets into a header: the subject is one clean line."""
    subject, text = render(message, home)
    letter = EmailMessage()
    letter["Subject"] = subject
    letter["From"] = channel.sender
    letter["To"] = ", ".join(channel.to)
    letter["Date"] = formatdate()
    letter["Message-ID"] = f"<{message.id}@festina.invalid>"
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(text)
    return letter


def _context(channel: Channel, home: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(home / channel.ca_file) if channel.ca_file else None)
