"""From the configuration's values to the rules of the door and of an attempt at it.

The web process does without them and without the rooms behind them: 0.8 MB (measured).
"""

from __future__ import annotations

from doorctl.access.day import DayRules
from doorctl.access.messages import Rules
from doorctl.access.pin_pad import PadRules
from doorctl.bootstrap.rules import access_policy, ask_s
from doorctl.config import Config
from doorctl.door.leaf_messages import LeafRules
from doorctl.doorway import DoorRules


def door_rules(config: Config) -> DoorRules:
    """Return how the door itself behaves."""
    door, gpio = config.door, config.gpio
    return DoorRules(
        release_s=door.release_s,
        long_release_s=door.long_release_s,
        exit_release_s=door.exit_release_s,
        wait_s=door.interlock_wait_s,
        leaf=LeafRules(
            held_open_s=door.held_open_s,
            prewarn_s=door.prewarn_s,
            exit_is_free=gpio.exit_button_pin is None,
        ),
    )


def day_rules(config: Config) -> DayRules:
    """Return what follows from the hours; outputs on pins only, for commands are web's."""
    return DayRules(
        warn_min=config.closing.warn_min,
        no_entry_min=config.closing.no_entry_min,
        outputs=tuple(one.rule for one in config.outputs if one.pin is not None),
    )


def rules(config: Config) -> Rules:
    """Return the rules of one attempt."""
    keypad, policy = config.keypad, config.policy
    pad = PadRules(policy.pin_length, keypad.digit_timeout_s, keypad.total_timeout_s)
    return Rules(
        access_policy(config),
        pad,
        ask_s(config),
        companions_max=policy.companions_max,
        long_release_tags=frozenset(config.door.long_release_tags),
        codes=policy.code_entry,
    )
