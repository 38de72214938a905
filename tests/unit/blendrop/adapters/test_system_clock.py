"""Do leases run out while the machine sleeps?"""

import sys
import time

import pytest

from blendrop.adapters import system_clock


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have one monotonic clock")
def test_elapsed_time_goes_on_while_the_machine_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux has a clock that counts suspension, and several that do not."""
    seconds = {time.CLOCK_BOOTTIME: 180.0}
    monkeypatch.setattr(time, "clock_gettime", lambda clock: seconds.get(clock, 0.0))
    monkeypatch.setattr(time, "monotonic", lambda: 0.0)
    clock = system_clock.SystemClock()
    assert clock.elapsed() == 180.0
