"""What tables call things, in English and in Chinese."""

from typing import Literal

from kfstate.service_state import KfServiceState

__all__ = ["Lang", "label", "state_label"]

Lang = Literal["zh", "en"]

_CHINESE = {
    # columns
    "abandoned": "排队中放弃",
    "account": "客服账号",
    "actor": "操作者",
    "after": "之后",
    "appended": "新增",
    "before": "之前",
    "by": "依据",
    "chain": "链",
    "check": "检查项",
    "conflicts": "内容冲突",
    "conversations": "会话数",
    "customer": "客户",
    "customer wrote": "客户最后发言",
    "deciding entry": "决定性记录",
    "detail": "说明",
    "different": "不一致",
    "doubt": "疑点",
    "duplicates": "重复",
    "ended": "结束",
    "ended by": "结束方式",
    "entries": "记录数",
    "erased": "已抹除",
    "erased names": "已抹除的名称",
    "anchor": "锚点",
    "evidence": "证据",
    "expired": "已过期",
    "expires": "过期时间",
    "fingerprint": "指纹",
    "first": "起",
    "first reply": "首次回复",
    "from": "从",
    "guard": "条件",
    "head": "本版本",
    "in / out": "收 / 发",
    "kind": "类型",
    "last": "止",
    "late": "迟到",
    "machine": "状态机",
    "missing": "缺失的环节",
    "name": "名称",
    "occurred": "发生时间",
    "open sessions": "进行中的会话",
    "opened": "开始",
    "opened by": "开启方式",
    "outcome": "结果",
    "path": "路径",
    "payload": "内容",
    "position": "位置",
    "previous servicer": "上一位接待人员",
    "problems": "问题",
    "queued": "进入排队",
    "queued since": "排队自",
    "reason": "原因",
    "receiving": "接待中",
    "recorded": "入库时间",
    "rejected": "被拒绝",
    "revision": "版本",
    "sends left": "剩余可发",
    "sends until": "可发截止",
    "sends used": "已发",
    "servicer": "接待人员",
    "session": "会话序号",
    "since": "自",
    "source": "来源",
    "state": "状态",
    "status": "结论",
    "stop type": "停止接待方式",
    "stream": "流",
    "synced until": "同步至",
    "taken": "接入",
    "to": "到",
    "transfers": "转接",
    "transition": "转移",
    "trigger": "触发",
    "unknown": "未知",
    "unplaced": "无归属",
    "value": "值",
    "variable": "环境变量",
    "waited": "等待",
    # outcomes
    "confirmed": "确认",
    "ignored": "忽略",
    "moved": "变更",
    "refused": "被拒",
    "repaired": "修复",
    "stayed": "不变",
    # evidence and openings
    "api": "接口调用",
    "correction": "人工更正",
    "event": "事件",
    "initial": "初始",
    "menu_click": "菜单点击",
    "message": "消息",
    "reaccess": "重新接入",
    "reading": "读取",
    "timer": "计时",
    "unseen": "未见",
    # doubts
    "expiry_presumed": "推定过期",
    "first_seen": "首次见到",
    "history_gap": "历史缺口",
    "none": "无",
    "over_48h": "超过48小时",
    "reply_lost": "回复丢失",
    "sent_in_2_3_4": "不应发送时已发送",
    "servicer_wrote_in_4": "结束后接待人员发言",
    # small words
    "no": "否",
    "yes": "是",
    "total": "共",
    "shown": "显示",
    "next page": "下一页",
    "times": "时间",
}


def label(word: str, lang: Lang) -> str:
    """Return a word of kfstate as tables show it; a word without a translation stays as it is."""
    return _CHINESE.get(word, word) if lang == "zh" else word


def state_label(state: KfServiceState, lang: Lang) -> str:
    """Return the state as tables show it: the official Chinese term, or the word of the JSON."""
    return state.label if lang == "zh" else state.word
