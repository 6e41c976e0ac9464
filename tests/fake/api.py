"""A bare client of the fake server: it says what it sent and what came back, and knows nothing better."""

from collections.abc import Iterator
from typing import Any

import httpx2

from kfstate.testing import FakeWecom, FrozenClock
from kfstate.testing.fake import Account, Customer

__all__ = ["HOUR", "START", "Api", "Shop"]

HOUR = 3_600
START = 1_740_963_600


class Api:
    """The calls, over real HTTP, with a token fetched once."""

    def __init__(self, wecom: FakeWecom, *, timeout: float = 5.0) -> None:
        self.wecom = wecom
        self.http = httpx2.Client(base_url=f"{wecom.url}/cgi-bin/", timeout=timeout, verify=False)
        self.token = ""

    def close(self) -> None:
        """Give the connections back."""
        self.http.close()

    def gettoken(self) -> dict[str, Any]:
        """Fetch a token."""
        query = {"corpid": self.wecom.corp_id, "corpsecret": self.wecom.secret}
        reply: dict[str, Any] = self.http.get("gettoken", params=query).json()
        self.token = reply.get("access_token", "")
        return reply

    def raw(self, call: str, **body: object) -> httpx2.Response:
        """Make a call and return the response."""
        if not self.token:
            self.gettoken()
        if call == "servicer/list":
            query = {"access_token": self.token} | {name: str(value) for name, value in body.items()}
            return self.http.get(f"kf/{call}", params=query)
        return self.http.post(f"kf/{call}", params={"access_token": self.token}, json=body)

    def __call__(self, call: str, **body: object) -> dict[str, Any]:
        """Make a call and return the reply; an expired token is fetched anew, for time flies here."""
        reply: dict[str, Any] = self.raw(call, **body).json()
        if reply["errcode"] == 42001:
            self.gettoken()
            reply = self.raw(call, **body).json()
        return reply

    def pages(self, open_kfid: str, cursor: str = "", **body: object) -> Iterator[dict[str, Any]]:
        """Yield every page there is; ``has_more`` decides."""
        while True:
            page = self("sync_msg", open_kfid=open_kfid, cursor=cursor, **body)
            assert page["errcode"] == 0, page
            yield page
            cursor = page["next_cursor"]
            if not page["has_more"]:
                return

    def entries(self, open_kfid: str, **body: Any) -> list[dict[str, Any]]:
        """Return everything that can be read."""
        return [entry for page in self.pages(open_kfid, **body) for entry in page["msg_list"]]


class Shop:
    """A server with one account, two servicers, one customer, and a client."""

    def __init__(self, wecom: FakeWecom, clock: FrozenClock, **account: Any) -> None:
        self.wecom, self.clock = wecom, clock
        self.api = Api(wecom)
        self.account: Account = wecom.account("售后", **account)
        for userid in ("zhang", "li"):
            self.account.servicer(userid)
        self.customer: Customer = wecom.customer()

    @property
    def ids(self) -> dict[str, str]:
        """The ids of the conversation, as calls take them."""
        return {"open_kfid": self.account.open_kfid, "external_userid": self.customer.external_userid}

    @property
    def state(self) -> int:
        """What ``service_state/get`` says."""
        state: int = self.get()["service_state"]
        return state

    def get(self) -> dict[str, Any]:
        """Ask ``service_state/get``."""
        return self.api("service_state/get", **self.ids)

    def trans(self, to: int, servicer: str = "") -> dict[str, Any]:
        """Ask for another state."""
        return self.api("service_state/trans", **self.ids, service_state=to, servicer_userid=servicer)

    def send(self, content: str = "您好", **fields: object) -> dict[str, Any]:
        """Send a text."""
        ids = {"touser": self.customer.external_userid, "open_kfid": self.account.open_kfid}
        return self.api("send_msg", **ids, msgtype="text", text={"content": content}, **fields)

    def answer(self, code: str, msgtype: str = "text", **fields: object) -> dict[str, Any]:
        """Send a message for a code."""
        body = {"content": "欢迎"} if msgtype == "text" else {"head_content": "欢迎", "list": []}
        return self.api("send_msg_on_event", code=code, msgtype=msgtype, **{msgtype: body}, **fields)

    def writes(self, content: str = "你好") -> dict[str, Any]:
        """Let the customer write."""
        return self.customer.writes(self.account, content)

    def bring_to(self, state: int, servicer: str = "zhang") -> None:
        """Bring a new session into a state, by calls."""
        self.writes()
        for step in {0: (), 1: (1,), 2: (2,), 3: (3,), 4: (3, 4)}[state]:
            assert self.trans(step, servicer if step == 3 else "")["errcode"] == 0
        assert self.state == state

    def events(self, event_type: str = "session_status_change") -> list[dict[str, Any]]:
        """Return the bodies of all events of a type."""
        entries = self.api.entries(self.account.open_kfid)
        return [entry["event"] for entry in entries if entry.get("event", {}).get("event_type") == event_type]
