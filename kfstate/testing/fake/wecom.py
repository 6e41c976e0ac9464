"""The fake server as a whole."""

import importlib
from types import TracebackType
from typing import TYPE_CHECKING, Literal, Self

from kfstate.clock import Clock, SystemClock
from kfstate.testing.fake.calls import CALLS
from kfstate.testing.fake.codes import fresh
from kfstate.testing.fake.faces import Account, Customer, ServerState
from kfstate.testing.fake.facts import OpenFacts
from kfstate.testing.fake.misbehaviour import Fault, FaultKind, Misbehaviour
from kfstate.testing.fake.server import Server
from kfstate.testing.fake.world import Call, Change, Desk, Guest, World

if TYPE_CHECKING:
    from kfstate.testing.fake.callbacks import Posted, Poster

__all__ = ["FakeWecom"]


class FakeWecom:
    """An HTTP server that behaves as WeCom's customer service is documented to, or misbehaves as it is seen to.

    ``with`` starts and closes it. Everything may be called from any thread.

    Attributes:
        corp_id: What ``gettoken`` takes as ``corpid``.
    """

    def __init__(
        self,
        *,
        clock: Clock | None = None,
        misbehave: Misbehaviour | None = None,
        open_facts: OpenFacts | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        """Make a server; it answers once it is started.

        Args:
            clock: What time it is: for ``send_time``, 48 hours, codes, tokens, and the ``Date`` of each answer. The
                default is the machine's.
            misbehave: What goes wrong by chance; by default nothing.
            open_facts: How to answer what the documents leave open.
            host: Where to listen.
            port: Where to listen; 0: any that is free.
        """
        self._world = World(clock or SystemClock(), open_facts or OpenFacts(), misbehave or Misbehaviour())
        self._where = (host, port)
        self._server: Server | None = None
        self._poster: Poster | None = None
        self.corp_id = self._world.corp_id

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    @property
    def secret(self) -> str:
        """What ``gettoken`` takes as ``corpsecret``."""
        return self._world.secret

    @property
    def url(self) -> str:
        """Where it listens, in place of ``https://qyapi.weixin.qq.com``."""
        if self._server is None:
            raise RuntimeError("FakeWecom has not been started, or it is closed")
        return self._server.url

    @property
    def calls(self) -> list[Call]:
        """Every call of the API so far, with its errcode and what went wrong; without tokens and secrets."""
        with self._world.lock:
            return list(self._world.calls)

    @property
    def changes(self) -> list[Change]:
        """Every change of a session so far, silent ones included."""
        with self._world.lock:
            return list(self._world.changes)

    @property
    def posted(self) -> "list[Posted]":
        """Every callback so far, with the status of each attempt."""
        return [] if self._poster is None else list(self._poster.posted)

    def start(self) -> Self:
        """Begin to answer."""
        self._server = Server(self._world, *self._where)
        self._server.start()
        return self

    def close(self) -> None:
        """Hang up on everybody and stop; an error of the server's own is raised here."""
        poster, self._poster = self._poster, None
        server, self._server = self._server, None
        if poster is not None:
            self._world.arrived.remove(poster.tell)
            poster.close()
        if server is not None:
            server.close()

    def account(
        self,
        name: str = "客服",
        *,
        manage_privilege: bool = True,
        open_kfid: str | None = None,
        routing: Literal["none", "robot", "queue", "servicer"] | None = None,
        native_welcome: bool = False,
    ) -> Account:
        """Add an account.

        Args:
            name: Its name.
            manage_privilege: Whether it is managed by API (通过API管理). If not, changes and sends are refused, and
                WeCom routes new sessions by itself.
            open_kfid: Its id; by default a new one.
            routing: Where new sessions go at once, without a word. By default ``OpenFacts.own_routing`` for accounts
                managed by API, a servicer who is receiving for others.
            native_welcome: Whether the console has a welcome message; then no code is given for one.
        """
        world = self._world
        with world.lock:
            chosen = open_kfid or fresh("wk", f"{world.tag}/account/{len(world.desks)}", 32)
            own = world.facts.own_routing if manage_privilege else "servicer"
            world.desks[chosen] = Desk(
                open_kfid=chosen,
                name=name,
                avatar=f"https://wework.qpic.cn/{chosen}/0",
                managed=manage_privilege,
                routing=routing or own,
                native_welcome=native_welcome,
            )
        return Account(world, chosen)

    def customer(self, external_userid: str | None = None, *, nickname: str = "微信用户") -> Customer:
        """Add a customer."""
        world = self._world
        with world.lock:
            chosen = external_userid or fresh("wm", f"{world.tag}/customer/{len(world.guests)}", 32)
            world.guests.setdefault(chosen, Guest(chosen, nickname))
        return Customer(world, chosen)

    def callback(
        self,
        url: str,
        *,
        token: str,
        aes_key: str,
        agent_id: str = "",
        timeout: float = 5.0,
        pause: float = 0.05,
        check: bool = False,
    ) -> None:
        """Say where encrypted callbacks go (needs ``kfstate[wecom]``); they are tried three times.

        Args:
            url: Where to.
            token: The Token of the console.
            aes_key: The EncodingAESKey of the console, 43 characters.
            agent_id: What stands as ``AgentID`` in the envelope.
            timeout: How long an answer may take, in seconds.
            pause: How long to wait between attempts, in seconds.
            check: Whether to make the GET check first, as the console does; a wrong answer raises ``ValueError``.
        """
        callbacks = importlib.import_module("kfstate.testing.fake.callbacks")  # encryption is an extra
        crypto = importlib.import_module("kfstate.wecom.crypto")
        target = callbacks.Target(url, token, crypto.AesKey(aes_key), timeout, agent_id)
        poster: Poster = callbacks.Poster(self._world, target, pause=pause)
        with self._world.lock:
            before, self._poster = self._poster, poster
            if before is not None:
                self._world.arrived.remove(before.tell)
            self._world.arrived.append(poster.tell)
        if before is not None:
            before.close()
        if check and not poster.check():
            raise ValueError(f"the GET check of {url} was not answered with the decrypted echostr")

    def announce_accounts(self, *, added: tuple[Account, ...] = (), removed: tuple[Account, ...] = ()) -> None:
        """Post ``kf_account_auth_change``."""
        if self._poster is None:
            raise RuntimeError("FakeWecom.callback has not said where to")
        self._poster.announce(added=[one.open_kfid for one in added], removed=[one.open_kfid for one in removed])

    def wait_for_callbacks(self, timeout: float = 10.0) -> bool:
        """Wait until every callback has been tried; tell whether that is so."""
        return self._poster is None or self._poster.wait(timeout)

    def settle(self) -> None:
        """Let happen what is due by now: ends of sessions, late entries. Calls and acts do this first, anyway."""
        with self._world.lock:
            self._world.settle()

    def fail_next(
        self, call: str, kind: FaultKind = "errcode", *, errcode: int = -1, carried_out: bool = False, times: int = 1
    ) -> None:
        """Let the next calls go wrong: ``kind`` as :class:`Fault` says it.

        Args:
            call: Its path below ``/cgi-bin/kf/``, or ``gettoken``.
            kind: What happens.
            errcode: For ``errcode``.
            carried_out: Whether the call is carried out all the same.
            times: How many calls.
        """
        if call != "gettoken" and call not in CALLS:
            raise ValueError(f"FakeWecom knows no call {call!r}")
        fault = Fault(kind, carried_out or kind == "expired_token", errcode if kind == "errcode" else 0)
        with self._world.lock:
            self._world.dice.order(call, fault, times)

    def expire_token(self) -> None:
        """Let the access token expire now: calls get 42001."""
        with self._world.lock:
            self._world.access.expire(self._world.now())

    def exchange_secret(self) -> str:
        """Replace the secret: tokens are invalid (40014), and stored cursors find nothing until they are given up."""
        world = self._world
        with world.lock:
            world.generation += 1
            world.secret = fresh("", f"{world.tag}/secret/{world.generation}", 43)
            world.access.forget()
            return world.secret

    def trust_ip(self, *, trusted: bool) -> None:
        """Say whether the caller's IP is trusted; if not, every call gets 60020."""
        with self._world.lock:
            self._world.ip_trusted = trusted

    def state(self, account: Account, customer: Customer) -> ServerState:
        """Return the server's own truth of a conversation: what ``service_state/get`` would say."""
        return account.state(customer)

    def states(self) -> dict[tuple[str, str], ServerState]:
        """Return the server's own truth of every conversation, by open_kfid and external_userid."""
        with self._world.lock:
            self._world.settle()
            return {
                key: ServerState(talk.session.state, talk.session.servicer) for key, talk in self._world.talks.items()
            }
