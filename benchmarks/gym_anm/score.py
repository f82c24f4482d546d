"""Our planner and dispatch against gym-anm's own policies on ANM6Easy-v0, same seeds, one run.

    python -m venv out/gym-anm
    out/gym-anm/bin/pip install . gym-anm==2.0.1 gymnasium==1.4.0 cvxpy==1.9.3
    out/gym-anm/bin/python benchmarks/gym_anm/score.py [--steps 1000] [--seeds 0,1,2] [--policies ours,...]

Score: discounted return (gamma 0.995) from the reset state, higher is better; mean and standard deviation over the
seeds. The sum is cut after ``--steps`` (gamma^1000 is 0.7 %), so compare only within one run.

What each policy knows. ``mpc-perfect-N`` is told the true loads and generation of the next N steps: an upper bound, not
a rival. ``mpc-constant-N`` takes the present values for the future. Ours is told neither: it forecasts from what it has
seen itself. ``ours`` has watched ``--days`` days of another episode (seed ``TRAINING_SEED``, nothing controlled) before
the first scored step, as a learning agent has trained (the published ones for millions of steps); ``ours-blind`` has
seen nothing before. Both go on learning while they act.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from gym_anm.agents import MPCAgentConstant, MPCAgentPerfect
from gym_anm.envs import ANM6Easy
from planner_policy import PlannerPolicy

GAMMA = 0.995
SLOTS = 96
TRAINING_SEED = 10_000
SAFETY_MARGIN = 0.96

Policy = Any
"""Anything with ``act(env)`` that gives an action."""


def trained(days: int) -> Callable[[Any], Policy]:
    """Our policy after watching so many days of an episode of its own."""

    def make(env: Any) -> Policy:
        policy, school = PlannerPolicy(env), ANM6Easy()
        school.reset(seed=TRAINING_SEED)
        idle = np.zeros(school.action_space.shape)
        for _ in range(days * SLOTS):
            policy.watch(school)
            school.step(np.clip(idle, school.action_space.low, school.action_space.high))
        return policy

    return make


def mpc(kind: Any, steps: int) -> Callable[[Any], Policy]:
    """One of the task's own policies."""
    return lambda env: kind(env.simulator, env.action_space, GAMMA, safety_margin=SAFETY_MARGIN, planning_steps=steps)


def policies(days: int) -> dict[str, Callable[[Any], Policy]]:
    """All policies by name; each is made anew for every seed."""
    return {
        "ours": trained(days),
        "ours-blind": trained(0),
        "mpc-constant-N10": mpc(MPCAgentConstant, 10),
        "mpc-constant-N40": mpc(MPCAgentConstant, 40),
        "mpc-perfect-N40": mpc(MPCAgentPerfect, 40),
    }


def episode(make: Callable[[Any], Policy], seed: int, steps: int) -> tuple[float, float, float, float]:
    """Discounted return, mean energy loss and penalty per step, and ms per decision of one episode."""
    env = ANM6Easy()
    env.reset(seed=seed)
    policy = make(env)
    total, loss, penalty, spent = 0.0, 0.0, 0.0, 0.0
    for k in range(steps):
        started = time.perf_counter()
        action = np.clip(policy.act(env), env.action_space.low, env.action_space.high)
        spent += time.perf_counter() - started
        _, reward, ended, _, _ = env.step(action)
        total += GAMMA**k * reward
        loss, penalty = loss + env.e_loss, penalty + env.penalty
        if ended:
            break
    return total, loss / (k + 1), penalty / (k + 1), 1e3 * spent / (k + 1)


def main() -> None:
    """Parse, run, print."""
    parser = argparse.ArgumentParser(description="ANM6Easy-v0: our planner and dispatch against gym-anm's policies.")
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--days", type=int, default=7, help="days that `ours` watches before")
    parser.add_argument("--policies", help="names, comma separated; default: all")
    args = parser.parse_args()
    chosen = policies(args.days)
    names = args.policies.split(",") if args.policies else list(chosen)
    warnings.filterwarnings("ignore")
    print(f"{'policy':18} {'return':>8} {'sd':>6} {'loss/step':>10} {'penalty/step':>13} {'ms':>6}  per seed")
    for name in names:
        runs = np.array([episode(chosen[name], int(s), args.steps) for s in args.seeds.split(",")])
        mean, returns = runs.mean(axis=0), runs[:, 0]
        each = " ".join(f"{x:.1f}" for x in returns)
        print(
            f"{name:18} {mean[0]:8.1f} {returns.std():6.1f} {mean[1]:10.4f} {mean[2]:13.4f} {mean[3]:6.0f}  {each}",
            flush=True,
        )


if __name__ == "__main__":
    main()
