"""How long does a simulated farm take over a job, cut by the very rules of the real one?

Events are played in the order of their times: workers start as KEDA starts them, take batches from
a queue, render, give tails back, are evicted and replaced. What a frame, a load or a call takes is
given; what becomes of it is counted. All times are in seconds.
"""

import collections
import heapq
import itertools
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from blendrop.domain import batch_sizes

_PEEKED = 32  # messages, as many as a queue shows at once
_ON_ITS_WAY = 5.0  # seconds that a message has before it counts as waiting; as in usecases/split.py


@dataclass(frozen=True)
class Policy:
    """How a job is cut into batches."""

    name: str
    most: int  # frames in a batch
    shrinking: bool = False  # towards the end, for as many workers as there are
    assumed_workers: int = 0  # if the farm was told another number than it has
    target: float = 0.0  # of a batch while others idle; 0: batches are never split


@dataclass(frozen=True)
class World:
    """What the farm is like."""

    workers: int
    warm: bool = False  # every worker is there, and has the scene open
    poll: float = 1.0  # between two looks of an idle worker at the queue
    batch_calls: float = 0.12  # to receive, read and claim a batch, and to end the one before
    look: float = 0.02  # at the queue, whether others idle
    split: float = 0.06  # a read, a transaction, and messages sent beside each other
    load: float = 20.0  # of the scene, once for each worker
    container_start: float = 40.0
    scaler_poll: float = 30.0
    scaler_step: float = 15.0  # between two steps, each of which doubles the workers
    first_step: int = 4  # workers
    evictions: float = 0.0  # of each worker, in an hour; every second one without notice
    lease: float = 60.0
    grace: float = 12.0  # that a frame in hand has after a notice


@dataclass(frozen=True)
class Result:
    """What came of a job."""

    makespan: float
    bound: float  # no farm with these workers can be quicker
    messages: int
    splits: int
    extremes: float  # when the first, the middle and the last frame were there

    @property
    def ratio(self) -> float:
        """The makespan over its bound."""
        return self.makespan / self.bound


@dataclass
class _Worker:
    life: int = 0  # changes when it is evicted: what was due of its past life is not any more
    left: list[int] = field(default_factory=list)  # of its batch; the first one is in hand
    begun: float = 0.0  # when the frame in hand was
    seconds: float = 0.0  # of its batch's frames that are done
    frames: int = 0
    looked: float = 0.0


class SimulatedFarm:
    """One farm, over one job."""

    def __init__(
        self, costs: Sequence[float], policy: Policy, world: World, *, seed: int = 1
    ) -> None:
        self._costs, self._most, self._world = costs, policy.most, world
        self._told = (policy.assumed_workers or world.workers) if policy.shrinking else 0
        self._target = policy.target if self._told > 1 else 0.0
        self._chances = random.Random(seed)  # noqa: S311 it must replay
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()
        # Since when each waits, and its frames.
        self._queue: collections.deque[tuple[float, Sequence[int]]] = collections.deque()
        self._idle: list[_Worker] = []
        self._started = self._open = self._messages = self._splits = 0
        self._done: dict[int, float] = {}
        self._now = 0.0

    def run(self) -> Result:
        """Render the job to its end."""
        costs, world = self._costs, self._world
        planned = batch_sizes.planned(range(len(costs)), most=self._most, workers=self._told)
        self._queue.extend((0.0, batch) for batch in planned)
        self._open = self._messages = len(planned)
        self._scale()
        while len(self._done) < len(costs):
            self._now, _, happen = heapq.heappop(self._events)
            happen()
        return Result(
            makespan=max(self._done.values()),
            bound=lower_bound(costs, world),
            messages=self._messages,
            splits=self._splits,
            extremes=max(self._done[one] for one in (0, len(costs) // 2, len(costs) - 1)),
        )

    def _at(self, time: float, happen: Callable[[], None]) -> None:
        heapq.heappush(self._events, (time, next(self._numbers), happen))

    # Workers come and go.

    def _scale(self) -> None:
        """Start more workers, if there are batches for them, and look again after a step."""
        world = self._world
        wanted = min(world.workers, self._open)
        may = world.workers if world.warm else max(world.first_step, 2 * self._started)
        for _ in range(min(wanted, may) - self._started):
            self._start(self._now + (0.0 if world.warm else world.container_start + world.load))
            self._started += 1
        if self._started < world.workers:
            self._at(self._now + world.scaler_step, self._scale)

    def _start(self, ready: float) -> None:
        worker = _Worker()
        self._at(ready, lambda: self._take(worker, 0))
        if self._world.evictions:
            lasts = self._chances.expovariate(self._world.evictions / 3600)
            self._at(ready + lasts, lambda: self._evict(worker))

    def _evict(self, worker: _Worker) -> None:
        world, left, now = self._world, worker.left, self._now
        worker.life += 1
        worker.left = []
        if worker in self._idle:
            self._idle.remove(worker)
        warned = self._chances.random() < 0.5
        if left:
            ends = worker.begun + self._costs[left[0]]
            if warned and ends <= now + world.grace:
                self._at(ends, lambda: self._finish(left))
            elif warned:
                self._put(left, since=0.0)
            else:  # the lease was renewed when a third of it was over, at the latest
                hidden = world.lease * self._chances.uniform(2 / 3, 1)
                self._at(now + hidden, lambda: self._put(left, since=0.0))
        self._wake()  # it may have been about to take what others can take as well
        noticed = now + self._chances.uniform(0, world.scaler_poll)
        self._start(noticed + world.container_start + world.load)

    def _finish(self, left: list[int]) -> None:
        self._done[left[0]] = self._now
        if left[1:]:
            self._put(left[1:], since=0.0)
        else:
            self._open -= 1

    # Batches are taken, rendered and split.

    def _put(self, batch: Sequence[int], *, since: float) -> None:
        self._queue.append((since, batch))
        self._wake()

    def _wake(self) -> None:
        """Let one of the idle workers, whichever looks next, see that there is a batch."""
        if self._queue and self._idle:
            taker = self._idle.pop(self._chances.randrange(len(self._idle)))
            life = taker.life
            sees = self._now + self._chances.uniform(0, self._world.poll)
            self._at(sees, lambda: self._take(taker, life))

    def _take(self, worker: _Worker, life: int) -> None:
        if worker.life != life:
            return
        if not self._queue:
            self._idle.append(worker)
            return
        _, batch = self._queue.popleft()
        worker.left = list(batch)
        worker.seconds, worker.frames, worker.looked = 0.0, 0, self._now
        self._begin(worker, after=self._world.batch_calls)

    def _begin(self, worker: _Worker, *, after: float) -> None:
        life, frame = worker.life, worker.left[0]
        worker.begun = self._now + after
        self._at(worker.begun + self._costs[frame], lambda: self._rendered(worker, life))

    def _rendered(self, worker: _Worker, life: int) -> None:
        if worker.life != life:
            return
        frame = worker.left.pop(0)
        self._done[frame] = self._now
        worker.seconds += self._costs[frame]
        worker.frames += 1
        if worker.left:
            self._begin(worker, after=self._perhaps_split(worker))
        else:
            self._open -= 1
            self._take(worker, life)

    def _perhaps_split(self, worker: _Worker) -> float:
        """Do what `usecases.split` does; return the seconds that it takes."""
        target, world = self._target, self._world
        tails = batch_sizes.tail(
            worker.left, frame_seconds=worker.seconds / worker.frames, target=target
        )
        between = batch_sizes.seconds_between_looks(target)
        if not target or not tails or self._now - worker.looked < between:
            return 0.0
        worker.looked = self._now
        front = itertools.islice(self._queue, _PEEKED)
        if any(self._now - since >= _ON_ITS_WAY for since, _ in front):
            return world.look
        del worker.left[-sum(map(len, tails)) :]
        self._splits += 1
        self._messages += len(tails)
        self._open += len(tails)
        for tail in tails:
            self._put(tail, since=self._now)
        return world.look + world.split


def lower_bound(costs: Sequence[float], world: World) -> float:
    """Return the least time that any farm with these workers takes over frames of these costs.

    Its workers are there no sooner than the scaler brings them and they have loaded the scene, and
    none is ever evicted; all the work is theirs, and the longest frame is the first one's at best.
    """
    ready = _ready(world, min(world.workers, len(costs)))
    work, best = sum(costs), math.inf
    for number, waited in enumerate(itertools.accumulate(ready), 1):
        best = min(best, max((work + waited) / number, ready[number - 1]))
    return max(best, ready[0] + max(costs))


def _ready(world: World, wanted: int) -> list[float]:
    if world.warm:
        return [0.0] * wanted
    ready: list[float] = []
    for step in itertools.count():
        more = min(wanted, max(world.first_step, 2 * len(ready))) - len(ready)
        if not more:
            return ready
        ready += [step * world.scaler_step + world.container_start + world.load] * more
    raise AssertionError
