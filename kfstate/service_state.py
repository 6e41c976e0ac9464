"""The five states of a KF session, shared by every stage of the flow."""

import enum

__all__ = ["KfServiceState"]


class KfServiceState(enum.IntEnum):
    """State of a session (会话状态), as ``service_state/get`` spells it (WeCom pages 94669 and 94698)."""

    UNTREATED = 0
    """未处理 (new session, nobody has it yet); ``KfServiceStateUntreated``."""
    ROBOT = 1
    """由智能助手接待 (served by the assistant, that is by the API); ``KfServiceStateRobotReception``."""
    QUEUE = 2
    """待接入池排队中 (waiting in the pool for a servicer); ``KfServiceStateInQueue``."""
    MANUAL = 3
    """由人工接待 (served by a servicer); ``KfServiceStateManualReception``."""
    FINISHED = 4
    """已结束/未开始 (ended, or not started); ``KfServiceStateFinished``."""

    @property
    def word(self) -> str:
        """The state as kfstate's JSON spells it: ``untreated``, ``robot``, ``queue``, ``manual``, ``finished``."""
        return self.name.lower()

    @classmethod
    def word_of(cls, number: int) -> str:
        """Return the word of a number, or the number, where no state has it."""
        return cls(number).word if number in list(cls) else str(number)

    @property
    def label(self) -> str:
        """The official Chinese term."""
        return _LABELS[self]


_LABELS = {
    KfServiceState.UNTREATED: "未处理",
    KfServiceState.ROBOT: "由智能助手接待",
    KfServiceState.QUEUE: "待接入池排队中",
    KfServiceState.MANUAL: "由人工接待",
    KfServiceState.FINISHED: "已结束/未开始",
}
