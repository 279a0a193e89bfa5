"""Steps of migrations that SQL alone cannot do, run after the script whose name they bear.

A step stands on its own. Its statements, in `sql/migration_steps/`, are written for the schema of its script, and
it reads and writes the forms of that time itself: what the program stores today may change, and an old database
must still be brought to what the next script expects.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from vigie.storage.database import Session
from vigie.storage.migration_steps.alerts import add_some_alerts
from vigie.storage.migration_steps.progress import Progress
from vigie.storage.migration_steps.stubs_inherit import stubs_inherit

Step = Callable[[Session], Coroutine[Any, Any, Progress | None]]
"""Does some of the work in a transaction; None when nothing is left. It is run again until then."""

OnProgress = Callable[[Progress], object]
"""Called after each part of a step."""

UNFINISHED = "unfinished_migration"
"""The name under which an installation says whose step is not done yet."""


def ignore_progress(_progress: Progress, /) -> None:
    """The callback that does nothing."""


STEPS: Mapping[str, Step] = {"stubs_inherit": stubs_inherit, "alerts": add_some_alerts}
