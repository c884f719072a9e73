"""What the operator allows sessions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from loki_twisted.agents.interface import Limits
from loki_twisted.model.wire import StartSession
from loki_twisted.sessions.inbox import InputPolicy, OnUnanswered
from loki_twisted.sessions.moments import Patience
from loki_twisted.sessions.queue import Slots


@attrs.frozen(slots=True, kw_only=True)
class LaunchPolicy:
    """
    What the operator allows.

    :ivar loki_dir: Absolute path of the server's own project directory.
    :ivar project_roots: Resolved directories; sessions may work in these and below.
    :ivar max_sessions: How many may be at work at once.
    :ivar limits: Of what each agent may use.
    :ivar max_per_provider: How many of a provider, by its name.
    :ivar max_per_project: How many in one project directory.
    :ivar max_queued: How many more may wait.
    :ivar inputs: What becomes of inputs that nobody answers, unless a session says so itself.
    :ivar patience: How long agents may be silent.
    """

    loki_dir: str
    project_roots: Sequence[str]
    max_sessions: int = 8
    limits: Limits = attrs.field(factory=Limits)
    max_per_provider: Mapping[str, int] = attrs.field(factory=dict)
    max_per_project: int = 1
    max_queued: int = 1000
    inputs: InputPolicy = InputPolicy()
    patience: Patience = Patience()

    @property
    def slots(self) -> Slots:
        """How many sessions may be at work at once, of each kind."""
        return Slots(
            server=self.max_sessions,
            project=self.max_per_project,
            providers=self.max_per_provider,
        )

    @property
    def watched(self) -> Sequence[str]:
        """Directories whose state is watched as long as the server runs, not only for a session."""
        return (self.loki_dir, *self.project_roots)

    def inputs_of(self, wanted: StartSession) -> InputPolicy:
        """What becomes of inputs of a session that nobody answers, as it was asked for."""
        own, options = self.inputs, wanted.options
        said = options.on_unanswered
        return InputPolicy(
            own.on_unanswered if said is None else OnUnanswered(said),
            own.limit_ms if options.input_timeout is None else options.input_timeout,
        )
