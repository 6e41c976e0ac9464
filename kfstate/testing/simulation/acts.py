"""What usually happens: the acts of customers, of the routing service and of servicers."""

from kfstate.testing.simulation.dice import pick
from kfstate.testing.simulation.talk import Talk
from kfstate.testing.simulation.words import FAREWELL

__all__ = [
    "assigned",
    "burst",
    "customer_waits",
    "ended_by_service",
    "ends",
    "ends_after_customer",
    "ends_after_farewell",
    "ends_after_message",
    "ends_after_transfer",
    "enters",
    "farewell_after_end",
    "handed_over",
    "handed_over_by_service",
    "menu_click",
    "picked",
    "picked_and_ended",
    "queued",
    "reaccessed",
    "rests",
    "robot_answers_at_once",
    "robot_exchange",
    "robot_takes",
    "servicer_exchange",
    "surveyed",
    "taken_back",
    "thanks",
    "writes_again",
]


def enters(talk: Talk) -> None:
    """Open the chat; sometimes the service greets with the welcome code."""
    rand = talk.rand
    code = f"CODE_{talk.stage.own_id()}" if rand() < 0.5 else None
    channels = {"nickname": "示例视频号", "scene": 1} if rand() < 0.05 else None
    scene = pick(rand, ("oa_menu", "h5_pay", "qrcode", ""))
    talk.happens(
        "enter_session", scene=scene, scene_param=scene and "from%3Dhome", welcome_code=code, wechat_channels=channels
    )
    if code and rand() < 0.7:
        talk.wait(1)
        talk.sends_message("send_msg_on_event")


def writes_again(talk: Talk) -> None:
    """The customer writes once more."""
    talk.wait(20)
    talk.customer_writes()


def menu_click(talk: Talk) -> None:
    """The customer clicks an item of the menu."""
    talk.wait(15)
    talk.customer_writes("人工服务", menu_id=str(101 + int(talk.rand() * 3)))


def robot_takes(talk: Talk) -> None:
    """The service assigns the session to the robot, which answers."""
    talk.wait(1)
    talk.routed(1)
    talk.wait(1)
    talk.sends_message()


def robot_answers_at_once(talk: Talk) -> None:
    """The robot answers in a new session, which assigns it to the robot."""
    talk.wait(1)
    talk.sends_message()


def robot_exchange(talk: Talk) -> None:
    """The customer asks, the robot answers."""
    talk.wait(25)
    talk.customer_writes()
    talk.wait(2)
    talk.sends_message()


def burst(talk: Talk) -> None:
    """The robot writes until the window of five is used up."""
    while talk.sends < 5:
        talk.wait(1)
        talk.sends_message()
    talk.wait(1)
    talk.refused("message_refused", 95001, via="send_msg")


def queued(talk: Talk) -> None:
    """The service puts the session into the pool, mostly with a notice."""
    talk.wait(2)
    talk.routed(2, reason="转人工")
    if talk.rand() < 0.6:
        talk.wait(1)
        talk.sends_message("send_msg_on_event")


def assigned(talk: Talk) -> None:
    """The service names a servicer."""
    talk.wait(3)
    talk.routed(3, talk.colleague())


def customer_waits(talk: Talk) -> None:
    """The customer writes while waiting in the pool."""
    talk.wait(60)
    talk.customer_writes()


def picked(talk: Talk) -> None:
    """A servicer takes the session from the pool."""
    talk.wait(120)
    servicer = talk.colleague()
    talk.change(1, new=servicer)
    talk.become(3, servicer)


def picked_and_ended(talk: Talk) -> None:
    """A servicer takes the session from the pool and ends it at once."""
    picked(talk)
    talk.wait(1, pull=2.5)
    _end(talk)


def servicer_exchange(talk: Talk) -> None:
    """Servicer and customer write, in either order."""
    rand = talk.rand
    talk.wait(20)
    talk.servicer_writes()
    if rand() < 0.7:
        talk.wait(30)
        talk.customer_writes()


def handed_over(talk: Talk) -> None:
    """The servicer hands over to a colleague; sometimes he still writes after it."""
    talk.wait(20)
    _hand_over(talk)
    if talk.rand() < 0.25:
        talk.wait(2, pull=2)
        talk.servicer_writes(talk.previous)


def handed_over_by_service(talk: Talk) -> None:
    """The service hands the session to another servicer."""
    talk.wait(10)
    talk.routed(3, talk.colleague(), reason="技能组调整")


def taken_back(talk: Talk) -> None:
    """A servicer takes back the session that was handed over."""
    talk.wait(20)
    servicer = talk.previous if talk.previous and talk.previous != talk.servicer else talk.colleague()
    talk.change(4, old=talk.servicer, new=servicer)
    talk.become(3, servicer)


def ends(talk: Talk) -> None:
    """The servicer ends the session."""
    talk.wait(40)
    _end(talk)


def ends_after_message(talk: Talk) -> None:
    """The servicer writes and ends."""
    talk.wait(20)
    talk.servicer_writes()
    talk.wait(3, pull=2.5)
    _end(talk)


def ends_after_farewell(talk: Talk) -> None:
    """The servicer ends, and the closing words come out around the end, before or after it."""
    talk.wait(20)
    words = pick(talk.rand, FAREWELL)
    if talk.rand() < 0.5:
        talk.servicer_writes(content=words)
        talk.wait(2, pull=2.5)
        _end(talk)
    else:
        servicer = talk.servicer
        _end(talk)
        talk.wait(2, pull=2.5)
        talk.servicer_writes(servicer, words)


def ends_after_transfer(talk: Talk) -> None:
    """A colleague receives the session and ends it at once."""
    talk.wait(20)
    _hand_over(talk)
    talk.wait(2, pull=2.5)
    _end(talk)


def ends_after_customer(talk: Talk) -> None:
    """The customer writes at the very moment of the end, before or after it."""
    talk.wait(20)
    if talk.rand() < 0.6:
        talk.customer_writes("好的，谢谢")
        talk.wait(2, pull=2.5)
        _end(talk)
    else:
        _end(talk)
        talk.wait(2, pull=2.5)
        talk.customer_writes("等一下")


def ended_by_service(talk: Talk) -> None:
    """The service ends the session, from whatever state it is in."""
    talk.wait(60)
    talk.routed(4, reason="已解决")


def farewell_after_end(talk: Talk) -> None:
    """Closing words come out after the end."""
    talk.wait(3, pull=2)
    talk.servicer_writes(talk.previous, pick(talk.rand, FAREWELL))


def surveyed(talk: Talk) -> None:
    """The service sends the survey of the end; some customers click it, which opens a session."""
    talk.wait(3)
    talk.sends_message("send_msg_on_event")
    if talk.rand() < 0.5:
        menu_click(talk)


def reaccessed(talk: Talk) -> None:
    """A servicer writes to the customer again, which takes the session back: message and event in either order."""
    talk.wait(600)
    servicer = talk.previous or talk.colleague()
    if talk.rand() < 0.3:
        servicer = talk.colleague()
    old = talk.previous or servicer
    if talk.rand() < 0.7:
        talk.servicer_writes(servicer)
        talk.wait(1, pull=2)
        talk.change(4, old=old, new=servicer)
    else:
        talk.change(4, old=old, new=servicer)
        talk.wait(1, pull=2)
        talk.servicer_writes(servicer)
    talk.become(3, servicer)


def thanks(talk: Talk) -> None:
    """The customer writes after the end, which opens the next session."""
    talk.wait(90)
    talk.customer_writes("谢谢")


def rests(talk: Talk) -> None:
    """Nothing more happens for now."""
    talk.over = True


def _end(talk: Talk) -> None:
    talk.change(3, old=talk.servicer)
    talk.become(4)


def _hand_over(talk: Talk) -> None:
    servicer = talk.colleague()
    talk.change(2, old=talk.servicer, new=servicer)
    talk.become(3, servicer)
