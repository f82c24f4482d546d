"""What the units do against what they were told: the models that follow them, and who has proven to obey."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from controller.estimation.actuator import ActuatorState, CommandHistory, UnitArrays, advance, modelled_output_w
from controller.estimation.dynamics import Dynamics, DynamicsModels
from controller.estimation.reactive_response import ReactiveResponse, initial_reactive, observe_reactive, owed
from controller.estimation.response import LAG_ALLOWANCE, Look, Response, initial_response, observe

Array = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

MOVING_FRAC = 0.005  # of rated power: a commanded move this large
SETTLED_FRAC = 0.005  # model this close to its target counts as settled
MATCH_FRAC = 0.025  # measurement this close to the model confirms it
STALE_CYCLES = 3.0  # a unit that was not heard for this long is not known to sit on its set point
WRITE_CYCLES = 1.5  # what a set point may take from the decision to the device


@dataclass(frozen=True, slots=True)
class UnitMemory:
    """The model of obedient units, what is known of the units' pace, and the proof of their response, in P and in Q."""

    actuator: ActuatorState
    dynamics: Dynamics
    response: Response
    reactive: ReactiveResponse


@dataclass(frozen=True, slots=True)
class Seen:
    """What was read of the units: ``both`` P (first row) and Q, NaN where nothing new; when the newest of all readings
    was taken, what units say they could give (magnitude), their powers by the last estimate, when each was read before,
    how old each unit's readings are beyond their stamps, and what obedient units did at that age (None: nobody's are).
    """

    both: Array
    newest_s: float
    available_w: Array
    output_w: Array
    before_s: Array
    late_s: Array
    modelled_then: Array | None


@dataclass(frozen=True, slots=True)
class UnitView:
    """What the units do against what they were told, one cycle on. P first, then Q, in ``settled``, ``step``,
    ``moving`` and ``modelled``.

    ``settled`` marks units whose power is known to sit on its set point, ``step`` is how far each moved by command
    since the last cycle (W, var), ``moving`` marks those that moved much; ``modelled`` is what obedient units do.
    """

    memory: UnitMemory
    settled: BoolArray
    step: Array
    moving: BoolArray
    modelled: Array


class Obedience:
    """Constants of one site's units; ``reactive`` are the scales that their reactive power is judged on, var."""

    def __init__(self, units: UnitArrays, cycle_s: float) -> None:
        self.units, self.cycle_s, self.models = units, cycle_s, DynamicsModels(units)
        q_scale = np.maximum(units.q_max_var, 0.01 * units.p_rated_w)
        q_match = np.maximum(q_scale, 0.2 * units.p_rated_w)
        self._arrived = SETTLED_FRAC * np.stack([units.p_rated_w, q_scale])
        self._match = MATCH_FRAC * np.stack([units.p_rated_w, q_match])
        self._moving = MOVING_FRAC * units.p_rated_w

    def initial(self, now_s: float) -> UnitMemory:
        """Nobody was told or read anything yet."""
        n = len(self.units.sign)
        open_p = np.where(self.units.is_battery, 0.0, self.units.p_rated_w)
        actuator = ActuatorState(now_s, open_p, np.zeros(n))
        response, reactive = initial_response(self.units), initial_reactive(self.units)
        return UnitMemory(actuator, self.models.initial(now_s), response, reactive)

    def view(self, before: UnitMemory, seen: Seen, history: CommandHistory, held: BoolArray, now_s: float) -> UnitView:
        """One cycle on. ``held`` marks units whose set point (not their nature) decided their output last cycle."""
        units = before.dynamics.of(self.units)
        sample_s = max(seen.newest_s, before.actuator.t_s)
        actuator = advance(before.actuator, sample_s, history, units, seen.output_w)
        response, reactive = self._responses(before, seen, history, units, sample_s, now_s)
        modelled = np.stack([modelled_output_w(actuator, units), actuator.q_var])
        target = np.stack(history.in_force(sample_s - units.latency_s))
        heard = np.isfinite(seen.both[0]) | (now_s - seen.before_s <= STALE_CYCLES * self.cycle_s)
        able: BoolArray = heard & ~response.deaf & (response.limited(now_s) == 0.0)
        both_able = np.stack([able, able & ~reactive.deaf])
        # The model has arrived at its target and no reading contradicts it (NaN does not).
        then = modelled if seen.modelled_then is None else np.where(seen.late_s > 0.0, seen.modelled_then, modelled)
        settled = (np.abs(target - modelled) < self._arrived) & ~(np.abs(seen.both - then) > self._match) & both_able
        settled[0] &= held
        step = np.where(both_able, modelled - self._modelled_before(before, modelled, seen.output_w, held), 0.0)
        could = np.where(response.behind, np.nan, seen.available_w)
        dynamics = self.models.update(before.dynamics, sample_s, history, seen.both[0], could, able, seen.late_s)
        moving = np.abs(step) > self._moving
        memory = UnitMemory(actuator, dynamics, response, reactive)
        return UnitView(memory, settled.ravel(), step.ravel(), moving.ravel(), modelled.ravel())

    def _modelled_before(self, before: UnitMemory, modelled: Array, output_w: Array, held: BoolArray) -> Array:
        """What the models said in the last cycle; a unit that did not follow its own has not moved by command."""
        p_w = modelled_output_w(before.actuator, self.units)
        follows = held & (np.abs(output_w - p_w) < MATCH_FRAC * self.units.p_rated_w)
        return np.stack([np.where(follows, p_w, modelled[0]), before.actuator.q_var])

    def _responses(
        self, before: UnitMemory, seen: Seen, history: CommandHistory, units: UnitArrays, sample_s: float, now_s: float
    ) -> tuple[Response, ReactiveResponse]:
        """Who has shown that it obeys, in P and in Q, by now."""
        slowest, (measured_p, measured_q) = before.dynamics.slowest(self.units), seen.both
        on_the_way_s = LAG_ALLOWANCE * slowest.latency_s + WRITE_CYCLES * self.cycle_s + seen.late_s
        (low_w, low_var), (high_w, high_var) = history.span(sample_s - on_the_way_s, now_s)
        look = Look(measured_p, low_w, high_w, seen.available_w, sample_s - before.actuator.t_s, now_s)
        does_w = np.where(np.isfinite(measured_p), measured_p, seen.output_w)
        told_q = owed(low_var, high_var, does_w, units)
        reactive = observe_reactive(before.reactive, measured_q, *told_q, look.dt_s, slowest)
        return observe(before.response, look, slowest), reactive
