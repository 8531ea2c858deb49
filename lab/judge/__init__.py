"""From histories to a result: each trial is judged by every checker, then the run by its objectives. Pure."""

from lab.judge.summary import summarise
from lab.judge.trial import judge_trial

__all__ = ["judge_trial", "summarise"]
