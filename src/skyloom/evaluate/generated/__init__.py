"""The scorecard of anything generated or translated: is it like the real thing, and is it new?"""

from skyloom.evaluate.generated.card import Scorecard
from skyloom.evaluate.generated.ensembles import judge
from skyloom.evaluate.generated.pairs import judge_pairs

__all__ = ["Scorecard", "judge", "judge_pairs"]
