"""Holds the content of a report as plain rows."""

from dataclasses import dataclass, field


def _check_accuracy(accuracy: float | None) -> None:
    if accuracy is not None and (accuracy < 0 or accuracy > 1):
        raise ValueError(f"accuracy is a fraction in [0, 1], got {accuracy}.")


@dataclass(frozen=True, kw_only=True)
class Winner:
    """A winning network."""

    name: str
    predicted_ms: float
    accuracy: float | None = None  # a fraction; None: not known
    measured_ms: float | None = None  # None: never measured on the device
    blocks: tuple[str, ...] = ()  # one text per block
    command: str = ""  # what a reader types to get this network again

    def __post_init__(self) -> None:
        _check_accuracy(self.accuracy)


@dataclass(frozen=True, kw_only=True)
class LatencyPoint:
    """One network, predicted and (unless None) measured."""

    label: str
    group: str  # e.g. "calibration", "evaluation", "validation"
    predicted_ms: float
    measured_ms: float | None
    round: int | None = None  # of the search, after which it was measured


@dataclass(frozen=True, kw_only=True)
class FrontPoint:
    """One network in the plane of accuracy and latency."""

    label: str
    accuracy: float
    latency_ms: float
    measured: bool  # whether latency_ms comes from the device rather than from a predictor
    on_front: bool
    answers: bool = False  # the best at one of the targets

    def __post_init__(self) -> None:
        _check_accuracy(self.accuracy)


@dataclass(frozen=True, kw_only=True)
class Front:
    """The networks that a search found, with its targets."""

    points: tuple[FrontPoint, ...]
    targets_ms: tuple[float, ...] = ()
    expected: bool = False  # accuracies are what all evaluations together say, not single ones


@dataclass(frozen=True, kw_only=True)
class RewardPoint:
    """One round of a search."""

    round: int
    mean_reward: float | None
    best_reward: float | None
    entropy: float | None = None  # of the controller's choices, in nats


@dataclass(frozen=True, kw_only=True)
class RewardHistory:
    """A search over time."""

    points: tuple[RewardPoint, ...]
    validations: tuple[int, ...] = ()  # rounds after which candidates were measured on the device


@dataclass(frozen=True, kw_only=True)
class TableRow:
    """One layer of a latency table."""

    label: str
    signature: str
    latency_ms: float | None
    spread: float | None  # between rounds, as a fraction of the latency
    n_rounds: int
    converged: bool  # whether the rounds agree
    share: float | None = None  # a fraction; the table says of what


@dataclass(frozen=True, kw_only=True)
class TableSection:
    """A latency table; thousands of rows are fine."""

    rows: tuple[TableRow, ...]
    share_name: str = "Share of a random network's time"


@dataclass(frozen=True, kw_only=True)
class ConditionPoint:
    """Conditions of a device at one moment of measuring; None: not known."""

    happened: float  # seconds since 1970
    hottest_c: float | None = None  # of the processor's thermal zones, if any is known as such
    battery_c: float | None = None
    battery_percent: float | None = None
    clock_ghz: float | None = None  # of the measured core
    load: float | None = None  # programs that ran or waited
    steal_ticks: float | None = None  # that the hypervisor kept from this computer
    # Of the model that is measured now and then; a fraction of its first latencies, 0: no change.
    sentinel_change: float | None = None


@dataclass(frozen=True, kw_only=True)
class JournalEntry:
    """Something that happened while measuring."""

    happened: float  # seconds since 1970
    text: str


@dataclass(frozen=True, kw_only=True)
class ConditionsSection:
    """Conditions of the device while it was measured."""

    summary: tuple[str, ...] = ()  # in plain sentences
    points: tuple[ConditionPoint, ...] = ()
    alarm_change: float | None = None  # a sentinel's change beyond which there was an alarm
    journal: tuple[JournalEntry, ...] = ()  # oldest first
    n_earlier: int = 0  # entries of the journal that are left out


@dataclass(frozen=True, kw_only=True)
class ExplainedLayer:
    """The milliseconds that one layer adds to a prediction."""

    place: str
    label: str
    latency_ms: float
    measured: bool  # rather than estimated
    low_ms: float | None = None  # None: not known how wrong it may be
    high_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class ExplainedNetwork:
    """A prediction, layer by layer, in the network's order."""

    name: str
    latency_ms: float
    coverage: float  # of the bounds, a fraction
    layers: tuple[ExplainedLayer, ...]

    @property
    def slowest_ms(self) -> float:
        """Length of the longest bar of the layers."""
        return max((layer.latency_ms for layer in self.layers), default=0.0)


@dataclass(frozen=True, kw_only=True)
class ReportPage:
    """Everything a report says. What is left empty leaves no trace on the page."""

    title: str
    headline: tuple[str, ...] = ()  # what was found, in plain sentences; shown first and large
    warnings: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()  # (name, value): device, configuration, seed, date, ...
    winners: tuple[Winner, ...] = ()
    explained: tuple[ExplainedNetwork, ...] = ()
    latency_points: tuple[LatencyPoint, ...] = ()
    front: Front = field(default_factory=lambda: Front(points=()))
    rewards: RewardHistory = field(default_factory=lambda: RewardHistory(points=()))
    conditions: ConditionsSection = field(default_factory=ConditionsSection)
    table: TableSection = field(default_factory=lambda: TableSection(rows=()))
