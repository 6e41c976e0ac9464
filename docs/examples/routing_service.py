"""A routing service: the robot answers, 人工 calls a person, and of those who are free the least busy one serves.

``uvicorn --factory routing_service:service``; settings come from kfstate.toml and the environment.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta, timezone
from typing import Any

from fastapi import FastAPI

from kfstate import (
    Clock,
    ConcurrentChangeError,
    EntryView,
    Event,
    KfServiceState,
    SendRefusedError,
    StateChangeRefusedError,
    SystemClock,
    as_json,
)
from kfstate.wecom import Live, Settings, WaitingLimit

__all__ = ["Router", "service"]

CAPACITY, OVERTIME = 3, 4  # customers that a servicer has at a time; where somebody has waited too long
PATIENCE = 300  # seconds in the pool are too long
FRESH = timedelta(minutes=10)  # who wrote earlier is not answered any more
OPENS, CLOSES, CHINA = time(9), time(21), timezone(timedelta(hours=8))
ANSWERS = {"价格": "价格表：https://example.com/prices", "地址": "上海市黄浦区南京东路 1 号"}

logger = logging.getLogger("routing")


class Router:
    """Decides what becomes of an entry. It may come twice: keys made of its position let nothing be done twice."""

    def __init__(self, live: Live, clock: Clock) -> None:
        self.live, self.engine, self.clock = live, live.engine, clock

    def talk(self, event: Event) -> None:
        """Answer the customer, as long as the answer is still awaited."""
        entry, payload = event.entry, event.entry.payload
        if entry.kind == "state_changed" and payload.get("code"):
            where = payload.get("servicer_userid") and f"{payload['servicer_userid']} 为您服务"
            self.say(entry, where or f"正在排队，您是第 {len(self.engine.queue(entry.open_kfid))} 位", payload["code"])
        elif self.is_old(entry):
            return
        elif entry.kind == "enter_session" and payload["event"].get("welcome_code"):
            self.say(entry, "您好！请直接提问，或回复“人工”", payload["event"]["welcome_code"])
        elif entry.kind == "customer_message" and self.is_with_robot(entry):
            text = payload.get("text", {}).get("content", "")
            answer = next((answer for word, answer in ANSWERS.items() if word in text), None)
            if answer or not self.is_open():
                self.say(entry, answer or f"人工服务时间 {OPENS:%H:%M}-{CLOSES:%H:%M}，请届时再来")
            else:
                self.give(entry, entry.external_userid or "", CAPACITY)

    def dispatch(self, event: Event) -> None:
        """Give those who wait to whoever has become free; who has waited too long, to somebody who is not quite."""
        entry = event.entry
        if not self.is_open():
            return
        waiting = [one.external_userid for one in self.engine.queue(entry.open_kfid) if one.external_userid]
        if entry.kind == "limit_reached":
            if entry.external_userid in waiting:
                self.give(entry, entry.external_userid, OVERTIME)
        elif entry.kind == "servicer_status_change" or any(s.before == "manual" != s.after for s in event.steps):
            for customer in waiting:
                try:
                    if not self.give(entry, customer, CAPACITY):
                        break  # nobody has a place left
                except ConcurrentChangeError as error:  # somebody moves this one: the others still wait
                    logger.info("entry %d: %s", entry.position, error)

    def give(self, entry: EntryView, customer: str, capacity: int) -> bool:
        """Give a customer to the least busy servicer, past those who stopped receiving (95019); else to the pool."""
        try:
            key = f"{entry.position}/{customer}"
            assigned = self.live.assign(entry.open_kfid, customer, capacity=capacity, key=key, actor="router")
        except StateChangeRefusedError as error:  # the customer, or somebody else, was quicker
            logger.info("entry %d: %s", entry.position, error)
            return True
        return assigned.servicer_userid is not None

    def say(self, entry: EntryView, text: str, code: str = "") -> None:
        """Send a text, with a code where we have one."""
        to, message = (entry.open_kfid, entry.external_userid or ""), {"msgtype": "text", "text": {"content": text}}
        key = f"{entry.position}/say"
        try:
            if code:
                self.live.send_on_event(*to, code, message, key=key, actor="router")
            else:
                self.live.send(*to, message, key=key, actor="router")
        except SendRefusedError as error:
            logger.info("entry %d: %s", entry.position, error)

    def is_with_robot(self, entry: EntryView) -> bool:
        """Tell whether it is still our turn: by what the log says now, not when the customer wrote."""
        state = self.engine.state(entry.open_kfid, entry.external_userid or "").service_state
        return state in {KfServiceState.UNTREATED, KfServiceState.ROBOT}

    def is_old(self, entry: EntryView) -> bool:
        """Tell whether nobody waits for an answer any more: the entry is from a backlog."""
        return entry.occurred_at is None or self.now() - entry.occurred_at > FRESH

    def is_open(self) -> bool:
        """Tell whether people are at work."""
        return OPENS <= self.now().astimezone(CHINA).time() < CLOSES

    def now(self) -> datetime:
        """Return the time of the service's clock."""
        return datetime.fromtimestamp(self.clock.now() / 1_000_000, UTC)


def service(settings: Settings | None = None, clock: Clock | None = None) -> FastAPI:
    """Put engine, live side and router together; everything runs while the application does."""
    settings, clock = settings or Settings.load("kfstate.toml"), clock or SystemClock()
    live = Live.of(settings, clock=clock, limits=[WaitingLimit.queued(PATIENCE)])
    engine, router = live.engine, Router(live, clock)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        talk = engine.subscribe("talk", router.talk, start="now", transactional=False)
        dispatch = engine.subscribe("dispatch", router.dispatch, start="now", transactional=False)
        with live, talk, dispatch:
            live.start()
            yield

    app = FastAPI(lifespan=lifespan)
    app.include_router(live.router())

    @app.get("/waiting")
    def waiting() -> Any:
        return as_json(engine.queue())

    return app
