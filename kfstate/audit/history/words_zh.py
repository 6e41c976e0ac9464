"""What the rows and guards of the machine say, in Chinese: the sentences of ``machine/table.py``, row by row."""

from kfstate.service_state import KfServiceState

__all__ = ["GUARDS_ZH", "SAYS_ZH"]

_MISSED = "：有变更未被看到"
_LOG = "而日志中为“{before}”（接待人员：{servicer}）"

SAYS_ZH: dict[str, str] = {
    "customer.clicked_after_end": "就目前所知，点击菜单与发消息一样会开启会话",
    "customer.opened": "客户发来消息，会话开启",
    "customer.wrote": "客户在进行中的会话里发言",
    "taken.from_queue": "{to} 从接待池接入了客户",
    "taken.again": "{to} 已在接待",
    "taken.after_presumed_expiry": "{to} 从接待池接入了客户，可见会话并未过期",
    "taken.unexpectedly": "{to} 从接待池接入了客户，" + _LOG + _MISSED,
    "handed_over.again": "{to} 已在接待",
    "handed_over": "{from_} 把客户转接给 {to}",
    "handed_over.after_presumed_expiry": "{from_} 把客户转接给 {to}，可见会话并未过期",
    "handed_over.unexpectedly": "{from_} 转接给 {to}，" + _LOG + _MISSED,
    "ended": "{from_} 结束了会话",
    "ended.unseen": "{from_} 结束了一个此前从未见到的会话",
    "ended.again": "会话已经结束",
    "ended.unexpectedly": "{from_} 结束了会话，" + _LOG + _MISSED,
    "reaccessed": "{to} 重新接入了已结束的会话",
    "reaccessed.again": "{to} 已在接待",
    "reaccessed.from_servicer": "{to} 从 {from_} 处重新接入了客户",
    "reaccessed.after_message": "客户发言之后，{to} 重新接入了会话",
    "reaccessed.unexpectedly": "{to} 从 {from_} 处重新接入了客户，而日志中由 {servicer} 接待" + _MISSED,
    "servicer.wrote": "接待人员发言",
    "servicer.straggled": "{servicer} 开始接待 {age} 秒后 {to} 发言：前一位接待人员的迟到消息",
    "servicer.took_over_silently": "{to} 发言，而日志中由 {servicer} 接待" + _MISSED,
    "servicer.routed_silently": "{to} 发言，而日志中为“{before}”：企业微信分配了客户而没有事件",
    "servicer.after_presumed_expiry": "{to} 仍在发言，可见会话并未过期",
    "servicer.in_unseen_session": "{to} 发言，而日志中为“{before}”：会话的开启未被看到",
    "servicer.wrote_after_end": "{to} 在结束之后发言：企业微信随后会通知重新接入（change_type 4）",
    "changed.to_unknown": "没有这样的 service_state",
    "refused.session_over": "企业微信称会话已结束（95013），而日志中为“{before}”" + _MISSED,
    "refused.session_over.again": "会话已结束（95013）",
    "refused.no_servicer": "{to} 不是接待人员，或未激活（95014）",
    "refused.servicer_rests": "{to} 不在接待中（95019）",
    "refused.window_used_up": "可发送的消息条数已用完（95001）",
    "refused.window_closed": "48 小时的发送窗口已关闭（95002）",
    "refused.transition": "企业微信以其当前状态拒绝变更（95016），日志中为“{before}”",
    "refused.sending": "企业微信以其当前状态拒绝发送（95018），日志中为“{before}”",
    "refused.otherwise": "企业微信拒绝（errcode {errcode}）",
    "sent.assigned_robot": "通过接口发出的消息使客户由智能助手接待",
    "sent": "智能助手回复",
    "sent.unexpectedly": "企业微信接受了在“{before}”下本应拒绝的消息",
    "sent.on_event": "已回复事件",
    "read.unknown": "没有这样的 service_state",
    "corrected.void": "有人将另一条记录作废",
    "enter_session": "客户进入会话，没有发言",
    "user_recall_msg": "客户撤回了消息",
    "servicer_recall_msg": "接待人员撤回了消息",
    "msg_send_fail": "一条消息未送达",
    "reject_customer_msg_switch_change": "接待人员变更了拒收客户消息的开关",
    "servicer_status_change": "接待人员的接待状态变更",
    "system_message": "企业微信的系统消息，不是事件",
    "state_change_intended": "准备变更会话状态",
    "message_intended": "准备发送消息",
    "own_action": "我方进行了其他操作",
    "servicer_reading": "读取了接待人员的状态",
    "account_reading": "读取了客服账号",
    "session_expired": "到期已显式记录",
    "limit_reached": "有人等待过久",
    "machine_activated": "另一个状态机生效",
    "redecoded": "一条记录被重新解码，结果不影响状态",
    "history_gap": "可能有记录永久丢失",
    "reply_lost": "我方调用没有收到回复",
    "expired": "48 小时内没有客户消息",
    "expired.again": "会话已经结束",
    "repeated": "相同 msgid 且事实相同的记录已推导过",
    "voided": "此记录已被人工更正作废",
    "replaced": "此记录已由后来的解码取代",
    "unknown": "没有规则认识此类记录",
    "unknown.event": "没有规则认识此事件",
    "unknown.message": "没有规则认识此消息",
    "unknown.change": "没有规则认识此 change_type",
}
"""Name of a row → its sentence; may use what the English one uses."""

GUARDS_ZH = {
    "menu_click": "客户点击了菜单项",
    "serves": "记录中的接待人员已在接待",
    "served": "记录中交出客户的接待人员正是当前的接待人员",
    "no_other": "记录没有指名，或指名的正是当前的接待人员",
    "just_decided": "状态刚刚确定，前一位接待人员的消息可能仍会到达",
    "unseen": "此前没有任何记录确定过状态",
    "weak_end": "结束并未被看到：是初始状态，或推定过期",
    "presumed_with": "推定过期的会话属于记录中的接待人员（或记录没有指名）",
    "presumed_taken": "推定过期的会话在接待池中排队，或属于记录中的接待人员",
    "presumed_handed_over": "推定过期的会话属于此时交出客户、或刚刚接手的接待人员",
}


def _families() -> None:
    """Add the rows that there are for each state."""
    for state in KfServiceState:
        changed, read = f"changed.to_{state.word}", f"read.{state.word}"
        by = "（接待人员：{to}）" if state is KfServiceState.MANUAL else ""
        SAYS_ZH[f"{changed}.again"] = "状态已经是“{before}”"
        SAYS_ZH[changed] = "我方调用将状态设为“{after}”"
        SAYS_ZH[f"{changed}.after_presumed_expiry"] = "企业微信接受了我方调用，可见会话并未过期"
        SAYS_ZH[f"{changed}.unexpectedly"] = "企业微信接受了从“{before}”到“{after}”的变更，这本应被拒绝" + _MISSED
        SAYS_ZH[read] = "读取到的状态也是“{before}”"
        SAYS_ZH[f"{read}.after_presumed_expiry"] = "读取到的状态为“{after}”，可见会话并未过期"
        SAYS_ZH[f"{read}.instead"] = "读取到的状态为“{after}”" + by + "，" + _LOG + _MISSED
        SAYS_ZH[f"corrected.to_{state.word}"] = "有人将状态设为“{after}”"
    for name in ("0", "1", "2", "01", "012", "0123"):
        states = "、".join(KfServiceState(int(number)).label for number in name)
        GUARDS_ZH[f"presumed_{name}"] = f"推定过期的会话处于：{states}"


_families()
