"""The words of the report, in Chinese; and what is said in more than a word, in both languages."""

__all__ = ["SAID", "WORDS"]

SAID = {
    "how to check": (
        "The log is a chain of hashes: whoever has the anchor of this report can have the log verified against it "
        "(kfstate verify --expect ANCHOR), at any time: it shows whether an entry up to there was changed, removed or "
        "put in since. Each entry's leaf is a hash over all that was stored of it; the chain of an entry is a hash "
        "over the chain before and the leaf. docs/reference/chain.md says how they are made, to the byte."
    ),
}
"""What is said in whole sentences, in English."""

WORDS = {
    "how to check": (
        "日志是一条哈希链：持有本报告的锚点，随时可以据此校验日志（kfstate verify --expect 锚点），"
        "从而得知此前的记录是否被修改、删除或插入。每条记录的叶是对其全部入库内容的哈希；"
        "记录的链值是对前一链值与叶的哈希。计算方法见 docs/reference/chain.md，精确到字节。"
    ),
    # headings
    "report": "会话审计报告",
    "question": "问题",
    "answer": "结论",
    "states over time": "状态随时间的变化",
    "sessions": "会话",
    "servicers": "接待人员",
    "what did not fit": "异常与修复",
    "every step": "逐条记录",
    "proof": "完整性证明",
    # facts
    "Beijing time": "北京时间",
    "account": "客服账号",
    "customer": "客户",
    "until": "截至",
    "known up to position": "已知至位置",
    "stored by": "入库于",
    "machine": "状态机版本",
    "made": "报告生成于",
    "times": "时间",
    "state": "状态",
    "since": "自",
    "servicer": "接待人员",
    "session": "会话序号",
    "evidence": "证据",
    "doubt": "疑点",
    "deciding entry": "决定性记录",
    "not known then": "当时尚无任何记录",
    "erased": "已抹除",
    "log": "日志",
    "verification": "校验",
    "not asked for": "未要求",
    "broken at position": "损坏，位置",
    "whole, positions": "完整，位置",
    "anchor": "锚点",
    "published head": "日志头（供发布）",
    "payloads erased": "已抹除内容的记录数",
    # columns
    "abandoned": "排队中放弃",
    "by whom": "操作者",
    "chain": "链值",
    "customer's first message": "客户首条消息",
    "customer's messages": "客户消息数",
    "ended": "结束",
    "ended by": "结束方式",
    "entry": "记录位置",
    "first reply": "首次回复",
    "first robot reply": "首次机器人回复",
    "from": "从",
    "happened": "发生时间",
    "kind": "类型",
    "last message by": "最后发言",
    "lasted": "持续",
    "leaf": "叶",
    "opened": "开始",
    "opened by": "开启方式",
    "outcome": "结果",
    "presumed": "推定",
    "presumed end": "48 小时内没有客户消息，推定会话已过期",
    "queued at": "进入排队",
    "repairs": "修复次数",
    "said": "内容",
    "sends": "接口发送数",
    "servicers' messages": "接待人员消息数",
    "stored": "入库时间",
    "taken": "接入",
    "to": "到",
    "transfers": "转接次数",
    "waited": "排队时长",
    "why": "原因",
    "yes": "是",
    "no": "否",
    # outcomes
    "moved": "变更",
    "stayed": "不变",
    "confirmed": "确认",
    "repaired": "修复",
    "refused": "被拒",
    "ignored": "忽略",
    "unknown": "未知",
    # evidence, openings, ends, who wrote
    "event": "事件",
    "api": "接口调用",
    "reading": "读取",
    "message": "消息",
    "timer": "计时",
    "correction": "人工更正",
    "initial": "初始",
    "menu_click": "菜单点击",
    "reaccess": "重新接入",
    "unseen": "未见",
    "expiry": "推定过期",
    "refusal": "接口拒绝",
    # doubts
    "none": "无",
    "first_seen": "首次见到",
    "expiry_presumed": "推定过期",
    "over_48h": "超过 48 小时",
    "sent_in_2_3_4": "不应发送时已发送",
    "servicer_wrote_in_4": "结束后接待人员发言",
    "history_gap": "历史缺口",
    "reply_lost": "回复丢失",
}
"""Word → in Chinese."""
