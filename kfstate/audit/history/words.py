"""What a step says, in English and in Chinese."""

from typing import Literal

from kfstate.audit.history.words_zh import GUARDS_ZH, SAYS_ZH
from kfstate.machine import Step
from kfstate.machine.guards import GUARDS
from kfstate.service_state import KfServiceState

__all__ = ["Lang", "sentence_of", "words_of_guard"]

Lang = Literal["en", "zh"]


def sentence_of(step: Step, lang: Lang) -> str:
    """Return why a step is what it is; its servicers are names, not numbers.

    A row that has no Chinese sentence (of a machine that is not of this release) is told in its own.
    """
    says = SAYS_ZH.get(step.row.name) if lang == "zh" else None
    if says is None:
        hops = ", ".join(KfServiceState(state).word for state in step.missing)
        return f"{step.says} (not seen: {hops})" if hops else step.says
    hops = "、".join(KfServiceState(state).label for state in step.missing)
    said = says.format(
        before=KfServiceState(step.before).label,
        after=step.state_after.label,
        servicer=step.servicer_before or "无",
        to=step.entry.servicer_to or "接待人员",
        from_=step.entry.servicer_from or "接待人员",
        errcode=step.entry.errcode,
        age=step.entry.sort_second - (step.state.decided or 0),
    )
    return f"{said}（未见：{hops}）" if hops else said


def words_of_guard(name: str, lang: Lang) -> str:
    """Return what a guard asks."""
    if lang == "zh":
        return GUARDS_ZH.get(name, name)
    return (GUARDS[name].__doc__ or name).splitlines()[0].rstrip(".")
