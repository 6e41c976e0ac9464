"""The feed: the log in order of position, for readers who come back, and for handlers called for each entry."""

from kfstate.feed.events import Event, read_events
from kfstate.feed.face import Feed
from kfstate.feed.own import Projection
from kfstate.feed.projections import Projections
from kfstate.feed.running import Handler, Settings, Subscription
from kfstate.feed.status import DeadLetterView, SubscriptionView

__all__ = [
    "DeadLetterView",
    "Event",
    "Feed",
    "Handler",
    "Projection",
    "Projections",
    "Settings",
    "Subscription",
    "SubscriptionView",
    "read_events",
]
