"""What a page can change: the steps of a review, signed with the reviewer's own key, and a halt.  # R-1, G-5

Each is a plain form. It carries the value that only our pages hold (no other site can send it) and, for a step of a
review, the hash of what was shown: where that is no longer what waits, nothing is signed and the answer is 409. There
is no default, and no form decides about more than one change. What a refused form held stands in it again.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from festina.errors import FestinaError, IntegrityError, UsageError
from festina.ledger.entries import Classification
from festina.loop import holds, reviews
from festina.system import halts
from festina.web import review_view
from festina.web.app import Site, both, number, told
from festina.web.gate import same
from festina.web.render import page

Form = dict[str, str]
FIELDS = 20  # of a form: ours hold fewer


async def form_of(request: Request, site: Site) -> Form:
    """The form's fields. UsageError unless it is one of ours."""
    body = await request.body()
    try:
        found = dict(parse_qsl(body.decode("utf-8"), keep_blank_values=True, max_num_fields=FIELDS))
    except ValueError:
        found = {}
    if not same(found.pop("form", ""), site.door.form):
        raise UsageError("foreign-form", "this form was not made by these pages", fix="load the page again")
    return {name: value.replace("\r\n", "\n") for name, value in found.items()}


def acts(site: Site) -> list[Route]:
    """The addresses that change something, and the pages with their forms."""
    feed = site.feed

    async def queue(request: Request) -> Response:
        return site.answer(request, "review", "Review", lambda: review_view.queue(feed, site.reviewer))

    async def one(request: Request) -> Response:
        return shown(request, site, {}, None)

    async def reviewers(request: Request) -> Response:
        return site.answer(request, "reviewers", "Reviewers", lambda: review_view.people(feed), review_view.intervals)

    async def halt(request: Request) -> Response:
        form = await form_of(request, site)
        by = f"{site.reviewer} (web)" if site.reviewer else halts.user()
        done = await to_thread.run_sync(partial(holds.halt, feed.home, by=by, reason=form.get("reason", "")))
        feed.poll()
        await feed.tell()
        values = site.frame("halted", "Halted") | {"v": done}
        return Response(page("halted.html", values), media_type="text/html")

    steps = {"open": _open, "classify": _classify, "decide": _decide, "withdraw": _withdraw}
    return [
        *both("/review", queue), *both("/reviewers", reviewers), *both("/review/{number:int}", one),
        *(
            Route(f"/review/{{number:int}}/{name}", partial(step, site, act), methods=["POST"])
            for name, act in steps.items()
        ),
        Route("/halt", halt, methods=["POST"]),
    ]  # fmt: skip


def shown(request: Request, site: Site, form: Form, refused: FestinaError | None) -> Response:
    """One review as it stands for its reviewer. Never kept: its clock runs while the ledger stands still."""
    n = request.path_params["number"]
    values = review_view.one(site.feed, n, site.reviewer, number(request, "line") or 0)
    if request.url.path.endswith(".json"):
        return site.json(values)
    status, notice = 200, ""
    if refused is not None:
        status, what, fix, _ = told(refused)
        notice = f"{what}." + (f" What to do: {fix}." if fix else "")
    frame = site.frame("decide", f"Review {n}") | {"v": values, "f": form, "notice": notice}
    return Response(page("decide.html", frame), status, media_type="text/html")


Act = Callable[[Site, int, Form], None]


async def step(site: Site, act: Act, request: Request) -> Response:
    """One step of a review; back to its page, with what was refused and why."""
    form = await form_of(request, site)
    n: int = request.path_params["number"]
    try:
        if not site.reviewer:
            raise UsageError("nobody-decides", "these pages were started without a name", fix="festina web --as NAME")
        act(site, n, form)
    except IntegrityError:
        raise
    except UsageError as error:
        if n not in site.feed.state.reviews:
            raise
        site.feed.poll()
        return shown(request, site, form, error)
    finally:
        site.feed.poll()
        await site.feed.tell()
    return RedirectResponse(f"/review/{n}", 303)


def _open(site: Site, n: int, _: Form) -> None:
    reviews.open_review(review_view.place(site.feed), n, site.reviewer, now=site.now())


def _classify(site: Site, n: int, form: Form) -> None:
    reviews.classify(
        review_view.place(site.feed), n, site.reviewer, confirm=form.get("confirm", ""),
        classification=_word(form), cite=form.get("cite", ""), answer=form.get("answer", ""),
        predicted=_share(form.get("predicted", "")), now=site.now(),
    )  # fmt: skip


def _decide(site: Site, n: int, form: Form) -> None:
    words = {"approve": True, "deny": False}
    if form.get("decision") not in words:
        raise UsageError("no-decision", "neither approve nor deny was chosen", fix="choose one: there is no default")
    reviews.decide(
        review_view.place(site.feed), n, site.reviewer, confirm=form.get("confirm", ""),
        approve=words[form["decision"]], classification=_word(form), reason=form.get("reason", ""), now=site.now(),
    )  # fmt: skip


def _withdraw(site: Site, n: int, form: Form) -> None:
    reviews.withdraw(review_view.place(site.feed), n, site.reviewer, reason=form.get("reason", ""), now=site.now())


def _word(form: Form) -> Classification:
    word = form.get("classification", "")
    for known in review_view.WORDS:
        if word == known:
            return known
    raise UsageError("no-classification", "nothing was chosen for what the change is", fix="choose one of the five")


def _share(text: str) -> float:
    """A probability, as percent from 0 to 100."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 100:
        raise UsageError(
            "bad-prediction", "the probability is not a number from 0 to 100", fix="write 50 for even odds"
        )
    return value / 100
