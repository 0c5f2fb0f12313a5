"""Which folders of this computer the page may use: the samples, Thaw's own data sets, and what THAW_DATA_ROOTS names.

Everybody who reaches the page can name folders. The command line may use any, because it runs with its user's rights.
"""

from pathlib import Path

from core import home
from core.errors import BadData
from core.messages import Message
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
        template = "{path} can be no path on this computer ({cause})."
        raise BadData(template, path=repr(str(path)), cause=str(error)) from error
    named = allowed_folders()
    if any(real.is_relative_to(root) for root in (SAMPLE_DATA.resolve(), home.data_folder().resolve(), *named)):
        return
    template = (
        "{path} is outside the folders that this page may use. Whoever starts Thaw allows folders by the setting "
        "THAW_DATA_ROOTS ({folders})."
    )
    raise BadData(template, path=path, folders=named or Message("none so far"))
