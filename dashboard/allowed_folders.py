"""Which folders of this computer the page may use: the samples, Thaw's own data sets, and what THAW_DATA_ROOTS names.

Whoever reaches the page can name folders; the command line can name any, for it runs with its user's own rights.
"""

from pathlib import Path

from core import home
from core.errors import BadData
from core.settings import settings

SAMPLE_DATA = Path(__file__).parents[1] / "sample_data"


def allowed_folders() -> tuple[Path, ...]:
    """The folders of THAW_DATA_ROOTS."""
    return settings().data_roots


def require_allowed(path: Path) -> None:
    """Raises BadData when `path`, links followed, lies in none of the folders that the page may use."""
    try:
        real = path.resolve()
        real.exists()
    except (OSError, ValueError) as error:  # Too long, or with a zero byte in it.
        raise BadData(f"{str(path)!r} can be no path on this computer ({error}).") from error
    if any(
        real.is_relative_to(root) for root in (SAMPLE_DATA.resolve(), home.data_folder().resolve(), *allowed_folders())
    ):
        return
    which = ", ".join(str(root) for root in allowed_folders()) or "none so far"
    raise BadData(
        f"{path} is outside the folders that this page may use. Whoever starts Thaw allows folders by the setting "
        f"THAW_DATA_ROOTS ({which})."
    )
