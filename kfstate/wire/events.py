"""The body of an event (page 94670, section "事件")."""

import attrs

from kfstate.wire.enums import (
    KfChangeType,
    KfChannelsScene,
    KfEventServicerStatus,
    KfEventType,
    KfFailType,
    KfRejectSwitch,
    KfStopType,
)
from kfstate.wire.model import WireModel

__all__ = ["KfEvent", "KfWechatChannels"]


@attrs.frozen(kw_only=True, slots=False)
class KfWechatChannels(WireModel):
    """Where in Channels the customer came from (进入会话的视频号信息).

    ``nickname`` comes with scene 1, 2 and 3, ``shop_nickname`` with 4 and 5. One SDK types ``scene`` as a string.
    """

    nickname: str | None = None
    shop_nickname: str | None = None
    scene: KfChannelsScene | int | str | None = None


@attrs.frozen(kw_only=True, slots=False)
class KfEvent(WireModel):
    """Event of an account or a conversation (客服会话事件).

    Which fields are there depends on ``event_type``:

    =================================  =============================================================================
    enter_session                      scene, scene_param, welcome_code (first welcome in 48 h only), wechat_channels
    msg_send_fail                      fail_msgid, fail_type
    servicer_status_change             servicer_userid, status, stop_type; no external_userid
    session_status_change              change_type, old_servicer_userid (2, 3, 4), new_servicer_userid (1, 2, 4),
                                       msg_code (1, 3)
    user_recall_msg                    recall_msgid
    servicer_recall_msg                recall_msgid, servicer_userid
    reject_customer_msg_switch_change  servicer_userid, reject_switch
    =================================  =============================================================================
    """

    event_type: KfEventType | str | None = None
    open_kfid: str | None = None
    external_userid: str | None = None
    servicer_userid: str | None = None
    scene: str | None = None
    scene_param: str | None = None
    welcome_code: str | None = None
    wechat_channels: KfWechatChannels | None = None
    fail_msgid: str | None = None
    fail_type: KfFailType | int | None = None
    status: KfEventServicerStatus | int | None = None
    stop_type: KfStopType | int | None = None
    change_type: KfChangeType | int | None = None
    old_servicer_userid: str | None = None
    new_servicer_userid: str | None = None
    msg_code: str | None = None
    recall_msgid: str | None = None
    reject_switch: KfRejectSwitch | int | None = None

    @property
    def receiving(self) -> bool | None:
        """Whether the servicer receives customers now; None where ``status`` does not say.

        The same word as :attr:`KfServicer.receiving`, though the event counts 1 and 2 and the list 0 and 1.
        """
        return _RECEIVING.get(self.status)

    @property
    def rejected(self) -> bool | None:
        """Whether the servicer refuses the customer's messages now; None where ``reject_switch`` does not say.

        2 counts as cancelled: one project reports it in the place of 0.
        """
        return _REJECTED.get(self.reject_switch)


_RECEIVING: dict[int | None, bool] = {KfEventServicerStatus.RECEIVING: True, KfEventServicerStatus.STOPPED: False}
_REJECTED: dict[int | None, bool] = {KfRejectSwitch.REJECTED: True, KfRejectSwitch.CANCELLED: False, 2: False}
