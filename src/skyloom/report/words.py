"""How scores are called on the page and in figures."""

from __future__ import annotations

_TITLES = {
    "r2": "R²",
    "rmse": "RMSE",
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "skill": "gain over per-pixel regression",
    "power_ratio": "P(k) ratio",
    "total": "total, translated / true",
    "crps": "ranked probability score / constant's error",
    "spread_error": "spread of draws / their error",
    "draw_power_ratio": "P(k) ratio of one draw",
    "total_error": "error of the total, relative",
    "profile_error": "mass in the wrong ring, relative",
    "growth_error": "largest error of the cumulative profile",
    "asymmetry_error": "error of the asymmetry",
    "clumpiness_error": "error of the clumpiness",
    "centre_offset": "distance of the centres of mass [box unit]",
    "chi2": "reduced χ²",
    "pull": "bias / σ",
    "coverage_68": "inside 68\u00a0%",
    "coverage_95": "inside 95\u00a0%",
    "set_size_95": "classes in a 95\u00a0% set",
    "one_vs_rest": "one-versus-rest accuracy",
    "f1": "F1",
    "log_loss": "log loss",
    "brier": "Brier score",
    "ece": "calibration error (ECE)",
}


def score_title(name: str) -> str:
    """A score's name in words.

    Example:
        >>> score_title("r2"), score_title("balanced_accuracy")
        ('R²', 'balanced accuracy')
    """
    return _TITLES.get(name, name.replace("_", " "))


def score_label(name: str) -> str:
    """A score's name as Matplotlib text.

    Example:
        >>> score_label("r2"), score_label("f1")
        ('$R^2$', 'F1')
    """
    return "$R^2$" if name == "r2" else score_title(name)
