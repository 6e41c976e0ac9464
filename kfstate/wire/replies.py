"""What the calls of the KF API answer. A reply with an ``errcode`` is a reply all the same, and never an error here."""

from types import MappingProxyType

import attrs

from kfstate.service_state import KfServiceState
from kfstate.wire.events import KfWechatChannels
from kfstate.wire.model import WireModel, zero_one
from kfstate.wire.models import KfAccount, KfMsg, KfServicer, KfServicerResult

__all__ = [
    "REPLIES",
    "AccountAddReply",
    "AccountListReply",
    "ContactWayReply",
    "CorpStatisticItem",
    "CorpStatisticReply",
    "CustomerBatchgetReply",
    "EnterSessionContext",
    "GroupchatRange",
    "KfCorpStatistic",
    "KfCustomer",
    "KfReply",
    "KfServicerStatistic",
    "KnowledgeGroupReply",
    "KnowledgeIntentReply",
    "MemberRange",
    "SendMsgReply",
    "ServiceStateReply",
    "ServicerListReply",
    "ServicerResultReply",
    "ServicerStatisticItem",
    "ServicerStatisticReply",
    "SyncMsgPage",
    "TransReply",
    "UpgradeServiceConfigReply",
]


@attrs.frozen(kw_only=True, slots=False)
class KfReply(WireModel):
    """What every call answers; the whole answer of those that only say whether they worked."""

    errcode: int | None = None
    errmsg: str | None = None

    @property
    def ok(self) -> bool:
        """Whether WeCom accepted the call: ``errcode`` 0."""
        return self.errcode == 0


@attrs.frozen(kw_only=True, slots=False)
class SyncMsgPage(KfReply):
    """Page of ``sync_msg`` with its entries read; :func:`kfstate.wire.split_page` gives their exact bytes instead.

    ``has_more`` comes as 0, 1 or a boolean, and may be true although ``msg_list`` is empty.
    """

    next_cursor: str | None = None
    has_more: bool | None = zero_one()
    msg_list: tuple[KfMsg, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class ServiceStateReply(KfReply):
    """``service_state/get``: ``servicer_userid`` says something in state 3 only."""

    service_state: KfServiceState | int | None = None
    servicer_userid: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class TransReply(KfReply):
    """``service_state/trans``: ``msg_code`` comes with the first change to 2 or 3, and with a change to 4."""

    msg_code: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class SendMsgReply(KfReply):
    """``send_msg`` and ``send_msg_on_event``: success does not mean delivered; ``msg_send_fail`` tells."""

    msgid: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class ServicerResultReply(KfReply):
    """``servicer/add`` and ``servicer/del``."""

    result_list: tuple[KfServicerResult, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class ServicerListReply(KfReply):
    """``servicer/list``."""

    servicer_list: tuple[KfServicer, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class AccountListReply(KfReply):
    """``account/list``."""

    account_list: tuple[KfAccount, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class AccountAddReply(KfReply):
    """``account/add``."""

    open_kfid: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class ContactWayReply(KfReply):
    """``add_contact_way``: the developer appends ``scene_param`` (url-encoded, at most 128 bytes) to ``url``."""

    url: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class EnterSessionContext(WireModel):
    """How a customer last entered; in ``customer/batchget`` when asked for."""

    scene: str | None = None
    scene_param: str | None = None
    wechat_channels: KfWechatChannels | None = None


@attrs.frozen(kw_only=True, slots=False)
class KfCustomer(WireModel):
    """Customer (客户). ``gender``: 0 unknown, 1 male, 2 female."""

    external_userid: str | None = None
    nickname: str | None = None
    avatar: str | None = None
    gender: int | None = None
    unionid: str | None = None
    enter_session_context: EnterSessionContext | None = None


@attrs.frozen(kw_only=True, slots=False)
class CustomerBatchgetReply(KfReply):
    """``customer/batchget``."""

    customer_list: tuple[KfCustomer, ...] = ()
    invalid_external_userid: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class MemberRange(WireModel):
    """Members who may be recommended when the service is upgraded."""

    userid_list: tuple[str, ...] = ()
    department_id_list: tuple[int, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class GroupchatRange(WireModel):
    """Group chats that may be recommended when the service is upgraded."""

    chat_id_list: tuple[str, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class UpgradeServiceConfigReply(KfReply):
    """``customer/get_upgrade_service_config``."""

    member_range: MemberRange | None = None
    groupchat_range: GroupchatRange | None = None


@attrs.frozen(kw_only=True, slots=False)
class KfCorpStatistic(WireModel):
    """Figures of one day of an account, as WeCom counts them (page 95489). Rates are between 0 and 1."""

    session_cnt: int | None = None
    customer_cnt: int | None = None
    customer_msg_cnt: int | None = None
    upgrade_service_customer_cnt: int | None = None
    ai_session_reply_cnt: int | None = None
    ai_transfer_rate: float | None = None
    ai_knowledge_hit_rate: float | None = None
    msg_rejected_customer_cnt: int | None = None


@attrs.frozen(kw_only=True, slots=False)
class CorpStatisticItem(WireModel):
    """One day; ``stat_time`` is its first second."""

    stat_time: int | None = None
    statistic: KfCorpStatistic | None = None


@attrs.frozen(kw_only=True, slots=False)
class CorpStatisticReply(KfReply):
    """``get_corp_statistic``."""

    statistic_list: tuple[CorpStatisticItem, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class KfServicerStatistic(WireModel):
    """Figures of one day of a servicer, as WeCom counts and spells them. Rates are between 0 and 1."""

    session_cnt: int | None = None
    customer_cnt: int | None = None
    customer_msg_cnt: int | None = None
    reply_rate: float | None = None
    first_reply_average_sec: float | None = None
    satisfaction_investgate_cnt: int | None = None
    satisfaction_participation_rate: float | None = None
    satisfied_rate: float | None = None
    middling_rate: float | None = None
    dissatisfied_rate: float | None = None
    upgrade_service_customer_cnt: int | None = None
    upgrade_service_member_invite_cnt: int | None = None
    upgrade_service_member_customer_cnt: int | None = None
    upgrade_service_groupchat_invite_cnt: int | None = None
    upgrade_service_groupchat_customer_cnt: int | None = None
    msg_rejected_customer_cnt: int | None = None


@attrs.frozen(kw_only=True, slots=False)
class ServicerStatisticItem(WireModel):
    """One day; ``stat_time`` is its first second."""

    stat_time: int | None = None
    statistic: KfServicerStatistic | None = None


@attrs.frozen(kw_only=True, slots=False)
class ServicerStatisticReply(KfReply):
    """``get_servicer_statistic``."""

    statistic_list: tuple[ServicerStatisticItem, ...] = ()


@attrs.frozen(kw_only=True, slots=False)
class KnowledgeGroupReply(KfReply):
    """``knowledge/add_group``."""

    group_id: str | None = None


@attrs.frozen(kw_only=True, slots=False)
class KnowledgeIntentReply(KfReply):
    """``knowledge/add_intent``."""

    intent_id: str | None = None


REPLIES: MappingProxyType[str, type[KfReply]] = MappingProxyType(
    {
        "sync_msg": SyncMsgPage,
        "send_msg": SendMsgReply,
        "send_msg_on_event": SendMsgReply,
        "recall_msg": KfReply,
        "service_state/get": ServiceStateReply,
        "service_state/trans": TransReply,
        "servicer/add": ServicerResultReply,
        "servicer/del": ServicerResultReply,
        "servicer/list": ServicerListReply,
        "account/add": AccountAddReply,
        "account/del": KfReply,
        "account/update": KfReply,
        "account/list": AccountListReply,
        "add_contact_way": ContactWayReply,
        "customer/batchget": CustomerBatchgetReply,
        "customer/get_upgrade_service_config": UpgradeServiceConfigReply,
        "customer/upgrade_service": KfReply,
        "customer/cancel_upgrade_service": KfReply,
        "get_corp_statistic": CorpStatisticReply,
        "get_servicer_statistic": ServicerStatisticReply,
        "get_corp_qualification": KfReply,
        "knowledge/add_group": KnowledgeGroupReply,
        "knowledge/add_intent": KnowledgeIntentReply,
    }
)
"""The reply of each call, by its path below ``/cgi-bin/kf/``; ``KfReply`` where nothing more is known."""
